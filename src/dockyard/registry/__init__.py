"""Registries: what a tag names there, which tags exist, and what an image says of itself."""
