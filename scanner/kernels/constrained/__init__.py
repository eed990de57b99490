"""Windows with constrained nuisances and template statistics."""
