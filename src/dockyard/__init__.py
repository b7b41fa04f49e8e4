"""Build, test, promote and launch services in containers."""
