"""Posteriors of windows by importance sampling."""
