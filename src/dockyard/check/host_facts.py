"""Facts about the host's engine: what it reports, the disk space for images, and how its daemon was started."""

import os
import re
import stat
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from dockyard import history
from dockyard.check.subject import Backup, Room, Stop
from dockyard.engine.about import About
from dockyard.engine.engine import Engine
from dockyard.engine.limits import default_open_files
from dockyard.errors import DockyardError
from dockyard.settings.keys import BACKUP, BACKUP_MAX_AGE
from dockyard.settings.resolve import Settings

_DAY = 86400
_EVENTS, _STOPS = 50, 3  # of a service that are inspected
_CONTAINERD = "/var/lib/containerd"
_CONTAINERD_CONFIGURATION = Path("/etc/containerd/config.toml")
_OPEN_LOOPBACK = "DOCKER_INSECURE_NO_IPTABLES_RAW"


def image_directory(about: About) -> str:
    """Return where an engine stores images: with the containerd store, that is not below docker's directory."""
    if not about.uses_containerd_store:
        return about.root
    own = Path(about.root, "containerd/daemon")  # of a containerd that docker has started
    if "/docker/" in about.containerd or (not about.containerd and own.is_dir()):
        return str(own)
    text = ""
    with suppress(OSError):
        text = _CONTAINERD_CONFIGURATION.read_text(encoding="utf-8", errors="replace")
    said = re.search(r"""(?m)^root\s*=\s*["'](.+?)["']""", text)
    return said[1] if said else _CONTAINERD


def host_answers(engine: Engine) -> dict[str, Any]:
    """Return the fields of Answers that are about the host. Raises EngineError, EngineUnreachableError."""
    about = engine.about
    return {
        "about": about,
        "image_directory": image_directory(about),
        "room": _room(image_directory(about)),
        "has_open_loopback": _daemon_environment(engine).get(_OPEN_LOOPBACK) == "1",
        "open_files": default_open_files(engine.dialect),
    }


def _room(directory: str) -> Room | None:
    """Return the free space of a directory's file system; None if it is not known."""
    with suppress(OSError):
        space = os.statvfs(directory)
        return Room(space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize)
    return None


def rooms_of(paths: Iterable[str]) -> dict[str, Room]:
    """Return the free space of the file systems of directories, by the first existing directory of each."""
    found: dict[int, tuple[str, Room]] = {}
    for path in dict.fromkeys(paths):
        with suppress(OSError):
            status = Path(path).stat()
            space = _room(path) if stat.S_ISDIR(status.st_mode) else None
            if space and space.total:
                found.setdefault(status.st_dev, (path, space))
    return dict(found.values())


def backup_of(settings: Settings) -> Backup | None:
    """Return the host file's settings of backups, with the age of the last one."""
    path = settings[BACKUP]
    if not path:
        return None
    newest = [Path(path), *(Path(path).iterdir() if Path(path).is_dir() else ())]
    times = [entry.lstat().st_mtime for entry in newest if entry.exists()]
    age = (time.time() - max(times)) / _DAY if times else None
    return Backup(path, age, settings[BACKUP_MAX_AGE])


def last_stops(service: str) -> tuple[Stop, ...]:
    """Return the last stops of a service's production of which the history knows how long they took."""
    try:
        events = history.events(service, _EVENTS)
    except DockyardError:
        return ()
    details = [event.detail for event in events if event.action == "stop" or "stop_ms" in event.detail]
    return tuple(Stop((detail.get("stop_ms") or 0) / 1000, bool(detail.get("killed"))) for detail in details[:_STOPS])


def _daemon_environment(engine: Engine) -> dict[str, str]:
    """Return the environment of the engine's daemon; empty without one on this host, or without permission."""
    if not engine.dialect.maps_root or not Path("/var/run/docker.pid").exists():
        return {}
    from dockyard.userns.daemon import find

    with suppress(DockyardError, OSError):
        return dict(find(engine).environment)
    return {}
