"""One kernel lock for each container of a host. A holder that dies frees it; dry runs and lists never take one."""

import fcntl
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dockyard.engine.engine import Engine
from dockyard.errors import LockedError
from dockyard.privilege import is_hosts_root


def _directory() -> Path:
    if is_hosts_root():
        return Path("/run/dockyard")
    return Path(os.environ.get("XDG_RUNTIME_DIR") or Path.home() / ".local/state") / "dockyard"


@contextmanager
def held(engine: Engine, container: str) -> Iterator[None]:
    """Hold a container's lock for the block. Raises LockedError, with the holder, where another run has it."""
    directory = _directory()
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = directory / f"{engine.dialect.name}-{container}.lock"
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 500).decode("utf-8", "replace") or "another run"
            raise LockedError(f"`{container}` is locked by {holder}", hint="try again when that has ended") from None
        os.ftruncate(descriptor, 0)
        words = [Path(sys.argv[0]).name, *sys.argv[1:3]]
        os.pwrite(descriptor, f"pid {os.getpid()}: {shlex.join(words)}".encode("utf-8", "replace")[:500], 0)
        yield
    finally:
        os.close(descriptor)
