"""Comparing a copy's bytes with the image's, at once or later."""

import errno
import marshal
import os
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from dockyard.copying.opening import pin, readable
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
    """A copy of an image's file: what is told if its bytes are the same, the word for it if they are not.

    `is_bare` says that the overlay has left the content where it was: what stands here reads as zeros.
    """

    change: Change
    edited: str
    known: Identity
    is_bare: bool = False


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
    ours = _open_known(file, known)
    try:
        theirs = _open(other)
        try:
            is_same = _same(ours, theirs, known.size, tally)
        finally:
            os.close(theirs)
        check_identity(os.fstat(ours), known)
    finally:
        os.close(ours)
    return is_same


def _open_known(place: tuple[int, str], known: Identity) -> int:
    above, name = place
    pinned = pin(name, above)
    try:
        check_identity(os.fstat(pinned), known)
        return readable(pinned)
    finally:
        os.close(pinned)


def _open(place: tuple[int, str]) -> int:
    """Open a file of the image, which nothing changes."""
    above, name = place
    return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=above)


def _same(ours: int, theirs: int, size: int, tally: Tally) -> bool:
    if size <= CHUNK:  # nearly all are: one read each tells that it is all, too
        return os.read(ours, size + 1) == os.read(theirs, size + 1)
    while True:
        chunk = _exactly(ours, CHUNK)
        if chunk != _exactly(theirs, CHUNK):
            return False
        if not chunk:
            return True
        tally.check_time()


def _exactly(descriptor: int, size: int) -> bytes:
    """Read so many bytes, or all that there are."""
    found = os.read(descriptor, size)
    while found and len(found) < size and (more := os.read(descriptor, size - len(found))):
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
        record = marshal.dumps((name, copy.change[1:], copy.edited, tuple(copy.known), copy.is_bare))
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
    name, change, edited, known, is_bare = marshal.loads(record)  # noqa: S302 - our own, and never out of this process
    return name, Copy(Change(f"{directory}/{name}", *change), edited, Identity(*known), is_bare)
