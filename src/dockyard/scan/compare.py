"""Comparing a copy's bytes with the image's, at once or later."""

import errno
import marshal
import os
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from typing import NamedTuple

from dockyard.copying.opening import opened, pin, readable
from dockyard.scan.budget import Tally, is_within
from dockyard.scan.change import Change

CHUNK = 256 * 1024
PENDING = 16 * 1024 * 1024  # bytes of what is remembered to be compared later
OVERHEAD = 64  # bytes that a record takes besides its own


class Identity(NamedTuple):
    """What a file is known again by: as long as it is the same, so are its bytes and all else that is its own."""

    device: int
    inode: int
    changed: int
    size: int


class Copy(NamedTuple):
    """A copy of an image's file: what is told if its bytes are the same, the word for it if they are not."""

    change: Change
    edited: str
    known: Identity


def identity_of(status: os.stat_result) -> Identity:
    """Return the identity of what has this status."""
    return Identity(status.st_dev, status.st_ino, status.st_ctime_ns, status.st_size)


def check_identity(status: os.stat_result, known: Identity) -> None:
    """Raise OSError where this is not, or no longer, what is known."""
    if identity_of(status) != known:
        raise OSError(errno.ESTALE, "changed while it was read")


def same_bytes(file: tuple[int, str], known: Identity, other: tuple[int, str], tally: Tally) -> bool:
    """Return whether a file that is known has the same bytes as another; each is given by a directory and a name.

    Raises OSError where it is not, or no longer, the file that is known.
    """
    if tally.compared + known.size > tally.budget.compared:
        raise OSError(errno.EFBIG, f"more than {tally.budget.compared} bytes to compare")
    tally.compared += known.size
    with ExitStack() as stack:
        ours = _pinned(file, stack)
        check_identity(os.fstat(ours), known)
        ours = stack.enter_context(opened(readable(ours)))
        theirs = stack.enter_context(opened(readable(_pinned(other, stack))))
        is_same = _same(ours, theirs, tally)
        check_identity(os.fstat(ours), known)
    return is_same


def _pinned(place: tuple[int, str], stack: ExitStack) -> int:
    above, name = place
    return stack.enter_context(opened(pin(name, above)))


def _same(ours: int, theirs: int, tally: Tally) -> bool:
    while True:
        chunk = os.read(ours, CHUNK)
        if chunk != _exactly(theirs, len(chunk)):
            return False
        if not chunk:
            return not os.read(theirs, 1)
        tally.check_time()


def _exactly(descriptor: int, size: int) -> bytes:
    """Read so many bytes, or all that there are."""
    found = os.read(descriptor, size)
    while len(found) < size and (more := os.read(descriptor, size - len(found))):
        found += more
    return found


class Pending:
    """Files whose bytes are to be compared later, by directory: compact, for there may be very many."""

    def __init__(self) -> None:
        self._records: dict[str, list[bytes]] = {}
        self._size = 0

    def __bool__(self) -> bool:
        return bool(self._records)

    def add(self, directory: str, name: str, copy: Copy) -> bool:
        """Remember a file; return whether there was room."""
        record = marshal.dumps((name, copy.change[1:], copy.edited, tuple(copy.known)))
        size = len(record) + OVERHEAD + (0 if directory in self._records else len(directory) + OVERHEAD)
        if self._size + size > PENDING:
            return False
        self._size += size
        self._records.setdefault(directory, []).append(record)
        return True

    def take(self) -> Iterator[tuple[str, list[bytes]]]:
        """Yield directories with their records, and forget them."""
        while self._records:
            directory = next(iter(self._records))
            yield directory, self._records.pop(directory)
        self._size = 0

    def forget(self, paths: AbstractSet[str]) -> None:
        """Forget these paths and all below them."""
        parents = {path.rpartition("/")[0] for path in paths}
        for directory in list(self._records):
            if is_within(directory, paths):
                del self._records[directory]
            elif directory in parents:
                kept = [
                    one for one in self._records[directory] if remembered(directory, one)[1].change.path not in paths
                ]
                self._records[directory] = kept


def remembered(directory: str, record: bytes) -> tuple[str, Copy]:
    """Return a record's name and file, as they were added."""
    name, change, edited, known = marshal.loads(record)  # noqa: S302 - our own, and never out of this process
    return name, Copy(Change(f"{directory}/{name}", *change), edited, Identity(*known))
