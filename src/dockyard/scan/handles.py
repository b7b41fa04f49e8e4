"""What fanotify writes, and which directories its handles are of: see fanotify(7) and open_by_handle_at(2)."""

import errno
import os
import struct
import time
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from dockyard.errors import DockyardError
from dockyard.overlay import place_of
from dockyard.scan.fanotify import MASKS, Event

if TYPE_CHECKING:
    from dockyard.scan.fanotify import Upper

_HEAD = struct.Struct("=IBBHQii")
_PART = struct.Struct("=BBH")
_SYSTEM = struct.Struct("=II")
_HANDLE = struct.Struct("=II")
_VERSION = 3
_OF_TARGET, _OF_DIRECTORY = 1, frozenset({2, 3})
_ENTRY = 0x40 | 0x80 | 0x100 | 0x200  # a name came or went
_ON_DIRECTORY = 0x40000000

_PIN = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC

PATIENCE = 2.0  # seconds in which the directories of one batch are found: an attacker makes them as deep as may be


class Raw(NamedTuple):
    """An event as the kernel has it: a directory, and what its name leads to, are a file system's id and a handle."""

    mask: int
    pid: int
    directory: bytes = b""
    name: bytes = b""
    target: bytes = b""


def raw_events(data: bytes) -> Iterator[Raw]:
    """Yield what one reading of the queue returned."""
    offset = 0
    while offset < len(data):
        length, version, _, start, mask, _, pid = _HEAD.unpack_from(data, offset)
        if version != _VERSION:
            raise DockyardError(f"the kernel reports changes in the unknown format version {version}")
        yield _parts(data, offset + start, offset + length, Raw(mask, pid))
        offset += length


def _parts(data: bytes, start: int, end: int, raw: Raw) -> Raw:
    while start < end:
        kind, _, length = _PART.unpack_from(data, start)
        begin = start + _PART.size
        size, _ = _HANDLE.unpack_from(data, begin + _SYSTEM.size)
        until = begin + _SYSTEM.size + _HANDLE.size + size
        if kind in _OF_DIRECTORY:
            name = data[until : start + length].partition(b"\0")[0]
            raw = raw._replace(directory=data[begin:until], name=b"" if name == b"." else name)
        elif kind == _OF_TARGET:
            raw = raw._replace(target=data[begin:until])
        start += length
    return raw


class Spot(NamedTuple):
    """Where a directory is: real paths; `upper` is empty where it is below none. One that is not exact is above it."""

    upper: str
    real: str
    is_exact: bool = True
    is_gone: bool = False

    def below(self, name: bytes) -> "Spot":
        """Return where a directory in it was."""
        return self._replace(real=f"{self.real}/{os.fsdecode(name)}" if self.is_exact else self.real, is_gone=True)


_ELSEWHERE = Spot("", "")


def _with_names(raws: list[Raw], finder: "_Finder") -> list[Raw]:
    """Return the events with the names of files that had none just then, as while an overlay makes a copy.

    What was done to a file that has no name any more is left out: it is in no directory. One that has, and was opened
    without it (by a handle), stays without.
    """
    if all(raw.directory for raw in raws):
        return raws
    entries = {raw.target: (raw.directory, raw.name) for raw in raws if raw.directory and raw.mask & _ENTRY}
    found = []
    for raw in raws:
        directory, name = (raw.directory, raw.name) if raw.directory else entries.get(raw.target, (b"", b""))
        if directory or finder.has_name(raw.target):
            found.append(raw._replace(directory=directory, name=name))
    return found


def located(raws: list[Raw], uppers: "Mapping[str, Upper]") -> tuple[list[Event], bool]:
    """Return the events below upper directories, and those of nobody knows where; and whether that is all of them."""
    finder = _Finder(uppers)
    raws = _with_names(raws, finder)
    spots = finder.spots([raw for raw in raws if raw.directory])
    given = {upper.real: path for path, upper in uppers.items()}
    events = []
    for raw in raws:
        spot = spots[raw.directory] if raw.directory else None
        if spot is None:
            events.append(Event("", os.fsdecode(raw.name), _kinds(raw.mask), raw.pid, "", is_gone=True))
        elif spot.upper:
            name = os.fsdecode(raw.name) if spot.is_exact else ""
            upper = given[spot.upper]
            directory = upper + spot.real[len(spot.upper) :]
            events.append(Event(directory, name, _kinds(raw.mask), raw.pid, upper, spot.is_gone))
    return events, finder.is_whole


