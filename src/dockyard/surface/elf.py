"""What a program of the ELF format asks for when it starts: its loader and its libraries; see elf(5).

A parser of one's own for three fields of the format: what it reads comes from images, and anything odd in it is just no
answer. A library would be a dependency for that.
"""

import struct
from collections.abc import Callable
from typing import NamedTuple

Read = Callable[[int, int], bytes]
"""Returns so many bytes from a place in a file: `read(size, place)`; fewer at its end."""

_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3
_NEEDED, _STRINGS, _RPATH, _RUNPATH = 1, 5, 15, 29
_LONGEST = 4096  # bytes of a path
_MOST = 2**20  # bytes of a table that are read
_HEADER, _PROGRAM_OFFSET, _PROGRAM_SIZES = 64, 32, 54
_IS_64, _LITTLE = 2, 1


class Needs(NamedTuple):
    """The loader's path, the names of libraries, and the directories that they are looked for in first."""

    loader: str = ""
    libraries: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()


class _Segment(NamedTuple):
    kind: int
    place: int
    address: int
    size: int


def needs_of(read: Read) -> Needs:
    """Return what a file needs; nothing for one that is static, of 32 bits, or no ELF file at all."""
    head = read(_HEADER, 0)
    if len(head) < _HEADER or head[:4] != b"\x7fELF" or head[4] != _IS_64:
        return Needs()
    order = "<" if head[5] == _LITTLE else ">"
    try:
        segments = _segments(read, head, order)
        loader = next((_text(read(_LONGEST, one.place)) for one in segments if one.kind == _INTERPRETER), "")
        return Needs(loader, *_dynamic(read, segments, order))
    except (struct.error, StopIteration):
        return Needs()


def _segments(read: Read, head: bytes, order: str) -> list[_Segment]:
    (place,) = struct.unpack_from(f"{order}Q", head, _PROGRAM_OFFSET)
    size, count = struct.unpack_from(f"{order}HH", head, _PROGRAM_SIZES)
    table = read(min(size * count, _MOST), place)
    found = []
    for number in range(len(table) // size if size else 0):
        kind, _, offset, address, _, length = struct.unpack_from(f"{order}IIQQQQ", table, number * size)
        found.append(_Segment(kind, offset, address, length))
    return found


def _dynamic(read: Read, segments: list[_Segment], order: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    tables = [one for one in segments if one.kind == _DYNAMIC]
    if not tables:
        return (), ()
    table = read(min(tables[0].size, _MOST), tables[0].place)
    entries = list(struct.iter_unpack(f"{order}QQ", table[: len(table) // 16 * 16]))
    address = next(value for tag, value in entries if tag == _STRINGS)
    strings = next(
        one.place + address - one.address
        for one in segments
        if one.kind == _LOAD and one.address <= address < one.address + one.size
    )

    def texts(*tags: int) -> tuple[str, ...]:
        return tuple(_text(read(_LONGEST, strings + value)) for tag, value in entries if tag in tags)

    paths = (directory for path in texts(_RPATH, _RUNPATH) for directory in path.split(":"))
    return texts(_NEEDED), tuple(filter(None, paths))


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode("utf-8", "surrogateescape")
