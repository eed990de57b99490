"""Several searches for one coupling in one cube."""
