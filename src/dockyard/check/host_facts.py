"""What checks know of the host's engine: its own words, the room for images, and how its daemon was started."""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Any

from dockyard.check.subject import Room
from dockyard.engine.about import About
from dockyard.engine.engine import Engine
from dockyard.engine.limits import default_open_files
from dockyard.errors import DockyardError

_CONTAINERD = "/var/lib/containerd"
_CONTAINERD_CONFIGURATION = Path("/etc/containerd/config.toml")
_OPEN_LOOPBACK = "DOCKER_INSECURE_NO_IPTABLES_RAW"


def image_directory(about: About) -> str:
    """Return where an engine writes images: with the containerd store, that is not below docker's own directory."""
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
    """Return what is left on the file system of a directory; None if it cannot be seen."""
    with suppress(OSError):
        space = os.statvfs(directory)
        return Room(space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize)
    return None


def _daemon_environment(engine: Engine) -> dict[str, str]:
    """Return the environment of the engine's daemon; empty if there is none on this host, or only root may see it."""
    if not engine.dialect.maps_root or not Path("/var/run/docker.pid").exists():
        return {}
    from dockyard.userns.daemon import find

    with suppress(DockyardError, OSError):
        return dict(find(engine).environment)
    return {}
