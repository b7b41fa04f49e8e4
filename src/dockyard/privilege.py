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
    """Return whether this program was restarted in the namespace of a rootless engine."""
    return bool(os.environ.get(_ENTERED))


def enter_namespace(engine: "Engine") -> None:
    """Restart this program in the user namespace of a rootless engine, where ids are those of its containers.

    Only there a user can read files that containers own, and create files for them. Does nothing for root on the
    host, for engines without such a namespace, and inside it.
    """
    if not engine.dialect.unshare or not os.geteuid() or os.environ.get(_ENTERED):
        return
    os.environ[_ENTERED] = "1"
    sys.stdout.flush()
    os.execvp(engine.program, (engine.program, *engine.dialect.unshare, *sys.orig_argv))  # noqa: S606 - an argv
