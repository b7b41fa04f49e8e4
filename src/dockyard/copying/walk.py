"""Walking a tree of any depth with one descriptor, while others may change it."""

import errno
import os
from typing import NamedTuple, Protocol

from dockyard.copying import opening
from dockyard.errors import DockyardError

GONE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP})
"""What opening a directory says when it is no longer there, or something else stands in its place."""


class Identity(NamedTuple):
    """Which file or directory it is, whatever its name."""

    device: int
    number: int


def identity(descriptor: int) -> Identity:
    """Return which file or directory a descriptor is of."""
    status = os.fstat(descriptor)
    return Identity(status.st_dev, status.st_ino)


class Trail:
    """A directory from which one goes down and back up; it owns its descriptor."""

    def __init__(self, descriptor: int, top: str) -> None:
        self.descriptor = descriptor
        self._top = top
        self._above: list[tuple[Identity, str]] = []

    @property
    def path(self) -> str:
        """Where we are, for messages."""
        return "/".join((self._top, *(name for _, name in self._above)))

    def down(self, name: str) -> None:
        """Go into a directory. Raises OSError, and stays, where there is none."""
        below = opening.directory(name, self.descriptor)
        self._above.append((identity(self.descriptor), name))
        self._move(below)

    def up(self) -> None:
        """Go back. Raises DockyardError where that leads elsewhere: the directory was moved."""
        path = self.path
        came_from, _ = self._above.pop()
        self._move(opening.directory("..", self.descriptor))
        if identity(self.descriptor) != came_from:
            raise DockyardError(
                f"{path}: was moved while it was copied", hint="try again when no directories are being moved"
            )

    def _move(self, descriptor: int) -> None:
        os.close(self.descriptor)
        self.descriptor = descriptor

    def close(self) -> None:
        """Close the descriptor."""
        os.close(self.descriptor)


class Visitor(Protocol):
    """What is done on a walk."""

    def arrive(self) -> list[str]:
        """Do what is to be done in a directory, and return the names of those in it to go into."""

    def down(self, name: str) -> bool:
        """Go into a directory; return whether it is still there."""

    def leave(self) -> None:
        """Do what is to be done in a directory when all below it is done."""

    def up(self) -> None:
        """Go back to the directory above."""


def walk(visitor: Visitor) -> None:
    """Take a visitor through a tree, and back to its top."""
    ahead = [visitor.arrive()]
    while ahead:
        if ahead[-1]:
            if visitor.down(ahead[-1].pop()):
                ahead.append(visitor.arrive())
            continue
        ahead.pop()
        visitor.leave()
        if ahead:
            visitor.up()
