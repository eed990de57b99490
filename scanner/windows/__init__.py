"""What a definition says of a window: grid, templates, vetoes, systematics, channels."""
