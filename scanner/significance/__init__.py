"""The largest excess of a scan, and how likely it is anywhere."""
