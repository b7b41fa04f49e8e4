"""Who we are: the host's root, one of its users, or root in a user's own namespace."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine

_ENTERED = "DOCKYARD_IN_NAMESPACE"


def is_hosts_root() -> bool:
    """Return whether we are root of the host itself."""
    if os.geteuid():
        return False
    try:
        inside, outside, *_ = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return True  # a kernel without user namespaces
    return inside == outside == "0"


def in_namespace() -> bool:
    """Return whether this program was started anew in a user's own namespace."""
    return bool(os.environ.get(_ENTERED))


def enter_namespace(engine: "Engine") -> None:
    """Start this program anew in the user namespace of an engine that is a user's own, where ids are its containers'.

    There, and only there, a user can look into what containers own, and give it to them. Does nothing for the host's
    root, for engines that keep no such namespace, and for who is in it already.
    """
    if not engine.dialect.unshare or not os.geteuid() or os.environ.get(_ENTERED):
        return
    os.environ[_ENTERED] = "1"
    sys.stdout.flush()
    os.execvp(engine.program, (engine.program, *engine.dialect.unshare, *sys.orig_argv))  # noqa: S606 - an argv
