"""The pass: columns in, histograms out, by code that is written for each search."""
