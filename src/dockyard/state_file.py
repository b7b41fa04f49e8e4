"""dockyard's small files: each is replaced whole or not at all, and its lock is held by one process at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_OPEN = os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def write_file(path: Path, text: str) -> None:
    """Replace a file that its owner alone may read: others find the old text or the new. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_TRUNC | _OPEN, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def lock_file(path: Path) -> int:
    """Wait for a file's lock, and return its descriptor; closing it releases the lock. A missing file is created.

    Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(path, os.O_RDWR | _OPEN, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


@contextmanager
def locked_file(path: Path) -> Iterator[None]:
    """Hold a file's lock for the block. Raises OSError."""
    descriptor = lock_file(path)
    try:
        yield
    finally:
        os.close(descriptor)
