"""Package databases as tests write them: the bytes that dpkg, apk and rpm would have left in an image."""

import sqlite3
import struct
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

from dockyard.engine.models import Image

STRING, INT32, BINARY = 6, 4, 7


def dpkg_status(*packages: tuple[str, str], architecture: str = "amd64") -> str:
    """Return a dpkg status file that lists packages by name and version."""
    return "".join(
        f"Package: {name}\nStatus: install ok installed\nPriority: required\nArchitecture: {architecture}\n"
        f"Version: {version}\nDescription: a package\n with a second line\n .\n Package: not a field\n\n"
        for name, version in packages
    )


def apk_installed(*packages: tuple[str, str]) -> str:
    """Return apk's list of packages, with the files of each."""
    return "".join(
        f"C:Q1abc=\nP:{name}\nV:{version}\nA:x86_64\nS:1\nF:bin\nR:{name}\na:0:0:755\n\n" for name, version in packages
    )


def rpm_header(
    name: str, version: str, release: str, *, architecture: str = "x86_64", epoch: int | None = None
) -> bytes:
    """Return a header as it is in rpm's database: an index of tags, then their values."""
    texts = ((1000, name), (1001, version), (1002, release), (1022, architecture))
    entries, data = [], b""
    for tag, text in texts:
        entries.append((tag, STRING, len(data), 1))
        data += text.encode() + b"\0"
    data += bytes(-len(data) % 4)
    for tag, number in ((1003, epoch), (1008, 1_700_000_000)):
        if number is not None:
            entries.append((tag, INT32, len(data), 1))
            data += struct.pack(">I", number)
    entries.insert(0, (63, BINARY, len(data), 16))
    data += struct.pack(">IIiI", 63, BINARY, -len(entries) * 16, 16)
    index = b"".join(struct.pack(">IIII", *entry) for entry in entries)
    return struct.pack(">II", len(entries), len(data)) + index + data


def write_rpm_database(path: Path, headers: Iterable[bytes]) -> None:
    """Write rpm's database of SQLite."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as opened, opened:
        opened.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
        opened.executemany("INSERT INTO Packages (blob) VALUES (?)", [(header,) for header in headers])


def ndb_database(headers: Iterable[bytes]) -> bytes:
    """Return rpm's database of the format ndb, with one page of slots."""
    slots, blobs, place = b"", b"", 4096
    for number, header in enumerate(headers, 1):
        blob = struct.pack("<4sIII", b"BlbS", number, 1, len(header)) + header
        blob += bytes(-len(blob) % 16) + struct.pack("<III4s", 0, 0, len(header), b"BlbE")[-16:]
        slots += struct.pack("<4sIII", b"Slot", number, (place + len(blobs)) // 16, len(blob) // 16)
        blobs += blob
    free = struct.pack("<4sIII", b"Slot", 0, 0, 0)
    head = struct.pack("<4sIIII12x", b"RpmP", 0, 1, 1, 10)
    return head + slots + free * ((4096 - 32 - len(slots)) // 16) + blobs


def write(path: Path, text: str | bytes, mode: int = 0o644) -> Path:
    """Write a file, and the directories that it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(mode)
    return path


def image(number: str, *layers: Path, configuration: str = "c") -> Image:
    """Return an image of these layers, the uppermost first."""
    return Image(number, layers=tuple(map(str, layers)), content=number, configuration=configuration)
