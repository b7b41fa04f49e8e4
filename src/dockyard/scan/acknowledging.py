"""What users have accepted: alerts that are raised, and who accepted which of them, when and why."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from dockyard.errors import NoSuchNameError, UsageError
from dockyard.scan.alert import Alert
from dockyard.scan.alert_store import RAISED, alerts_where, opened, path, select, unreadable
from dockyard.scan.summaries import refresh_acknowledged
from dockyard.text import did_you_mean, escaped

if TYPE_CHECKING:
    import sqlite3

ACKNOWLEDGEMENTS = 100_000  # the newest that are kept
LEAST = 4  # characters of a fingerprint that name it
SUGGESTED = 5  # alerts that an ambiguous beginning is said to name

_ORDER = "ORDER BY container, severity, since, fingerprint"


class Acknowledgement(NamedTuple):
    """Who accepted what, when (in seconds of the epoch), and why."""

    when: float
    container: str
    fingerprint: str
    path: str
    what: str
    by: str
    why: str


def raised(containers: Sequence[str] = ()) -> list[Alert]:
    """Return all alerts that are raised, or those of some containers, the worst first. Raises DockyardError."""
    if not containers:
        return select(f"{RAISED} {_ORDER}")
    marks = ", ".join("?" * len(containers))
    return select(f"container IN ({marks}) AND {RAISED} {_ORDER}", containers)


def acknowledge(which: Sequence[str], by: str, reason: str) -> list[Alert]:
    """Accept alerts by fingerprint, its beginning, or the name of their container; returns them, as they now are.

    All of them, or none: raises NoSuchNameError where one is not raised or is not the only one, UsageError without a
    reason.
    """
    import sqlite3

    if not reason.strip():
        raise UsageError("acknowledging an alert needs a reason", hint="give one, such as --reason 'my hotfix'")
    now = time.time()
    try:
        with opened() as connection:
            connection.execute("BEGIN IMMEDIATE")
            chosen = {alert.fingerprint: alert for word in which for alert in _named(connection, word)}
            done = [alert._replace(acknowledged=now, by=by, why=reason) for alert in chosen.values()]
            _keep_acknowledgements(connection, done)
            for container in sorted({alert.container for alert in done}):
                refresh_acknowledged(connection, container)
            return done
    except (OSError, sqlite3.Error) as error:
        raise unreadable(error) from None


def acknowledgements(limit: int = 50) -> list[Acknowledgement]:
    """Return the newest acknowledgements first. Raises DockyardError."""
    import sqlite3

    if not path().exists():
        return []
    query = "SELECT at, container, fingerprint, path, what, by, why FROM acknowledgements ORDER BY number DESC LIMIT ?"
    try:
        with opened() as connection:
            return [Acknowledgement(*row) for row in connection.execute(query, (limit,))]
    except (OSError, sqlite3.Error) as error:
        raise unreadable(error) from None


def _keep_acknowledgements(connection: "sqlite3.Connection", done: Sequence[Alert]) -> None:
    connection.executemany(
        "UPDATE alerts SET acknowledged = ?, by = ?, why = ? WHERE container = ? AND fingerprint = ?",
        [(one.acknowledged, one.by, one.why, one.container, one.fingerprint) for one in done],
    )
    connection.executemany(
        "INSERT INTO acknowledgements (at, container, fingerprint, path, what, by, why) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(one.acknowledged, one.container, one.fingerprint, one.path, one.what, one.by, one.why) for one in done],
    )
    oldest = "SELECT number FROM acknowledgements ORDER BY number DESC LIMIT 1 OFFSET ?"
    connection.execute(f"DELETE FROM acknowledgements WHERE number <= ({oldest})", (ACKNOWLEDGEMENTS,))  # noqa: S608


def _named(connection: "sqlite3.Connection", word: str) -> list[Alert]:
    """Return the alerts that a word names. Raises NoSuchNameError for none, and for several that it does not mean."""
    ours = alerts_where(connection, f"container = ? AND {RAISED} {_ORDER}", (word,))
    begun = _begun(connection, word) if len(word) >= LEAST else []
    if len(begun) > 1 or (ours and begun):
        several = ", ".join([*(f"container {word}" for _ in ours[:1]), *(alert.fingerprint for alert in begun)])
        raise NoSuchNameError(
            f"`{escaped(word)}` names more than one alert: {several}", hint="write more of its characters"
        )
    if ours or begun:
        return ours or begun
    known = {name for (name,) in connection.execute("SELECT container FROM summaries")}
    raise NoSuchNameError(
        f"no alert `{escaped(word)}` is raised",
        hint=did_you_mean(word, known) or "list the raised alerts with `d-cowscan --alerts`",
    )


def _begun(connection: "sqlite3.Connection", word: str) -> list[Alert]:
    """Return the first alerts whose fingerprint begins with a word."""
    condition = f"fingerprint >= ? AND fingerprint < ? AND {RAISED} ORDER BY fingerprint LIMIT {SUGGESTED}"
    return alerts_where(connection, condition, (word, f"{word}\U0010ffff"))
