"""Opening what stands in production: without following links, waiting, or leaving a trace."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from dockyard.overlay import at

_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK
_DIRECTORY = os.O_DIRECTORY | os.O_NOFOLLOW


@contextmanager
def opened(descriptor: int) -> Iterator[int]:
    """Close a descriptor at the end."""
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def pin(path: str, above: int | None = None, *, follow: bool = False) -> int:
    """Return a descriptor of whatever stands there, which opens nothing: no device notices, no pipe makes us wait."""
    return os.open(path, os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW), dir_fd=above)


def readable(pinned: int) -> int:
    """Return a descriptor to read from, of a pinned file or directory.

    Raises BlockingIOError for a file that somebody holds a lease on.
    """
    return _read(at(pinned))


def directory(name: str, above: int) -> int:
    """Return a descriptor of a directory to list. Raises OSError for anything else."""
    return _read(name, _DIRECTORY, above)


def _read(path: str, flags: int = 0, above: int | None = None) -> int:
    try:
        return os.open(path, _READ | os.O_NOATIME | flags, dir_fd=above)
    except PermissionError:  # only the owner and root may
        return os.open(path, _READ | flags, dir_fd=above)


def listing(descriptor: int) -> tuple[list[str], list[str]]:
    """Return the names in a directory: of directories, and of all else."""
    directories: list[str] = []
    others: list[str] = []
    with os.scandir(descriptor) as entries:
        for entry in entries:
            (directories if entry.is_dir(follow_symlinks=False) else others).append(entry.name)
    return directories, others