@cache
def _kinds(mask: int) -> frozenset[str]:
    return frozenset(kind for bit, kind in MASKS.items() if mask & bit)


class _Finder:
    """Finds the directories of one batch, each once; where it takes too long, not all of them (`is_whole`)."""

    def __init__(self, uppers: "Mapping[str, Upper]") -> None:
        self._reals = {upper.real for upper in uppers.values()}
        self._lengths = sorted({len(real) for real in self._reals}, reverse=True)
        self._mounts = {upper.system: upper.descriptor for upper in uppers.values()}
        self._deadline = time.monotonic() + PATIENCE
        self._open = _opener()
        self.is_whole = True
        self._has_name: dict[bytes, bool] = {}

    def has_name(self, key: bytes) -> bool:
        """Return whether a file is in any directory."""
        if key not in self._has_name:
            descriptor = self._opened(key)
            self._has_name[key] = descriptor is not None and bool(os.fstat(descriptor).st_nlink)
            if descriptor is not None:
                os.close(descriptor)
        return self._has_name[key]

    def spots(self, raws: list[Raw]) -> dict[bytes, Spot | None]:
        """Return where the events' directories are, or were; None for one that nothing tells of."""
        found: dict[bytes, Spot | None] = {}
        for key in dict.fromkeys(raw.directory for raw in raws):
            self.is_whole = self.is_whole and time.monotonic() < self._deadline
            found[key] = self._look(key) if self.is_whole else _ELSEWHERE
        if any(spot is None or spot.is_gone for spot in found.values()):
            self._remember(raws, found)
        return found

    def _remember(self, raws: list[Raw], found: dict[bytes, Spot | None]) -> None:
        """Find what is gone by the entries that led there: from the last on, as what lies within goes first.

        An overlay takes away a directory by moving it out of the upper directory: the entry within counts.
        """
        for raw in reversed(raws):
            if not (raw.mask & _ON_DIRECTORY and raw.mask & _ENTRY and raw.target in found):
                continue
            spot, above = found[raw.target], found[raw.directory]
            if above and (spot is None or (spot.is_gone and above.upper and not spot.upper)):
                found[raw.target] = above.below(raw.name)

    def _look(self, key: bytes) -> Spot | None:
        descriptor = self._opened(key)
        if descriptor is None:
            return None
        try:
            return self._spot(descriptor)
        except OSError:
            return None
        finally:
            os.close(descriptor)

    def _opened(self, key: bytes) -> int | None:
        low, high = _SYSTEM.unpack_from(key)
        mount = self._mounts.get(low | high << 32)
        return None if mount is None else self._open(mount, key[_SYSTEM.size :])

    def _spot(self, descriptor: int) -> Spot:
        real, is_exact = self._nameable(descriptor)
        is_gone = is_exact and real.endswith(" (deleted)") and not os.fstat(descriptor).st_nlink
        real = real.removesuffix(" (deleted)") if is_gone else real
        return Spot(self._upper_of(real), real, is_exact, is_gone)

    def _nameable(self, descriptor: int) -> tuple[str, bool]:
        """Return the path of a directory, or of the nearest above it that has one, and whether it is its own."""
        real = _path(descriptor)
        if real is not None:
            return real, True
        above = os.open("..", _PIN, dir_fd=descriptor)
        try:
            while (real := _path(above)) is None:
                below, above = above, os.open("..", _PIN, dir_fd=above)
                os.close(below)
        finally:
            os.close(above)
        return real, False

    def _upper_of(self, real: str) -> str:
        for length in self._lengths:
            if real[:length] in self._reals and real[length : length + 1] in {"", "/"}:
                return real[:length]
        return ""


def _path(descriptor: int) -> str | None:
    """Return the path of a directory; None for one that is longer than the kernel tells."""
    try:
        return place_of(descriptor)
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return None


def _opener() -> Callable[[int, bytes], int | None]:
    """Return what opens a directory by its handle; None for one that is gone, or not ours to open."""
    import ctypes

    call = ctypes.CDLL(None, use_errno=True).open_by_handle_at
    call.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int)

    def opened(mount: int, handle: bytes) -> int | None:
        descriptor = call(mount, handle, os.O_PATH | os.O_CLOEXEC)
        return int(descriptor) if descriptor >= 0 else None

    return opened
