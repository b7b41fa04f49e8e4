"""Removing trees that a container may have filled: of any depth, with any names, through no link."""

import os
from contextlib import suppress
from pathlib import Path

from dockyard.overlay import at

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def remove_directory(name: str, above: int) -> None:
    """Remove a directory and all that is in it. Raises OSError."""
    directory = _open(name, above)
    try:
        empty(directory)
    finally:
        os.close(directory)
    os.rmdir(name, dir_fd=above)


def empty(directory: int) -> None:
    """Remove all that is in a directory.

    What is two levels down is first moved up to the directory itself: however deep a container nests, this takes
    neither recursion nor more than two descriptors.
    """
    while names := _remove_files(directory):
        for name in names:
            below = _open(name, directory)
            try:
                for deeper in _remove_files(below):
                    _permit(deeper, below)
                    os.rename(deeper, os.urandom(16).hex(), src_dir_fd=below, dst_dir_fd=directory)
            finally:
                os.close(below)
            os.rmdir(name, dir_fd=directory)


def _open(name: str, above: int) -> int:
    _permit(name, above)
    return os.open(name, DIRECTORY, dir_fd=above)


def _permit(name: str, above: int) -> None:
    """Give a directory of our own the permissions that it takes to empty and to move it; root needs none."""
    if not os.geteuid():
        return
    pinned = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=above)
    try:
        with suppress(PermissionError):
            Path(at(pinned)).chmod(0o700)
    finally:
        os.close(pinned)


def _remove_files(directory: int) -> list[str]:
    """Remove everything except directories, and return the names of those."""
    with os.scandir(directory) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if not is_directory:
            os.unlink(name, dir_fd=directory)
    return [name for name, is_directory in found if is_directory]
