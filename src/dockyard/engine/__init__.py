"""The container engine: its commands and answers."""
