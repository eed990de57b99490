"""Likelihoods as arrays, their fits, and their exchange with other tools."""
