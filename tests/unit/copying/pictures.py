"""All that can be seen of a tree, looked at without a trace."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from dockyard.plan.values import CopyExtent

LEFT_OUT = (stat.S_ISSOCK, stat.S_ISBLK, stat.S_ISCHR)


class Entry(NamedTuple):
    """One file or directory, as a copy of it should be."""

    kind: int
    mode: int
    owner: tuple[int, int]
    modified: int
    accessed: int
    size: int
    content: bytes
    attributes: tuple[tuple[str, bytes], ...]
    same_as: tuple[bytes, ...] = ()
    """Its other names."""


Picture = dict[bytes, Entry]


def picture(top: Path) -> Picture:
    """Return a tree's entries by their paths; the tree itself is an empty path."""
    found = {path: (_entry(where), os.lstat(where)) for path, where in _walk(os.fsencode(top))}
    names: dict[tuple[int, int], list[bytes]] = {}
    for path, (_, status) in found.items():
        if not stat.S_ISDIR(status.st_mode):
            names.setdefault((status.st_dev, status.st_ino), []).append(path)
    return {
        path: entry._replace(same_as=tuple(sorted(names.get((status.st_dev, status.st_ino), ()))))
        for path, (entry, status) in found.items()
    }


def traces(top: Path) -> dict[bytes, tuple[int, ...]]:
    """Return what only production shows, should anything have touched it: inodes, link counts, changes, and reading."""
    return {
        path: (
            status.st_ino,
            status.st_nlink,
            status.st_ctime_ns,
            status.st_blocks,
            status.st_rdev,
            0 if stat.S_ISLNK(status.st_mode) else status.st_atime_ns,
        )
        for path, where in _walk(os.fsencode(top))
        for status in [os.lstat(where)]
    }


def everything(top: Path) -> tuple[Picture, dict[bytes, tuple[int, ...]]]:
    """Return all that must stay as it is in production."""
    return picture(top), traces(top)


def extent_of(whole: Picture, extent: CopyExtent) -> Picture:
    """Return what a copy of some extent should be."""
    found = {
        path: entry
        for path, entry in whole.items()
        if not any(kind(entry.kind) for kind in LEFT_OUT)
        and (extent is CopyExtent.TREE or stat.S_ISDIR(entry.kind) or extent is CopyExtent.FILES)
        and not (extent is CopyExtent.FILES and (b"/" in path or (path and stat.S_ISDIR(entry.kind))))
    }
    return {
        path: entry._replace(same_as=tuple(other for other in entry.same_as if other in found))
        for path, entry in found.items()
    }


def _walk(top: bytes) -> Iterator[tuple[bytes, bytes]]:
    waiting = [b""]
    while waiting:
        path = waiting.pop()
        where = os.path.join(top, path) if path else top  # noqa: PTH118 - bytes
        yield path, where
        if stat.S_ISDIR(os.lstat(where).st_mode):
            waiting += [os.path.join(path, os.fsencode(name)) for name in _names(where)]  # noqa: PTH118


def _names(where: bytes) -> list[str]:
    descriptor = os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_NOATIME)
    try:
        return os.listdir(descriptor)  # noqa: PTH208
    finally:
        os.close(descriptor)


def _entry(where: bytes) -> Entry:
    status = os.lstat(where)
    kind = stat.S_IFMT(status.st_mode)
    return Entry(
        kind,
        stat.S_IMODE(status.st_mode),
        (status.st_uid, status.st_gid),
        status.st_mtime_ns,
        0 if stat.S_ISLNK(kind) else status.st_atime_ns,  # looking at a link reads it
        0 if stat.S_ISDIR(kind) else status.st_size,
        _content(where, kind),
        tuple(
            (name, os.getxattr(where, name, follow_symlinks=False))
            for name in sorted(os.listxattr(where, follow_symlinks=False))
        ),
    )


def _content(where: bytes, kind: int) -> bytes:
    if stat.S_ISLNK(kind):
        return os.readlink(where)  # noqa: PTH115 - bytes
    if not stat.S_ISREG(kind):
        return b""
    with os.fdopen(os.open(where, os.O_RDONLY | os.O_NOATIME | os.O_NOFOLLOW), "rb") as file:
        return file.read()
