"""Windows of single events: densities, fits, profiles and limits."""
