"""What may change in any container: by design of the engine, or because nobody would miss it."""

from collections.abc import Iterable

_STUBS = (
    "/.dockerenv",
    "/run/.containerenv",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/mtab",
    "/dev",
    "/proc",
    "/sys",
)
"""What the engine itself puts there."""

_PASSING = ("/tmp", "/var/tmp", "/run", "/var/run", "/var/lock")  # noqa: S108 - places inside of containers
"""What is gone after a restart on any system."""


def is_expected(path: str, mounts: Iterable[str] = ()) -> bool:
    """Return whether a change of a path says nothing; `mounts` are where something is mounted inside."""
    if any(path == place or path.startswith(f"{place}/") for place in (*_STUBS, *_PASSING)):
        return True
    # The engine makes a mount's place, and the directories that lead there.
    return any(place == path or place.startswith(f"{path}/") for place in mounts)
