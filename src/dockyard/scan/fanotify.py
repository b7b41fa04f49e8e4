"""The kernel's journal of whole file systems: who changes what below the upper directories, while it happens.

One mark on a file system tells of every container that has its layer there, and of everything else on it: what lies
elsewhere is left out before it costs much. The queue has the kernel's own limit (fs.fanotify.max_queued_events): an
attacker can fill it, and is answered by a scan of everything, never by memory. See fanotify(7).
"""

import os
import select
import time
from collections.abc import Iterable
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Self

from dockyard.errors import DockyardError

if TYPE_CHECKING:
    import ctypes

    from dockyard.scan.handles import Raw

CREATED, DELETED, MOVED_FROM, MOVED_TO = "created", "deleted", "moved from", "moved to"
ATTRIBUTES, MODIFIED, CLOSED, EXECUTED, DIRECTORY = "attributes", "modified", "closed", "executed", "directory"

MASKS = {
    0x2: MODIFIED,
    0x4: ATTRIBUTES,
    0x8: CLOSED,
    0x40: MOVED_FROM,
    0x80: MOVED_TO,
    0x100: CREATED,
    0x200: DELETED,
    0x1000: EXECUTED,
    0x40000000: DIRECTORY,
}
OVERFLOW = 0x4000

_ENDS_WITH_US, _WITHOUT_WAITING, _NAMES, _TARGETS = 0x1, 0x2, 0xC00, 0x1200
_ADD, _REMOVE, _FILE_SYSTEM = 0x1, 0x2, 0x100

_TELLS_OF_WRITES = (6, 5)  # of Linux

GATHER = 0.03  # seconds after the first event in which others come: a wake-up for each slows down whoever causes them
BUFFER = 256 * 1024
MOST = 16 * BUFFER  # bytes of events that are read before anybody is told


class Event(NamedTuple):
    """What happened to one name, or in short succession to it; `kinds` are in no order.

    `upper` is as it was given, `directory` a path on the host below it; with an empty name the directory is meant. Both
    are empty where a directory is gone, and nothing tells whose it was. For one that lies deeper than any path that the
    kernel tells, it is the nearest above, without a name. Directories that have moved since are where they are by now.
    `pid` is as we see it; 0 is a process that we cannot see.
    """

    directory: str
    name: str
    kinds: frozenset[str]
    pid: int
    upper: str
    is_gone: bool = False

    @property
    def path(self) -> str:
        """The path below the upper directory, as a Change has it."""
        whole = f"{self.directory}/{self.name}" if self.name else self.directory
        return whole[len(self.upper) :] or "/"


class Batch(NamedTuple):
    """What came; where `overflowed`, more happened than this, anywhere."""

    events: list[Event]
    overflowed: bool = False

    @property
    def is_certain(self) -> bool:
        """Whether all that happened is told, with the container that it happened in."""
        return not self.overflowed and all(event.upper for event in self.events)


def events_below(batch: Batch, upper: str) -> set[str]:
    """Return what moved below an upper directory, as paths of changes; see `is_certain` for what that leaves out."""
    return {event.path for event in batch.events if event.upper == upper}


class Upper(NamedTuple):
    """An upper directory: a descriptor of it, its real path, and the file system's device and id as handles name it."""

    descriptor: int
    real: str
    device: int
    system: int


