"""What the blocks of a scan compute: passes over the events, and limits of windows."""
