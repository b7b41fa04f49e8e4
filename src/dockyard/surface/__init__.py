"""What an image offers to whoever breaks in: read from its layers, measured by its Test, trimmed to what was used."""
