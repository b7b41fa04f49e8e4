"""What rules ask of a file's content: whether it is a program, and whether it was only added to."""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from dockyard.copying.opening import directory, opened, pin, readable
from dockyard.scan.attributes import namespaces
from dockyard.scan.compare import CHUNK
from dockyard.scan.layer import NEW, Change
from dockyard.scan.lower import directories, found

PROGRAMS = (b"\x7fELF", b"#!")
"""How a file begins that the kernel runs; see binfmt_elf.c and binfmt_script.c of Linux."""
HEAD = 4  # bytes that tell one
ADDED = 4096  # bytes that are read of what was added to a file


class Content(NamedTuple):
    """How to look into the file of a change: its first bytes, and whether the image's content is its beginning.

    `added` are the bytes after the image's content; None where they are many, or where that is not its beginning.
    Each raises OSError where that cannot be told: then no rule that asks covers the change.
    """

    head: Callable[[Change], bytes]
    is_appended: Callable[[Change], bool]
    added: Callable[[Change], bytes | None] = lambda _: None


def is_program(head: bytes) -> bool:
    """Return whether a file that begins so is run by the kernel, or by an interpreter."""
    return head.startswith(PROGRAMS)


def is_append(upper: int, lower: int, size: int) -> bool:
    """Return whether the first `size` bytes of one open file are those of another; `size` is the other's."""
    place = 0
    while place < size:
        chunk = os.pread(lower, min(CHUNK, size - place), place)
        if not chunk or chunk != os.pread(upper, len(chunk), place):
            return False
        place += len(chunk)
    return True


class Layers:
    """The files of a container's upper directory and of its image's, opened name by name and without any link.

    The directory that was last asked for stays open until the end, or until another one is asked for.
    """

    def __init__(self, upper: str, layers: Sequence[str]) -> None:
        self.upper, self.layers = upper, layers
        self._marks = namespaces()
        self._parent: str | None = None
        self._above = -1
        self._below: list[int] = []
        self._stack = ExitStack()

    def __enter__(self) -> Content:
        return Content(self._head, self._is_appended, self._added)

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _head(self, change: Change) -> bytes:
        with self._file(change) as upper:
            return os.pread(upper, HEAD, 0)

    def _is_appended(self, change: Change) -> bool:
        with self._file(change) as upper:
            return self._size_of_beginning(upper, change) is not None

    def _added(self, change: Change) -> bytes | None:
        with self._file(change) as upper:
            size = 0 if change.what == NEW else self._size_of_beginning(upper, change)
            if size is None or os.fstat(upper).st_size - size > ADDED:
                return None
            return os.pread(upper, ADDED, size)

    def _size_of_beginning(self, upper: int, change: Change) -> int | None:
        """Return how many bytes the image has of a file, if the open file begins with them."""
        name = change.path.rpartition("/")[2]
        under = found(self._below, name, self._marks)
        if not under or not stat.S_ISREG(under.status.st_mode):
            return None
        with opened(pin(name, under.layer)) as pinned, opened(readable(pinned)) as lower:
            size = os.fstat(lower).st_size
            return size if os.fstat(upper).st_size >= size and is_append(upper, lower, size) else None

    @contextmanager
    def _file(self, change: Change) -> Iterator[int]:
        """Open the file of a change for reading; raises OSError where another stands there by now."""
        parent, _, name = change.path.rpartition("/")
        self._go_to(parent)
        with opened(pin(name, self._above)) as pinned:
            status = os.fstat(pinned)
            if not stat.S_ISREG(status.st_mode) or (status.st_dev, status.st_ino) != change.inode:
                raise FileNotFoundError(f"another one by now: {change.path}")
            with opened(readable(pinned)) as descriptor:
                yield descriptor

    def _go_to(self, parent: str) -> None:
        if parent == self._parent:
            return
        self._parent = None
        self._stack.close()
        with ExitStack() as stack:
            above = stack.enter_context(opened(pin(self.upper, follow=True)))
            below = [stack.enter_context(opened(pin(layer, follow=True))) for layer in self.layers]
            for name in parent.split("/")[1:]:
                with ExitStack() as inner:
                    above = inner.enter_context(opened(directory(name, above)))
                    below = directories(below, name, self._marks, inner)
                    stack.close()
                    stack.push(inner.pop_all().__exit__)
            self._stack = stack.pop_all()
        self._parent, self._above, self._below = parent, above, below
