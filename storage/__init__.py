"""Bytes, chunks and labels: event stores, parts and cubes. Knows no physics."""
