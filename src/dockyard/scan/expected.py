"""Where changes say nothing: nobody would miss them after a restart."""

_PASSING = ("/tmp", "/var/tmp", "/run", "/var/run", "/var/lock")  # noqa: S108 - places inside of containers


def is_passing(path: str) -> bool:
    """Return whether what is at a path is gone after a restart on any system."""
    return any(path == place or path.startswith(f"{place}/") for place in _PASSING)
