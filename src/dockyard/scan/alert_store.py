"""The database of alerts: its tables, its indexes, and how one of an older version is brought up to date."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.database import database
from dockyard.errors import DockyardError
from dockyard.scan.alert import INCOMPLETE, Alert
from dockyard.secrets import state_directory

if TYPE_CHECKING:
    import sqlite3

VERSION = 1  # of the tables; 0 had no summaries

_SCHEMA = """
CREATE TABLE IF NOT EXISTS alerts (
    container TEXT NOT NULL, fingerprint TEXT NOT NULL, identifier TEXT NOT NULL, row TEXT NOT NULL,
    since REAL NOT NULL, gone REAL, acknowledged REAL, by TEXT NOT NULL DEFAULT '', why TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL, what TEXT NOT NULL, severity INTEGER NOT NULL, closed REAL,
    logged INTEGER NOT NULL DEFAULT 0, notified INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (container, fingerprint));
CREATE INDEX IF NOT EXISTS by_fingerprint ON alerts (fingerprint);
CREATE INDEX IF NOT EXISTS untold ON alerts (container) WHERE NOT (logged AND notified);
CREATE INDEX IF NOT EXISTS accepted ON alerts (container, fingerprint)
    WHERE acknowledged IS NOT NULL AND gone IS NULL;
CREATE INDEX IF NOT EXISTS accepted_and_gone ON alerts (gone, acknowledged)
    WHERE acknowledged IS NOT NULL AND gone IS NOT NULL;
CREATE INDEX IF NOT EXISTS closed ON alerts (closed) WHERE closed IS NOT NULL;
CREATE TABLE IF NOT EXISTS scans (container TEXT PRIMARY KEY, at REAL NOT NULL, seen TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS summaries (
    container TEXT PRIMARY KEY, gone REAL, count INTEGER, drift INTEGER, raised TEXT, unseen TEXT,
    partial INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS archived ON summaries (gone) WHERE gone IS NOT NULL;
CREATE TABLE IF NOT EXISTS acknowledgements (
    number INTEGER PRIMARY KEY, at REAL NOT NULL, container TEXT NOT NULL, fingerprint TEXT NOT NULL,
    path TEXT NOT NULL, what TEXT NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL);
"""
RAISED = "acknowledged IS NULL AND closed IS NULL"
_COLUMNS = "container, fingerprint, identifier, row, since, gone, acknowledged, by, why"

_SUMMARIZE = f"""
INSERT OR IGNORE INTO summaries (container, gone, count, drift)
SELECT container,
    CASE WHEN container IN (SELECT container FROM scans) THEN NULL ELSE coalesce(max(gone), max(since)) END,
    count(*), count(*)
FROM alerts WHERE {RAISED} AND what != '{INCOMPLETE}' GROUP BY container
"""  # noqa: S608 - ours


def path() -> Path:
    """Return where the alerts are."""
    return state_directory() / "alerts.db"


@contextmanager
def opened() -> Iterator["sqlite3.Connection"]:
    """Open the database, within one transaction. Raises OSError and sqlite3.Error."""
    with database(path(), _SCHEMA) as connection:
        if _version(connection) < VERSION:
            _migrate(connection)
        yield connection


def _version(connection: "sqlite3.Connection") -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _migrate(connection: "sqlite3.Connection") -> None:
    """Add summaries to a database without any; alerts stay as they are.

    Each container is compared once more at its next scan, which completes its summary.
    """
    connection.execute("BEGIN IMMEDIATE")
    if _version(connection) < VERSION:  # another process may have done it in the meantime
        connection.execute(_SUMMARIZE)
        connection.execute("UPDATE scans SET seen = ''")
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.commit()


def alerts_where(connection: "sqlite3.Connection", condition: str, values: Sequence[object] = ()) -> list[Alert]:
    """Return the alerts that meet a condition of ours, in SQL."""
    import json

    query = f"SELECT {_COLUMNS} FROM alerts WHERE {condition}"  # noqa: S608 - ours
    with closing(connection.execute(query, values)) as cursor:
        return [Alert(*row)._replace(row=json.loads(row[3])) for row in cursor]


def select(condition: str, values: Sequence[object] = ()) -> list[Alert]:
    """Return the alerts that meet a condition of ours; none where there is no database. Raises DockyardError."""
    import sqlite3

    if not path().exists():
        return []
    try:
        with opened() as connection:
            return alerts_where(connection, condition, values)
    except (OSError, sqlite3.Error) as error:
        raise unreadable(error) from None


def unreadable(error: Exception) -> DockyardError:
    """Return the error for a database that cannot be used."""
    return DockyardError(
        f"{path()}: the alerts cannot be read or written: {error}",
        hint="restore it from a backup; without the file, all alerts are new",
    )
