"""Images as tests write them down: entries by path, without any layer."""

import itertools
import stat
from collections.abc import Mapping

from dockyard.scan.entries import Facts
from dockyard.surface.tree import Entry, Tree

ELF, SCRIPT = b"\x7fELF\x02\x01\x01", b"#!/bin/sh\n"
_numbers = itertools.count(1)


def file(head: bytes = b"", mode: int = 0o644, *, size: int = 10, inode: int = 0, cap: bytes = b"") -> Entry:
    """Return a regular file; two with one inode are one file."""
    attributes = {"security.capability": cap} if cap else {}
    return Entry(Facts(stat.S_IFREG, mode, (0, 0), (0, 0), attributes, size), (1, inode or next(_numbers)), head)


def program(head: bytes = ELF, mode: int = 0o755, **more: int) -> Entry:
    """Return a file that can be run."""
    return file(head, mode, **more)


def link(target: str) -> Entry:
    """Return a symbolic link."""
    return Entry(Facts(stat.S_IFLNK, 0o777, (0, 0), (0, 0), {}, target=target), (1, next(_numbers)))


def directory(mode: int = 0o755) -> Entry:
    """Return a directory."""
    return Entry(Facts(stat.S_IFDIR, mode, (0, 0), (0, 0), {}), (1, next(_numbers)))


def tree(entries: Mapping[str, Entry]) -> Tree:
    """Return an image that has these, and the directories that they are in."""
    found = {"/": directory(), **entries}
    for path in entries:
        parts = path.split("/")[1:-1]
        for number in range(len(parts)):
            found.setdefault("/" + "/".join(parts[: number + 1]), directory())
    return found
