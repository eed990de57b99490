"""Physics and statistics of parameter scans: arrays in, arrays out."""
