"""A summary of the raised alerts of each container, written when they change: a scan reads that and not each alert.

A container that is gone is archived: its alerts stay raised, but only its summary is read, and they expire. Its row
has `gone`. `unseen` summarizes what the last scan did not show, `raised` everything; NULL: it must be computed.
`partial`: some of what the last scan did not show may still be there.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

from dockyard.scan.alert import INCOMPLETE, MORE, Alert
from dockyard.scan.alert_store import RAISED, alerts_where, opened, path, unreadable
from dockyard.scan.summary import Earlier, Summary, load, summarize

if TYPE_CHECKING:
    import sqlite3

EXPIRY_SECONDS = 90 * 24 * 3600  # for which the alerts of a container that is gone stay raised
MAX_ARCHIVED = 1000  # containers that are gone, the newest
MAX_ARCHIVED_ALERTS = 1_000_000
MAX_SINGLE_READS = 100  # alerts that are read one by one and not with all others of their container
NEWEST = 5  # containers that are gone of which a scan shows more than how many there are

_ARCHIVED = (
    "SELECT container, count, drift, gone FROM summaries INDEXED BY archived WHERE gone IS NOT NULL ORDER BY gone DESC"
)


def refresh(connection: "sqlite3.Connection", container: str, shown: Collection[str] | None = None) -> Summary | None:
    """Write the summary of a container that exists, and return what the last scan did not show.

    `shown` are the fingerprints of that scan; None: it showed what is not marked as gone.
    """
    query = f"SELECT fingerprint, what, gone FROM alerts WHERE container = ? AND {RAISED}"  # noqa: S608 - ours
    raised = connection.execute(query, (container,)).fetchall()
    if not raised:
        forget(connection, container)
        return None
    shown = {name for name, what, gone in raised if not gone and what != MORE} if shown is None else shown
    hidden = {name for name, what, _ in raised if what != INCOMPLETE and name not in shown}
    unseen = summarize(container, _named(connection, container, hidden)) if hidden else None
    partial = any(name in hidden and gone is None and what != MORE for name, what, gone in raised)
    connection.execute(
        "INSERT OR REPLACE INTO summaries (container, unseen, partial) VALUES (?, ?, ?)",
        (container, unseen.dump() if unseen else None, partial),
    )
    return unseen


def _named(connection: "sqlite3.Connection", container: str, fingerprints: Collection[str]) -> list[Alert]:
    if len(fingerprints) > MAX_SINGLE_READS:
        found = alerts_where(connection, f"container = ? AND {RAISED}", (container,))
        return [alert for alert in found if alert.fingerprint in fingerprints]
    condition = "container = ? AND fingerprint = ?"
    return [alert for name in fingerprints for alert in alerts_where(connection, condition, (container, name))]


def refresh_acknowledged(connection: "sqlite3.Connection", container: str) -> None:
    """Write the summary of a container of which alerts were accepted."""
    row = connection.execute("SELECT gone, partial FROM summaries WHERE container = ?", (container,)).fetchone()
    gone, partial = row or (None, False)
    if gone is not None:
        archive(connection, container, gone)
        return
    refresh(connection, container)
    if partial:  # only a scan knows what it does not show
        connection.execute("UPDATE scans SET seen = '' WHERE container = ?", (container,))


def unseen(connection: "sqlite3.Connection", container: str) -> Summary | None:
    """Return what the last scan of a container did not show of what is raised."""
    row = connection.execute("SELECT unseen FROM summaries WHERE container = ?", (container,)).fetchone()
    return load(row[0]) if row and row[0] else None


def forget(connection: "sqlite3.Connection", container: str) -> None:
    """Remove the summary of a container; nothing is written where there is none."""
    if connection.execute("SELECT 1 FROM summaries WHERE container = ?", (container,)).fetchone():
        connection.execute("DELETE FROM summaries WHERE container = ?", (container,))


# ------------------------------------------------------------------------------------------------------ the archive
def archive(connection: "sqlite3.Connection", container: str, gone: float) -> None:
    """Write the summary of a container that is gone; without raised alerts it has none."""
    found = _raised_summary(connection, container)
    if not found.total:
        forget(connection, container)
        return
    connection.execute(
        "INSERT OR REPLACE INTO summaries (container, gone, count, drift, raised) VALUES (?, ?, ?, ?, ?)",
        (container, gone, found.total, found.drift, found.dump()),
    )


def _raised_summary(connection: "sqlite3.Connection", container: str) -> Summary:
    condition = f"container = ? AND {RAISED} AND NOT (what = '{INCOMPLETE}' AND gone IS NOT NULL)"
    return summarize(container, alerts_where(connection, condition, (container,)))


def expire(connection: "sqlite3.Connection", now: float) -> None:
    """Remove archived containers with their alerts that are too old, or too many."""
    total = 0
    for number, (container, count, _, gone) in enumerate(connection.execute(_ARCHIVED).fetchall()):
        total += count
        if gone < now - EXPIRY_SECONDS or number >= MAX_ARCHIVED or total > MAX_ARCHIVED_ALERTS:
            connection.execute("DELETE FROM alerts WHERE container = ?", (container,))
            forget(connection, container)


# --------------------------------------------------------------------------------------------------------- reading
def earlier(scanned: Collection[str], names: Collection[str] = ()) -> Earlier:
    """Return what is raised of containers that were not scanned just now; with names, only of these.

    Raises DockyardError.
    """
    import sqlite3

    if not path().exists():
        return Earlier()
    try:
        with opened() as connection:
            return _earlier(connection, scanned, names)
    except (OSError, sqlite3.Error) as error:
        raise unreadable(error) from None


def _earlier(connection: "sqlite3.Connection", scanned: Collection[str], names: Collection[str]) -> Earlier:
    there = [
        _summary(connection, name)
        for (name,) in connection.execute("SELECT container FROM summaries WHERE gone IS NULL ORDER BY container")
        if name not in scanned and (not names or name in names)
    ]
    archived = [row for row in connection.execute(_ARCHIVED) if not names or row[0] in names]
    gone, rest = archived[:NEWEST], archived[NEWEST:]
    return Earlier(
        [one for one in there if one.total],
        [_summary(connection, name) for name, *_ in gone],
        (len(rest), sum(row[1] for row in rest), sum(row[2] for row in rest)),
    )


def _summary(connection: "sqlite3.Connection", container: str) -> Summary:
    """Return the summary of everything that is raised of a container, computed once."""
    row = connection.execute("SELECT raised FROM summaries WHERE container = ?", (container,)).fetchone()
    if row[0]:
        return load(row[0])
    found = _raised_summary(connection, container)
    connection.execute("UPDATE summaries SET raised = ? WHERE container = ?", (found.dump(), container))
    return found