class Journal:
    """A group of marks. What this process does itself is left out: a scan is not to wake itself.

    Raises DockyardError where the kernel, or our rights, do not allow it.
    """

    def __init__(self, uppers: Iterable[str] = ()) -> None:
        self.uppers: dict[str, Upper] = {}
        self._descriptor = _group()
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLIN)
        try:
            for upper in uppers:
                self.add(upper)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Watch nothing any more."""
        for upper in self.uppers.values():
            os.close(upper.descriptor)
        self.uppers.clear()
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1

    def fileno(self) -> int:
        """Return the descriptor that is readable when something happened."""
        return self._descriptor

    def add(self, upper: str) -> None:
        """Watch an upper directory as well. Raises DockyardError where that, or its file system, cannot be watched."""
        if upper in self.uppers:
            return
        try:
            descriptor = os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise DockyardError(f"{upper}: cannot be watched: {error.strerror}") from None
        try:
            found = _upper(descriptor)
            if all(other.device != found.device for other in self.uppers.values()):
                _mark(self._descriptor, _ADD, descriptor, upper)
        except BaseException:
            os.close(descriptor)
            raise
        self.uppers[upper] = found

    def remove(self, upper: str) -> None:
        """Watch an upper directory no longer; without any on it, its file system costs nothing."""
        gone = self.uppers.pop(upper)
        if all(other.device != gone.device for other in self.uppers.values()):
            _mark(self._descriptor, _REMOVE, gone.descriptor, upper)
        os.close(gone.descriptor)

    def read(self, timeout_seconds: float | None = None) -> Batch:
        """Wait until something happened, and return it with what follows closely; nothing where the time was up.

        Without any time nothing is waited for: that returns what has happened so far.
        """
        if not self._poll.poll(None if timeout_seconds is None else timeout_seconds * 1000):
            return Batch([])
        from dockyard.scan.handles import located, raw_events

        if timeout_seconds != 0:
            time.sleep(GATHER)
        own, overflowed = os.getpid(), False
        raws: list[Raw] = []
        for chunk in self._chunks():
            for raw in raw_events(chunk):
                overflowed |= bool(raw.mask & OVERFLOW)
                if raw.pid != own and not raw.mask & OVERFLOW:
                    raws.append(raw)
        events, is_whole = located(raws, self.uppers)
        return Batch(events, overflowed or not is_whole)

    def _chunks(self) -> Iterable[bytes]:
        length = 0
        while length < MOST:
            try:
                chunk = os.read(self._descriptor, BUFFER)
            except BlockingIOError:
                return
            yield chunk
            length += len(chunk)


def blind_spot(release: str = "") -> str:
    """Return what the running kernel keeps from us; empty where it tells all that it can.

    Up to Linux 6.4 overlays open the files of their layers without notice (`FMODE_NONOTIFY` in fs/overlayfs/file.c).
    """
    major, minor, *_ = (release or os.uname().release).split(".")
    if (int(major), int(minor)) >= _TELLS_OF_WRITES:
        return ""
    return "before Linux 6.5 the kernel does not report writes to a file that a container has changed before"


def _upper(descriptor: int) -> Upper:
    from dockyard.overlay import place_of

    device, system = os.fstat(descriptor).st_dev, os.statvfs(descriptor).f_fsid
    return Upper(descriptor, place_of(descriptor), device, system)


def _group() -> int:
    flags = _ENDS_WITH_US | _WITHOUT_WAITING | _NAMES
    try:
        return init(flags | _TARGETS)
    except OSError as error:
        if not isinstance(error, PermissionError):
            try:  # before Linux 5.17: what a directory was called that is gone by now has to be guessed then
                return init(flags)
            except OSError as second:
                error = second
        hint = "run it as root in the host's user namespace, on Linux 5.9 or later"
        raise DockyardError(f"changes cannot be watched: {error.strerror}", hint) from None


def init(flags: int, event_flags: int = os.O_RDONLY | os.O_CLOEXEC) -> int:
    """Return the descriptor of a new group, see fanotify_init(2). Raises OSError."""
    import ctypes

    descriptor = library().fanotify_init(flags, event_flags)
    if descriptor < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(descriptor)


def _mark(group: int, action: int, descriptor: int, path: str) -> None:
    import ctypes

    mask = sum(MASKS)
    if library().fanotify_mark(group, action | _FILE_SYSTEM, mask, descriptor, None) < 0:
        reason = os.strerror(ctypes.get_errno())
        hint = "run it as the host's root, on a file system with file handles; otherwise, scan on a schedule"
        raise DockyardError(f"{path}: its file system cannot be watched: {reason}", hint)


def library() -> "ctypes.CDLL":
    """Return the C library, with the types of its fanotify. Raises DockyardError where it has none."""
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    try:
        library.fanotify_init.argtypes = (ctypes.c_uint, ctypes.c_uint)
        library.fanotify_mark.argtypes = (
            ctypes.c_int,
            ctypes.c_uint,
            ctypes.c_uint64,
            ctypes.c_int,
            ctypes.c_char_p,
        )
    except AttributeError:
        raise DockyardError("changes cannot be watched: the C library has no fanotify") from None
    return library
