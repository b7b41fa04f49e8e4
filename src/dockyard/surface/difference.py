"""What came to a surface, and what went, since another one. Pure."""

from collections.abc import Collection
from typing import Any, NamedTuple

from dockyard.surface.surface import Surface

KINDS = {
    "executables": "executables",
    "names": "names of programs",
    "setuid": "setuid files",
    "setgid": "setgid files",
    "capabilities": "files with capabilities",
    "shells": "shells",
    "interpreters": "interpreters",
    "package_managers": "package managers",
    "world_writable": "world-writable paths",
    "logins": "users able to log in",
}
"""What is listed of a surface, and how it is called."""


class Difference(NamedTuple):
    """What of one kind came and went, as texts, sorted."""

    kind: str
    came: tuple[str, ...]
    went: tuple[str, ...]


def listed(surface: Surface, kind: str) -> tuple[str, ...]:
    """Return what a surface has of a kind, as texts."""
    found: Any = getattr(surface, kind)
    if isinstance(found, dict):
        return tuple(f"{path} ({text})" if isinstance(text, str) else path for path, text in sorted(found.items()))
    return tuple(str(item) for item in found)


def differences(before: Surface, now: Surface) -> tuple[Difference, ...]:
    """Return the kinds in which two surfaces differ."""
    found = (
        Difference(kind, _only(listed(now, kind), listed(before, kind)), _only(listed(before, kind), listed(now, kind)))
        for kind in KINDS
    )
    return tuple(one for one in found if one.came or one.went)


def _only(ours: Collection[str], theirs: Collection[str]) -> tuple[str, ...]:
    return tuple(sorted(set(ours) - set(theirs)))
