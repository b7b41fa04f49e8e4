"""Making one tree like another."""

import os
import stat
from collections.abc import Callable

from dockyard.copying import opening
from dockyard.copying.attributes import copy_attributes
from dockyard.copying.budget import Budget, go_down
from dockyard.copying.data import clone, copy_data
from dockyard.copying.opening import opened
from dockyard.copying.walk import Identity, Trail, identity, walk
from dockyard.errors import DockyardError
from dockyard.plan.values import Copy, CopyExtent, CopyMethod

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class Filler:
    """Fills new files, by sharing blocks for as long as that works."""

    def __init__(self, step: Copy, budget: Budget) -> None:
        self._step = step
        self._budget = budget
        self.method = CopyMethod.REFLINK if step.method is CopyMethod.REFLINK else CopyMethod.COPY

    def new_file(self, pinned: int, status: os.stat_result, name: str, above: int) -> None:
        """Make a file of a pinned one's content, its attributes apart."""
        with opened(opening.readable(pinned)) as source, opened(os.open(name, _NEW_FILE, 0o600, dir_fd=above)) as made:
            if status.st_size and not self._is_shared(source, made):
                copy_data(source, made, status.st_size, self._budget.charge)

    def _is_shared(self, source: int, target: int) -> bool:
        if self._step.method is not CopyMethod.REFLINK:
            return False
        try:
            clone(source, target)
        except OSError as error:
            if not self._step.or_copy:
                reason = f"{self._step.source}: its files cannot share blocks with {self._step.path}: {error.strerror}"
                raise DockyardError(
                    reason, hint="use `test_copy: auto`, which takes the best method available"
                ) from None
            self.method = CopyMethod.COPY
            return False
        return True


class Replica:
    """Makes an empty directory like another, as far as the extent says."""

    def __init__(self, source: int, target: int, step: Copy, budget: Budget) -> None:
        self._source = Trail(opening.readable(source), step.source)
        self._target = Trail(os.dup(target), step.path)
        self._itself = identity(target)
        self._extent = step.extent
        self._budget = budget
        self._filler = Filler(step, budget)
        self._links = Links(target)
        self._current = ""

    @property
    def place(self) -> str:
        """What is being copied, for messages."""
        return f"{self._source.path}/{self._current}" if self._current else self._source.path

    def make(self) -> CopyMethod:
        """Copy everything, and return how: a method that failed for one file has failed."""
        walk(self)
        self._links.forget()
        self.leave()  # again: the links were kept in it
        return self._filler.method

    def close(self) -> None:
        """Close what is open."""
        self._source.close()
        self._target.close()
        self._links.close()

    def arrive(self) -> list[str]:
        """Copy what is in a directory, other directories apart."""
        if identity(self._source.descriptor) == self._itself:
            raise DockyardError(f"{self._source.path} contains its own copy", hint="mount directories below it instead")
        self._budget.charge(self._budget.block, 1)
        directories, others = opening.listing(self._source.descriptor)
        if self._extent is not CopyExtent.DIRECTORIES:
            for name in others:
                self._current = name
                self._copy_entry(name)
        self._current = ""
        return [] if self._extent is CopyExtent.FILES else directories

    def down(self, name: str) -> bool:
        """Go into a directory on both sides; the one in the copy is made."""
        if not go_down(self._source, name):
            return False
        os.mkdir(name, 0o700, dir_fd=self._target.descriptor)
        self._target.down(name)
        return True

    def leave(self) -> None:
        """Give a directory its attributes; before that others cannot look into it, and its times would change."""
        source = self._source.descriptor
        copy_attributes(source, self._target.descriptor, os.fstat(source))

    def up(self) -> None:
        """Go back up on both sides."""
        self._source.up()
        self._target.up()

    def _copy_entry(self, name: str) -> None:
        try:
            pinned = opening.pin(name, self._source.descriptor)
        except FileNotFoundError:
            return
        with opened(pinned):
            self._copy_pinned(pinned, os.fstat(pinned), name)

    def _copy_pinned(self, pinned: int, status: os.stat_result, name: str) -> None:
        """Copy what is no directory. Sockets and devices are left out: a device would be the real device."""
        make = self._maker(pinned, status)
        above = self._target.descriptor
        if not make or self._links.made_again(status, name, above):
            return
        self._budget.charge(0, 1)
        make(name, above)
        with opened(opening.pin(name, above)) as made:
            copy_attributes(pinned, made, status)
        self._links.remember(status, name, above)

    def _maker(self, pinned: int, status: os.stat_result) -> Callable[[str, int], None] | None:
        if stat.S_ISREG(status.st_mode):
            return lambda name, above: self._filler.new_file(pinned, status, name, above)
        if stat.S_ISLNK(status.st_mode):
            return lambda name, above: os.symlink(os.readlink("", dir_fd=pinned), name, dir_fd=above)
        if stat.S_ISFIFO(status.st_mode):
            return lambda name, above: os.mkfifo(name, 0o600, dir_fd=above)
        return None


class Links:
    """The hard links of a tree. The first of each file has a second name in the top directory, however deep it is."""

    def __init__(self, top: int) -> None:
        self._top = os.dup(top)
        self._names: dict[Identity, str] = {}

    def made_again(self, status: os.stat_result, name: str, above: int) -> bool:
        """Link a file that was copied before, and return whether it was."""
        known = self._names.get(Identity(status.st_dev, status.st_ino)) if status.st_nlink > 1 else None
        if known:
            os.link(known, name, src_dir_fd=self._top, dst_dir_fd=above, follow_symlinks=False)
        return known is not None

    def remember(self, status: os.stat_result, name: str, above: int) -> None:
        """Keep a file that has other names."""
        if status.st_nlink > 1:
            kept = os.urandom(16).hex()
            os.link(name, kept, src_dir_fd=above, dst_dir_fd=self._top, follow_symlinks=False)
            self._names[Identity(status.st_dev, status.st_ino)] = kept

    def forget(self) -> None:
        """Remove the second names."""
        for kept in self._names.values():
            os.unlink(kept, dir_fd=self._top)
        self._names.clear()

    def close(self) -> None:
        """Close what is open."""
        os.close(self._top)
