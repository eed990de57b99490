"""The commands, by what they act on; heavy imports wait until a command runs."""
