"""rpm's databases: headers in rpm's binary format, as rows of SQLite or, in SUSE's images, in a format called ndb.

The files are an image's, and so may be hostile. Headers are documented in rpm's docs/manual/format_header.md, ndb is in
lib/backend/ndb/rpmpkg.c.
"""

import sqlite3
import struct
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from dockyard.packages.package import MAX_PACKAGES, DamagedError, Package, checked_package

MAX_HEADER_BYTES = 64 * 1024 * 1024
MAX_NDB_BYTES = 512 * 1024 * 1024
MAX_STEPS = 100_000_000
"""Instructions of SQLite's virtual machine: a database may hold what never ends."""
_STEPS_AT_ONCE = 1_000_000
_NAME, _VERSION, _RELEASE, _EPOCH, _ARCHITECTURE = 1000, 1001, 1002, 1003, 1022
_INT32, _STRING = 4, 6
_ENTRY_BYTES = 16
_NDB_HEADER, _NDB_SLOT, _NDB_BLOB = b"RpmP", b"Slot", b"BlbS"
_NDB_PAGE_BYTES, _NDB_SLOT_BYTES, _NDB_HEADER_BYTES, _NDB_MAX_PAGES = 4096, 16, 32, 2048
_ALLOWED = {
    sqlite3.SQLITE_SELECT: lambda *_: True,
    sqlite3.SQLITE_READ: lambda table, *_: table in {"Packages", "sqlite_master", "sqlite_schema"},
}
"""What SQLite may do with such a database: no function is called, and nothing is written or attached."""


def parse_header(blob: bytes) -> Package:
    """Return the package that a header describes. Raises DamagedError."""
    try:
        count, size = struct.unpack_from(">II", blob)
        start = 8 + count * _ENTRY_BYTES
        if start + size > len(blob):
            raise DamagedError("the header of a package is truncated")
        data = blob[start : start + size]
        words = dict(_wanted_values(blob, count, data))
    except struct.error:
        raise DamagedError("the header of a package is truncated") from None
    missing = {_NAME, _VERSION, _RELEASE} - words.keys()
    if missing:
        raise DamagedError("the header of a package has no name, version or release")
    epoch = f"{words[_EPOCH]}:" if words.get(_EPOCH, "0") != "0" else ""
    version = f"{epoch}{words[_VERSION]}-{words[_RELEASE]}"
    return checked_package(words[_NAME], version, words.get(_ARCHITECTURE, ""))


def _wanted_values(blob: bytes, count: int, data: bytes) -> Iterator[tuple[int, str]]:
    for number in range(count):
        tag, kind, offset, _ = struct.unpack_from(">IIII", blob, 8 + number * _ENTRY_BYTES)
        if tag == _EPOCH and kind == _INT32:
            yield tag, str(struct.unpack_from(">I", data, offset)[0])
        elif tag in {_NAME, _VERSION, _RELEASE, _ARCHITECTURE} and kind == _STRING:
            end = data.find(b"\0", offset)
            if offset >= len(data) or end < 0:
                raise DamagedError("the header of a package is truncated")
            yield tag, data[offset:end].decode("utf-8", "replace")


def read_sqlite(path: Path) -> list[Package]:
    """Return the packages of a database: a copy, of which SQLite may change the files beside it.

    Raises DamagedError.
    """
    try:
        with closing(sqlite3.connect(path, isolation_level=None)) as opened:
            _confine(opened)
            kinds = opened.execute("SELECT type, sql FROM sqlite_master WHERE name = 'Packages'").fetchall()
            if [kind for kind, _ in kinds] != ["table"] or "virtual" in str(kinds[0][1]).lower():
                raise DamagedError("it has no table of packages")
            rows = opened.execute(f"SELECT blob FROM Packages LIMIT {MAX_PACKAGES + 1}")  # noqa: S608 - a number
            return [parse_header(blob) for (blob,) in rows if _is_blob(blob)]
    except sqlite3.Error as error:
        raise DamagedError(f"SQLite reports: {error}") from None
    except (OverflowError, UnicodeDecodeError, MemoryError):
        raise DamagedError("it is not a database of packages") from None


def _is_blob(value: object) -> bool:
    if not isinstance(value, bytes):
        raise DamagedError("the header of a package is not binary")
    return True


def _confine(opened: sqlite3.Connection) -> None:
    """Have SQLite do nothing for this database but read its table, and that not for ever."""
    opened.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_HEADER_BYTES)
    opened.execute("PRAGMA trusted_schema = OFF")
    opened.execute("PRAGMA cell_size_check = ON")
    opened.execute("PRAGMA query_only = ON")
    opened.execute("PRAGMA mmap_size = 0")
    rounds = iter(range(MAX_STEPS // _STEPS_AT_ONCE))
    opened.set_progress_handler(lambda: next(rounds, None) is None, _STEPS_AT_ONCE)
    opened.set_authorizer(_authorize)


def _authorize(action: int, *words: str | None) -> int:
    is_allowed = action in _ALLOWED and _ALLOWED[action](*words)
    return sqlite3.SQLITE_OK if is_allowed else sqlite3.SQLITE_DENY


def read_ndb(read: Callable[[int, int], bytes]) -> list[Package]:
    """Return the packages of an ndb database; `read(size, place)` returns bytes of it, fewer at its end.

    Raises DamagedError.
    """
    head = read(_NDB_HEADER_BYTES, 0)
    if len(head) < _NDB_HEADER_BYTES or head[:4] != _NDB_HEADER:
        raise DamagedError("it is not a database of packages")
    version, _, pages = struct.unpack_from("<III", head, 4)
    if version or not 0 < pages <= _NDB_MAX_PAGES:
        raise DamagedError("it is in a format of rpm that is not supported")
    slots = read(pages * _NDB_PAGE_BYTES - _NDB_HEADER_BYTES, _NDB_HEADER_BYTES)
    found = []
    budget = MAX_NDB_BYTES
    for magic, number, block, _ in struct.iter_unpack("<4sIII", slots[: len(slots) // 16 * 16]):
        if magic != _NDB_SLOT:
            raise DamagedError("its list of packages is damaged")
        if number:
            blob = _read_ndb_blob(read, block * _NDB_SLOT_BYTES, number)
            budget -= len(blob)
            if budget < 0:
                raise DamagedError("the headers of its packages are too large")
            found.append(parse_header(blob))
    return found


def _read_ndb_blob(read: Callable[[int, int], bytes], place: int, number: int) -> bytes:
    head = read(_NDB_SLOT_BYTES, place)
    if len(head) < _NDB_SLOT_BYTES or head[:4] != _NDB_BLOB or struct.unpack_from("<I", head, 4)[0] != number:
        raise DamagedError("the header of a package is in the wrong place")
    size = struct.unpack_from("<I", head, 12)[0]
    if size > MAX_HEADER_BYTES:
        raise DamagedError("the header of a package is too large")
    return read(size, place + _NDB_SLOT_BYTES)
