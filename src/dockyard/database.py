"""A small SQLite database of dockyard's own: written ahead, for its owner alone, moved aside where it is damaged."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.telling import warn

if TYPE_CHECKING:
    import sqlite3

PATIENCE = 10.0  # seconds that one process waits for another's writing


@contextmanager
def database(place: Path, schema: str) -> Iterator["sqlite3.Connection"]:
    """Open a database, within one transaction; a damaged one is moved aside and replaced by an empty one.

    Raises OSError and sqlite3.Error.
    """
    import sqlite3

    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    try:
        connection = _opened(place, schema)
    except sqlite3.OperationalError:
        raise
    except sqlite3.DatabaseError:
        connection = _anew(place, schema)
    identity = place.stat().st_ino
    with closing(connection):
        try:
            with connection:
                yield connection
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
                _give_up(place, identity)
            raise


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Have no two processes move a database aside: the second one's would be the new one."""
    above = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(above, fcntl.LOCK_EX)
        yield
    finally:
        os.close(above)


def _anew(place: Path, schema: str) -> "sqlite3.Connection":
    """Move a damaged database aside, unless another process has just done so, and open the new one."""
    import sqlite3

    with _alone(place.parent):
        try:
            return _opened(place, schema)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:
            _move_aside(place)
        return _opened(place, schema)


def _give_up(place: Path, identity: int) -> None:
    """Move a database aside that turned out to be damaged; the next run starts an empty one."""
    with _alone(place.parent):
        if place.stat().st_ino == identity:
            _move_aside(place)


def _move_aside(place: Path) -> None:
    aside = place.with_name(f"{place.stem}-damaged-{time.time_ns()}{place.suffix}")
    place.rename(aside)
    for suffix in ("-wal", "-shm"):  # a new database must not be given the old one's
        part = place.with_name(place.name + suffix)
        if part.exists():
            part.rename(aside.with_name(aside.name + suffix))
    warn(f"{place}: the database was damaged; a new one was started, the old one is {aside}")


def _opened(place: Path, schema: str) -> "sqlite3.Connection":
    import sqlite3

    connection = sqlite3.connect(place, timeout=PATIENCE)
    try:
        # Written ahead: readers never wait, and what a power cut loses is the last commit, not the database.
        _written_ahead(connection)
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.executescript(schema)
    except BaseException:
        connection.close()
        raise
    return connection


def _written_ahead(connection: "sqlite3.Connection") -> None:
    """Have a new database written ahead; where several processes make it at once, SQLite does not wait by itself."""
    import sqlite3

    deadline = time.monotonic() + PATIENCE
    while connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
