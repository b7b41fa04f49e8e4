"""The kernel asks us before a file is opened or run, and whoever opens it waits for the answer: see fanotify(7).

So nothing is missed: no queue overflows, and no process is gone before it is looked at. The answer is always yes.
Should this program end, in whatever way, the kernel says yes by itself.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from dockyard.errors import DockyardError
from dockyard.overlay import place_of
from dockyard.scan.fanotify import init, library

_CONTENT, _THREADS = 0x4, 0x100
_ENDS_WITH_US, _WITHOUT_WAITING = 0x1, 0x2
_ADD, _FILE_SYSTEM = 0x1, 0x100
_OPEN, _RUN, _IN_DIRECTORY = 0x10000, 0x40000, 0x08000000
_HERE = -100  # AT_FDCWD
_LARGE_FILE = 0o100000
_YES = 1
_EVENT = struct.Struct("=IBBHQii")
_ANSWER = struct.Struct("=iI")
_BUFFER = 64 * 1024


class Question(NamedTuple):
    """Somebody waits to open a file: where it is as the kernel tells it to us, which thread, and whether to run it."""

    path: str
    thread: int
    is_run: bool


class Questions:
    """A group of marks. Raises DockyardError where the kernel, or our rights, do not allow it."""

    def __init__(self) -> None:
        flags = _ENDS_WITH_US | _WITHOUT_WAITING | _CONTENT | _THREADS
        events = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOATIME | _LARGE_FILE
        try:
            self._descriptor = init(flags, events)
        except OSError as error:
            hint = "run it as root in the host's user namespace, on a kernel with fanotify's permission events"
            raise DockyardError(f"opened files cannot be recorded: {error.strerror}", hint) from None

    def fileno(self) -> int:
        """Return the descriptor that is readable when somebody waits."""
        return self._descriptor

    def close(self) -> None:
        """Ask no more; whoever waits goes on."""
        os.close(self._descriptor)

    def ask_in(self, directory: str) -> None:
        """Be asked for the files directly in a directory."""
        self._mark(directory, _ADD, _OPEN | _IN_DIRECTORY)

    def ask_below(self, mounted: str) -> None:
        """Be asked for all files of a mounted file system, wherever it is mounted besides."""
        self._mark(mounted, _ADD | _FILE_SYSTEM, _OPEN | _RUN)

    def _mark(self, path: str, flags: int, mask: int) -> None:
        import ctypes

        if library().fanotify_mark(self._descriptor, flags, mask, _HERE, os.fsencode(path)) < 0:
            reason = os.strerror(ctypes.get_errno())
            raise DockyardError(f"{path}: files opened there cannot be recorded: {reason}", _HINT)

    def waiting(self) -> Iterator[Question]:
        """Yield who waits; each goes on as soon as the next one is asked for."""
        try:
            data = os.read(self._descriptor, _BUFFER)
        except BlockingIOError:
            return
        offset = 0
        while offset < len(data):
            length, _, _, _, mask, descriptor, thread = _EVENT.unpack_from(data, offset)
            offset += length
            if descriptor < 0:
                continue
            try:
                yield Question(_path(descriptor), thread, bool(mask & _RUN))
            finally:
                with suppress(FileNotFoundError):  # who waited was killed meanwhile
                    os.write(self._descriptor, _ANSWER.pack(descriptor, _YES))
                os.close(descriptor)


_HINT = "use a kernel with fanotify's permission events: CONFIG_FANOTIFY_ACCESS_PERMISSIONS"


def _path(descriptor: int) -> str:
    return place_of(descriptor).removesuffix(" (deleted)")
