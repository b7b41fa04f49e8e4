"""What a container has changed beside its image."""
