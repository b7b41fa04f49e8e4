"""How much a copy takes, and how much it may: production needs room on the same disk."""

import os
import stat
from typing import NamedTuple

from dockyard.copying import opening
from dockyard.copying.walk import GONE, Identity, Trail, walk
from dockyard.errors import DockyardError
from dockyard.plan.values import Copy, CopyExtent
from dockyard.text import readable_size

_SHARE = 0.9  # of what is free


class Size(NamedTuple):
    """What a copy takes: bytes, and files or directories."""

    space: int = 0
    files: int = 0

    def __str__(self) -> str:
        """Return it as people write it."""
        return f"{readable_size(self.space)} and {self.files} files"


class Budget:
    """What a copy may take of the file system that a descriptor is on. Each charge raises DockyardError beyond it."""

    def __init__(self, step: Copy, target: int) -> None:
        free = os.statvfs(target)
        self._step = step
        self._free = Size(free.f_bavail * free.f_frsize, free.f_favail)
        self._counts_files = free.f_files > 0  # btrfs makes as many as it likes
        self._taken = Size()
        self.block = free.f_frsize

    def charge(self, space: int, files: int = 0) -> None:
        """Take some of it."""
        self._taken = Size(self._taken.space + space, self._taken.files + files)
        self.require(self._taken)

    def require(self, size: Size) -> None:
        """See to it that a copy of that size leaves a tenth of what is free. Raises DockyardError."""
        too_many = self._counts_files and size.files > _SHARE * self._free.files
        if not too_many and size.space <= _SHARE * self._free.space:
            return
        message = f"{self._step.path}: a copy of `{self._step.source}` takes {size}, and {self._free} are free"
        fix = (
            "free some" if self._step.extent is CopyExtent.DIRECTORIES else "use `test_copy: overlay`, which needs none"
        )
        raise DockyardError(message, hint=f"{fix}: a full disk would also damage production")


class Measure:
    """Adds up what a copy of a tree takes. Files count as blocks of the target's size; hard links count once."""

    def __init__(self, source: Trail, extent: CopyExtent, block: int) -> None:
        self._source = source
        self._extent = extent
        self._block = block
        self._seen: set[Identity] = set()
        self.size = Size()

    def arrive(self) -> list[str]:
        """Add a directory and the files in it."""
        directories, others = opening.listing(self._source.descriptor)
        self._add(self._block)
        if self._extent is not CopyExtent.DIRECTORIES:
            for name in others:
                self._measure(name)
        return [] if self._extent is CopyExtent.FILES else directories

    def down(self, name: str) -> bool:
        """Go into a directory, if it is still there."""
        return go_down(self._source, name)

    def leave(self) -> None:
        """Do nothing: all was added on arrival."""

    def up(self) -> None:
        """Go back up."""
        self._source.up()

    def _measure(self, name: str) -> None:
        try:
            status = os.stat(name, dir_fd=self._source.descriptor, follow_symlinks=False)
        except FileNotFoundError:
            return
        which = Identity(status.st_dev, status.st_ino)
        if status.st_nlink > 1 and which in self._seen:
            return
        self._seen.add(which)
        self._add(space_of(status, self._block))

    def _add(self, space: int) -> None:
        self.size = Size(self.size.space + space, self.size.files + 1)


def space_of(status: os.stat_result, block: int) -> int:
    """Return what a copy of a file takes; a file with holes takes less than its size."""
    return max(status.st_blocks * 512, block) if stat.S_ISREG(status.st_mode) and status.st_size else 0


def measure(source: int, step: Copy, block: int) -> Size:
    """Return what a copy of a directory takes, the descriptor of which stays open."""
    trail = Trail(opening.readable(source), step.source)
    try:
        measuring = Measure(trail, step.extent, block)
        walk(measuring)
    finally:
        trail.close()
    return measuring.size


def go_down(trail: Trail, name: str) -> bool:
    """Go into a directory, and return whether it was still there."""
    try:
        trail.down(name)
    except OSError as error:
        if error.errno in GONE:
            return False
        raise
    return True
