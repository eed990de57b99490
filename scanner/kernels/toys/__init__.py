"""Random numbers, pseudo-experiments, and their fits and tests."""
