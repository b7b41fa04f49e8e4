"""Writes docs/reference/ from the tables in the code: `python -m dockyard.docs`."""
