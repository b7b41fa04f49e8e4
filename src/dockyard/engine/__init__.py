"""The container engine: what it is told, what it answers."""
