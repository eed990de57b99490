"""Counting experiments: exact sums, cores of windows, Neyman constructions."""
