"""Programs that are one file each, for the system's own Python: they import nothing of dockyard."""
