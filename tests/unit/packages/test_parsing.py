"""What package managers write is read; whatever else a file holds is an error that says so."""

import sqlite3
import struct
from contextlib import closing, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.packages.apk import parse_installed
from dockyard.packages.dpkg import parse_status
from dockyard.packages.package import DamagedError, Package
from dockyard.packages.rpm import parse_header, read_ndb, read_sqlite
from tests.unit.packages.databases import (
    apk_installed,
    dpkg_status,
    ndb_database,
    rpm_header,
    write_rpm_database,
)

ASCII = st.from_regex(r"[a-z0-9][a-z0-9.+~-]{0,20}", fullmatch=True)


def test_dpkg_lists_what_is_installed() -> None:
    """A package that was removed and left its configuration is not installed; a description is not a field."""
    removed = "Package: gone\nStatus: deinstall ok config-files\nVersion: 1\nArchitecture: amd64\n\n"
    text = dpkg_status(("openssl", "3.0.17-1~deb12u2"), ("tzdata", "2025b-0+deb12u1")) + removed
    assert parse_status(text.encode()) == [
        Package("openssl", "3.0.17-1~deb12u2", "amd64"),
        Package("tzdata", "2025b-0+deb12u1", "amd64"),
    ]


def test_a_distroless_stanza_needs_no_state() -> None:
    """In status.d there is one file for each package, without the field Status."""
    assert parse_status(b"Package: base-files\nVersion: 12.4\nArchitecture: amd64\n") == [
        Package("base-files", "12.4", "amd64")
    ]


def test_apk_lists_what_is_installed() -> None:
    """The files of a package are not packages."""
    assert parse_installed(apk_installed(("musl", "1.2.5-r0"), ("busybox", "1.36.1-r29")).encode()) == [
        Package("musl", "1.2.5-r0", "x86_64"),
        Package("busybox", "1.36.1-r29", "x86_64"),
    ]


def test_an_empty_list_lists_nothing() -> None:
    """Debian's smallest images have an empty status file."""
    assert parse_status(b"") == parse_installed(b"\n") == []


def test_rpm_reads_headers(tmp_path: Path) -> None:
    """Version, release and epoch are one version, as `rpm -qa` prints it; an epoch of 0 is none."""
    headers = [rpm_header("bash", "5.2.26", "4.el9"), rpm_header("bind", "9.16", "1", architecture="noarch", epoch=32)]
    write_rpm_database(tmp_path / "rpmdb.sqlite", headers)
    expected = [Package("bash", "5.2.26-4.el9", "x86_64"), Package("bind", "32:9.16-1", "noarch")]
    assert read_sqlite(tmp_path / "rpmdb.sqlite") == expected
    data = ndb_database(headers)
    assert read_ndb(lambda size, place: data[place : place + size]) == expected


@given(st.lists(st.tuples(ASCII, ASCII), min_size=1, max_size=20))
def test_what_is_written_is_read(packages: list[tuple[str, str]]) -> None:
    """Whatever the names and versions are."""
    assert [one[:2] for one in parse_status(dpkg_status(*packages).encode())] == packages
    assert [one[:2] for one in parse_installed(apk_installed(*packages).encode())] == packages
    data = ndb_database([rpm_header(name, version, "1") for name, version in packages])
    found = read_ndb(lambda size, place: data[place : place + size])
    assert [(one.name, one.version) for one in found] == [(name, f"{version}-1") for name, version in packages]


MOSTLY_RIGHT = st.one_of(
    st.binary(max_size=400),
    st.lists(
        st.sampled_from(
            [b"Package: a", b"Version: 1", b"P:a", b"V:1", b"A:\xff", b"Package: \x1b[2J", b"\n", b" x", b":"]
        )
    ).map(b"\n".join),
)


@given(MOSTLY_RIGHT)
def test_no_text_is_more_than_damaged(data: bytes) -> None:
    """Any bytes are a list of packages whose words are safe to print, or an error."""
    for parse in (parse_status, parse_installed):
        try:
            found = parse(data)
        except DamagedError:
            continue
        assert all(word.isascii() and word.isprintable() and " " not in word for one in found for word in one)


GOOD = rpm_header("bash", "5.2.26", "4.el9", epoch=1)
CHANGES = st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=8)


def _changed(data: bytes, changes: list[tuple[int, int]], end: int) -> bytes:
    changed = bytearray(data)
    for place, value in changes:
        changed[place % len(changed)] = value
    return bytes(changed[:end])


@given(st.one_of(st.binary(max_size=200), st.builds(_changed, st.just(GOOD), CHANGES, st.integers(0, len(GOOD)))))
def test_no_header_is_more_than_damaged(blob: bytes) -> None:
    """Any bytes, and a good header with some of them changed, are a package or an error."""
    with suppress(DamagedError):
        assert parse_header(blob).name


NDB = ndb_database([GOOD, GOOD])


@given(st.one_of(st.binary(max_size=200), st.builds(_changed, st.just(NDB), CHANGES, st.integers(0, len(NDB)))))
def test_no_ndb_is_more_than_damaged(data: bytes) -> None:
    """Nor with slots that name the same place, or one outside of the file."""
    with suppress(DamagedError):
        read_ndb(lambda size, place: data[place : place + size])


def test_slots_that_all_name_one_large_header_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file cannot have us read one place again and again without end."""
    monkeypatch.setattr("dockyard.packages.rpm.MAX_NDB_BYTES", len(GOOD) * 3)
    head, blob = NDB[:32], NDB[4096:]
    data = head + struct.pack("<4sIII", b"Slot", 1, 256, 1) * 254 + blob
    with pytest.raises(DamagedError, match="too large"):
        read_ndb(lambda size, place: data[place : place + size])


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A good database of SQLite."""
    path = tmp_path_factory.mktemp("rpm") / "rpmdb.sqlite"
    write_rpm_database(path, [GOOD])
    return path.read_bytes()


@given(st.one_of(st.binary(max_size=2000), CHANGES))
def test_no_file_of_sqlite_is_more_than_damaged(
    tmp_path_factory: pytest.TempPathFactory, database: bytes, content: bytes | list[tuple[int, int]]
) -> None:
    """Any bytes, and a good database with some of them changed."""
    path = tmp_path_factory.mktemp("rpm") / "rpmdb.sqlite"
    path.write_bytes(content if isinstance(content, bytes) else _changed(database, content, len(database)))
    with suppress(DamagedError):
        read_sqlite(path)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW Packages AS WITH RECURSIVE n(blob) AS (VALUES(0) UNION ALL SELECT blob FROM n) SELECT blob FROM n",
        "CREATE VIRTUAL TABLE Packages USING fts5(blob)",
        "CREATE TABLE Packages (hnum INTEGER, blob TEXT GENERATED ALWAYS AS (zeroblob(1000000000)))",
        "CREATE TABLE Other (blob)",
    ],
    ids=["endless view", "virtual table", "generated column", "no table"],
)
def test_a_database_that_computes_is_refused(tmp_path: Path, statement: str) -> None:
    """Only a plain table is read: what else a database may hold could run for ever."""
    with closing(sqlite3.connect(tmp_path / "rpmdb.sqlite")) as opened, opened:
        opened.execute(statement)
        if "GENERATED" in statement:
            opened.execute("INSERT INTO Packages (hnum) VALUES (1)")
    with pytest.raises(DamagedError):
        read_sqlite(tmp_path / "rpmdb.sqlite")
