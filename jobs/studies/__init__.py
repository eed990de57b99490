"""Studies with toys and the global significance, as jobs of blocks."""
