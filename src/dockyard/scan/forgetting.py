"""Removing the alerts of containers whose service is gone: from every table that knows containers."""

from collections.abc import Collection
from contextlib import closing
from typing import TYPE_CHECKING

from dockyard.errors import DockyardError
from dockyard.scan.alert_store import path

if TYPE_CHECKING:
    import sqlite3


def count(containers: Collection[str]) -> int:
    """Return the number of alerts of containers. Raises DockyardError if they cannot be read."""
    return _each(containers, "SELECT count(*) FROM {table} WHERE container IN ({marks})", only="alerts")


def forget(containers: Collection[str]) -> None:
    """Remove all that is known of containers. Raises DockyardError if that is not possible."""
    _each(containers, "DELETE FROM {table} WHERE container IN ({marks})")


def _each(containers: Collection[str], statement: str, only: str = "") -> int:
    """Run a statement on each table that has a column for the container; returns the sum of what it counts."""
    import sqlite3

    if not path().exists():
        return 0
    marks, total = ", ".join("?" * len(containers)), 0
    try:
        with closing(sqlite3.connect(path(), timeout=10)) as opened, opened:
            for table in [only] if only else _tables(opened):
                rows = opened.execute(statement.format(table=table, marks=marks), tuple(containers)).fetchall()
                total += sum(int(row[0]) for row in rows)
    except sqlite3.Error as error:
        raise DockyardError(f"{path()}: the alerts cannot be changed: {error}") from None
    return total


def _tables(opened: "sqlite3.Connection") -> list[str]:
    query = (
        "SELECT m.name FROM sqlite_master AS m JOIN pragma_table_info(m.name) AS c "
        "WHERE m.type = 'table' AND c.name = 'container'"
    )
    return [str(name) for (name,) in opened.execute(query)]
