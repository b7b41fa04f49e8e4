"""How many files a container's processes may have open if nothing else is set for it.

Docker's containers inherit that from containerd. Its unit set no limit until containerd 2.1.5, and sets none of its own
since: systemd's default, 1024, is what containers get.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dockyard.engine.dialect import Dialect

_PROC = Path("/proc")
_CONFIGURATION = Path("/etc/docker/daemon.json")
_UNLIMITED = 2**63 - 1


def default_open_files(dialect: "Dialect") -> int | None:
    """Return the soft limit that a new container gets; None if it is unknown."""
    if not dialect.limits_from:
        return None
    return _configured() or next(_limits_of(dialect.limits_from), None)


def _configured() -> int | None:
    """Return what daemon.json gives to all containers."""
    import json

    with suppress(OSError, ValueError, AttributeError, TypeError):
        limits = json.loads(_CONFIGURATION.read_text(encoding="utf-8")).get("default-ulimits") or {}
        return int(limits["nofile"]["Soft"]) if "nofile" in limits else None
    return None


def _limits_of(program: str) -> Iterator[int]:
    """Yield the soft limit of each process of a program that this user may see."""
    for entry in _PROC.iterdir():
        with suppress(OSError):
            name = (
                (entry / "comm").read_text(encoding="utf-8", errors="replace").strip() if entry.name.isdigit() else ""
            )
            found = soft_limit((entry / "limits").read_text(encoding="ascii")) if name == program else None
            if found:
                yield found


def soft_limit(table: str) -> int | None:
    """Return the soft limit of open files from a text such as /proc/PID/limits."""
    found = re.search(r"(?m)^Max open files\s+(\S+)", table)
    if not found:
        return None
    return _UNLIMITED if found[1] == "unlimited" else int(found[1])
