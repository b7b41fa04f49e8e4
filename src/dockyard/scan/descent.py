"""The way down into an upper directory, component by component, with the image's directories beside it."""

import errno
import os
import resource
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Self

from dockyard.copying.opening import directory, opened, pin
from dockyard.scan.attributes import is_opaque, noted_at, value_at
from dockyard.scan.lower import directories, redirected

OPEN = 128  # directories of the upper layer that are open at once; those further up are opened anew on the way back
WAITING = 16 * 1024 * 1024  # bytes of names of directories that wait for their turn


class Frame:
    """A directory on the way: its descriptor, or what it is known again by, and what below it is still to be read.

    `hides` says that nothing of the image shows through there; `layers` are still what it is compared with, `top` the
    image's uppermost.
    """

    __slots__ = ("descriptor", "hides", "identity", "layers", "name", "offset", "stack", "top", "waiting")

    def __init__(self, name: str, descriptor: int, layers: Sequence[int], *, top: Sequence[int], hides: bool) -> None:
        self.name, self.layers, self.top, self.hides = name, layers, top, hides
        self.stack = ExitStack()
        self.descriptor: int | None = descriptor
        status = os.fstat(descriptor)
        self.identity = (status.st_dev, status.st_ino)
        self.waiting = bytearray()
        self.offset = 0

    @property
    def here(self) -> int:
        """The descriptor of a directory that is open, as the last of the way always is."""
        if self.descriptor is None:
            raise OSError(errno.ESTALE, "moved while it was read")
        return self.descriptor

    def next_name(self) -> str | None:
        """Return the next directory in it that is to be read."""
        if self.offset >= len(self.waiting):
            return None
        end = self.waiting.index(0, self.offset)
        name = os.fsdecode(bytes(self.waiting[self.offset : end]))
        self.offset = end + 1
        return name

    def shut(self) -> None:
        """Close its descriptor; it may be opened anew."""
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None

    def close(self) -> None:
        """Close all that it holds."""
        self.shut()
        self.stack.close()


class Descent:
    """A place in an upper directory: the directories from its top down to there. Use it in a `with` statement.

    Every method may raise OSError; then it is where it was, or above.
    """

    def __init__(self, upper: str, layers: Sequence[str], marks: tuple[str, ...], *, whole: bool = False) -> None:
        allow_descriptors()
        self.marks = marks
        self.frames: list[Frame] = []
        self.path = ""  # from the top to here; nothing for the top
        self._waiting = 0
        with ExitStack() as stack:
            below = [stack.enter_context(opened(pin(layer, follow=True))) for layer in layers]
            top = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOATIME)
            try:
                hides = whole or is_opaque(top, noted_at(top, marks), marks)
                self.frames.append(Frame("", top, below, top=below, hides=hides))
            except BaseException:
                os.close(top)
                raise
            self.last.stack = stack.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for frame in self.frames:
            frame.close()

    @property
    def last(self) -> Frame:
        """The directory that it is in."""
        return self.frames[-1]

    def wait(self, name: str) -> None:
        """Remember a directory in this one that is to be read."""
        if self._waiting > WAITING:
            raise OSError(errno.E2BIG, "too many directories")
        self.last.waiting += os.fsencode(name) + b"\0"
        self._waiting += len(name) + 1

    def enter(self, name: str) -> Frame:
        """Go into a directory of this one, and return it.

        Raises FileNotFoundError or NotADirectoryError for one that is not there, and for nothing else.
        """
        with ExitStack() as stack:
            descriptor = directory(name, self.last.here)
            try:
                frame = self._frame(name, descriptor, stack)
            except (FileNotFoundError, NotADirectoryError) as error:
                os.close(descriptor)
                raise OSError(errno.ESTALE, "changed while it was read") from error
            except BaseException:
                os.close(descriptor)
                raise
            frame.stack = stack.pop_all()
        self.frames.append(frame)
        self.path += f"/{name}"
        if len(self.frames) > OPEN:
            self.frames[-OPEN - 1].shut()
        return frame

    def _frame(self, name: str, descriptor: int, stack: ExitStack) -> Frame:
        above = self.last
        noted = noted_at(descriptor, self.marks)
        layers, below_name, hides = above.layers, name, above.hides
        if "redirect" in noted:
            value = value_at(descriptor, "redirect", self.marks)
            layers, below_name = redirected(above.top, layers, value, self.marks, stack)
            hides = False
        below = directories(layers, below_name, self.marks, stack)
        if "redirect" in noted and not below:
            raise OSError(errno.ESTALE, "a renamed directory that the image does not have")
        hides = hides or is_opaque(descriptor, noted, self.marks)
        return Frame(name, descriptor, below, top=above.top, hides=hides)

    def leave(self) -> None:
        """Go back to the directory above; one that was closed is opened anew, and has to be the same."""
        done = self.frames.pop()
        self.path = self.path[: -len(done.name) - 1]
        self._waiting -= len(done.waiting)
        try:
            if self.frames and self.last.descriptor is None:
                self.last.descriptor = directory("..", done.here)
                status = os.fstat(self.last.descriptor)
                if (status.st_dev, status.st_ino) != self.last.identity:
                    raise OSError(errno.ESTALE, "moved while it was read")
        finally:
            done.close()

    def go(self, parts: Sequence[str]) -> Frame:
        """Go to a directory by the names that lead there from the top, and return it."""
        common = 0
        while common < min(len(parts), len(self.frames) - 1) and self.frames[common + 1].name == parts[common]:
            common += 1
        while len(self.frames) > common + 1:
            self.leave()
        for name in parts[common:]:
            self.enter(name)
        return self.last


def allow_descriptors() -> None:
    """Have as many descriptors as we may: each layer of the image takes one for each directory on the way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
