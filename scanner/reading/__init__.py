"""The one reading of the events: cuts, channels, histograms and candidates."""
