"""The alerts of all containers: what was found, what of that is news, and who was notified of it.

An alert stays raised until it is acknowledged, even when its cause is gone. If its container is gone, it expires with
the archive (summaries.py). What is acknowledged is accepted as it is: if it changes, or disappears and appears
again, it is news. Only that a scan is incomplete ends by itself.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dockyard.scan.alert import INCOMPLETE, MORE, SEVERITIES, Alert, News, Row, fitted, hashed, incomplete, more, state
from dockyard.scan.alert_store import alerts_where, opened, path, unreadable
from dockyard.scan.summaries import archive, expire, refresh, unseen
from dockyard.telling import warn

if TYPE_CHECKING:
    import sqlite3

MOST = 10_000  # alerts of a container
MOST_UNTOLD = 10_000  # alerts that are read to be reported; more are counted
REMEMBERED = 90 * 24 * 3600  # seconds for which what is over stays known

_UNTOLD = "acknowledged IS NULL AND NOT (logged AND notified)"
_ACCEPTED = (
    "SELECT fingerprint FROM alerts INDEXED BY accepted "
    "WHERE container = ? AND acknowledged IS NOT NULL AND gone IS NULL"
)
_CLOSED = "DELETE FROM alerts INDEXED BY closed WHERE closed < :before"
_ACCEPTED_AND_GONE = (
    "DELETE FROM alerts INDEXED BY accepted_and_gone "
    "WHERE acknowledged IS NOT NULL AND gone < :before AND acknowledged < :before"
)


class Untold(NamedTuple):
    """Alerts that were not yet written to the log, those that were not yet sent, and how many more there are of each.

    `last` is the number of the last alert that they are taken from.
    """

    log: list[Alert]
    send: list[Alert]
    more_to_log: int = 0
    more_to_send: int = 0
    last: int = 0


class _Seen(NamedTuple):
    """One container's scan, as it is compared with what is known."""

    container: str
    identifier: str
    rows: Mapping[str, Row]
    when: float
    complete: bool

    @property
    def digest(self) -> str:
        """What is the same as long as the scan says the same."""
        told = sorted((fingerprint, state(row)) for fingerprint, row in self.rows.items())
        return hashed(self.identifier, self.complete, told)


# ------------------------------------------------------------------------------------------------------------ scans
def observe(  # noqa: PLR0913
    container: str,
    identifier: str,
    rows: Sequence[Row],
    when: float,
    *,
    complete: bool,
    reasons: Iterable[str] = (),
) -> News:
    """Keep what a scan of a container found, which began at `when`; returns what of it is news.

    `reasons` say why it is not complete: each is an alert, until a scan is. Nothing is written where nothing has
    changed. Where nothing can be written, that is told, and all that was found is news.
    """
    import sqlite3

    told = [*rows, *(incomplete(container, reason) for reason in reasons)]
    seen = _Seen(container, identifier, {row["fingerprint"]: row for row in told}, when, complete)
    try:
        with opened() as connection:
            return _unchanged(connection, seen) or _compared(connection, seen)
    except (OSError, sqlite3.Error) as error:
        warn(f"{path()}: alerts could not be saved: {error}")
        new = (_alert(seen, row) for row in seen.rows.values())
        return News(container, tuple(new), is_kept=False)


def mark_gone(existing: Collection[str], when: float) -> None:
    """Archive the alerts of containers that are not among the existing ones, by name, and remove what has expired.

    `when` is from before those were listed.
    """
    import sqlite3

    if not path().exists():
        return
    try:
        with opened() as connection:
            known = {name for (name,) in connection.execute("SELECT container FROM scans WHERE at <= ?", (when,))}
            for name in known - set(existing):
                _mark_gone(connection, name, when)
            expire(connection, when)
    except (OSError, sqlite3.Error) as error:
        warn(f"{path()}: alerts could not be saved: {error}")


def _mark_gone(connection: "sqlite3.Connection", container: str, when: float) -> None:
    """Archive the alerts of a container; whether its scans were complete no longer matters."""
    connection.execute(
        f"UPDATE alerts SET closed = CASE what WHEN '{INCOMPLETE}' THEN coalesce(closed, ?) ELSE closed END, "  # noqa: S608
        "gone = coalesce(gone, ?) WHERE container = ?",
        (when, when, container),
    )
    connection.execute("DELETE FROM scans WHERE container = ?", (container,))
    archive(connection, container, when)


def _unchanged(connection: "sqlite3.Connection", seen: _Seen) -> News | None:
    last = connection.execute("SELECT seen FROM scans WHERE container = ?", (seen.container,)).fetchone()
    if last != (seen.digest,):
        return None
    accepted = _accepted(connection, seen.container)
    return News(seen.container, (), accepted, earlier=unseen(connection, seen.container))


def _accepted(connection: "sqlite3.Connection", container: str) -> frozenset[str]:
    return frozenset(fingerprint for (fingerprint,) in connection.execute(_ACCEPTED, (container,)))


class _Known(NamedTuple):
    """What the comparison needs of an alert that is kept."""

    state: str
    what: str
    severity: int
    gone: float | None
    acknowledged: float | None
    closed: float | None

    def is_over(self, row: Row) -> bool:
        """Whether it has to be told anew, though it was told once."""
        if self.closed is not None:
            return True
        changed = self.what == MORE or self.acknowledged is not None
        was_away = self.acknowledged is not None and self.gone is not None
        return was_away or (changed and self.state != state(row))


def _compared(connection: "sqlite3.Connection", seen: _Seen) -> News:
    """Bring what is known up to date with a scan, in one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    last = connection.execute("SELECT at FROM scans WHERE container = ?", (seen.container,)).fetchone()
    # One of the future is from before the clock was set back.
    is_newest = not last or last[0] <= seen.when or last[0] > time.time()
    query = "SELECT fingerprint, state, what, severity, gone, acknowledged, closed FROM alerts WHERE container = ?"
    known = {name: _Known(*facts) for name, *facts in connection.execute(query, (seen.container,))}
    rows = _bounded(connection, seen, known)
    # A scan that another one has overtaken knows nothing of what has changed since, or is gone.
    new = [row for name, row in rows.items() if name not in known or (is_newest and known[name].is_over(row))]
    _raise(connection, seen, new)
    if is_newest:
        told = {row["fingerprint"] for row in new}
        _update(connection, seen, [row for name, row in rows.items() if name not in told], known)
        if seen.complete:
            _end(connection, seen, [name for name, one in known.items() if name not in rows and one.gone is None])
    _prune(connection, seen.when)
    kept = (seen.container, seen.when if is_newest else last[0], seen.digest if is_newest else "")
    connection.execute("INSERT OR REPLACE INTO scans VALUES (?, ?, ?)", kept)
    left = refresh(connection, seen.container, seen.rows.keys())
    accepted = _accepted(connection, seen.container)
    return News(seen.container, tuple(_alert(seen, row) for row in new), accepted, earlier=left)


def _bounded(connection: "sqlite3.Connection", seen: _Seen, known: Mapping[str, _Known]) -> dict[str, Row]:
    """Return the rows that are kept: the worst first, and one for all others, of which any change is news.

    What is gone makes room first, then what is less bad.
    """
    gone = [name for name, one in known.items() if name not in seen.rows and one.what != MORE]
    excess = len(gone) + len(seen.rows) - MOST
    if excess <= 0:
        return dict(seen.rows)
    gone.sort(key=lambda name: (known[name].acknowledged is None, -known[name].severity))
    dropped = gone[: excess + 1]
    room = MOST - 1 - (len(gone) - len(dropped))
    ranked = sorted(seen.rows.values(), key=lambda row: _rank(row, known))
    _drop(connection, seen, [*dropped, *(row["fingerprint"] for row in ranked[room:] if row["fingerprint"] in known)])
    rest = [*ranked[room:], *_lost(known, dropped)]
    return {row["fingerprint"]: row for row in [*ranked[:room], *([more(seen.container, rest)] if rest else [])]}


def _rank(row: Row, known: Mapping[str, _Known]) -> tuple[int, bool, str]:
    return SEVERITIES.index(row["severity"]), row["fingerprint"] not in known, row["fingerprint"]


def _lost(known: Mapping[str, _Known], dropped: Iterable[str]) -> list[Row]:
    """Return what tells of raised alerts that had to make room."""
    lost = [name for name in dropped if known[name].acknowledged is None and known[name].closed is None]
    return [{"fingerprint": name, "severity": SEVERITIES[known[name].severity]} for name in lost]


def _drop(connection: "sqlite3.Connection", seen: _Seen, names: Iterable[str]) -> None:
    where = "DELETE FROM alerts WHERE container = ? AND fingerprint = ?"
    connection.executemany(where, [(seen.container, name) for name in names])


def _raise(connection: "sqlite3.Connection", seen: _Seen, rows: Iterable[Row]) -> None:
    import json

    connection.executemany(
        "INSERT OR REPLACE INTO alerts (container, fingerprint, identifier, row, since, state, what, severity) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (seen.container, row["fingerprint"], seen.identifier, json.dumps(fitted(row)), seen.when, *_facts(row))
            for row in rows
        ],
    )


def _facts(row: Row) -> tuple[str, str, int]:
    return state(row), row["what"], SEVERITIES.index(row["severity"])


def _update(connection: "sqlite3.Connection", seen: _Seen, rows: Iterable[Row], known: Mapping[str, _Known]) -> None:
    """Keep what has changed of alerts that are no news; since when they are there stays."""
    import json

    changed = [row for row in rows if _has_changed(row, known[row["fingerprint"]])]
    connection.executemany(
        "UPDATE alerts SET gone = NULL, identifier = ?, row = ?, state = ?, what = ?, severity = ? "
        "WHERE container = ? AND fingerprint = ?",
        [
            (seen.identifier, json.dumps(fitted(row)), *_facts(row), seen.container, row["fingerprint"])
            for row in changed
        ],
    )


def _has_changed(row: Row, known: _Known) -> bool:
    return known.gone is not None or (known.state, known.what, known.severity) != _facts(row)


def _end(connection: "sqlite3.Connection", seen: _Seen, names: Iterable[str]) -> None:
    """Mark what a complete scan no longer saw as gone; that one was incomplete is over with that."""
    connection.executemany(
        f"UPDATE alerts SET gone = ?, closed = CASE what WHEN '{INCOMPLETE}' THEN ? ELSE closed END "  # noqa: S608
        "WHERE container = ? AND fingerprint = ?",
        [(seen.when, seen.when, seen.container, name) for name in names],
    )


def _prune(connection: "sqlite3.Connection", now: float) -> None:
    for query in (_CLOSED, _ACCEPTED_AND_GONE):
        connection.execute(query, {"before": now - REMEMBERED})


def _alert(seen: _Seen, row: Row) -> Alert:
    return Alert(seen.container, row["fingerprint"], seen.identifier, fitted(row), seen.when)


# ---------------------------------------------------------------------------------------------------------- telling
def untold() -> Untold:
    """Return the alerts that were not sent yet, the worst first, without those accepted in the meantime.

    Raises DockyardError.
    """
    import sqlite3

    if not path().exists():
        return Untold([], [])
    try:
        with opened() as connection:
            connection.execute("BEGIN")
            (last,) = connection.execute("SELECT coalesce(max(rowid), 0) FROM alerts").fetchone()
            (log, more_to_log), (send, more_to_send) = (_waiting(connection, word) for word in ("logged", "notified"))
            return Untold(log, send, more_to_log, more_to_send, last)
    except (OSError, sqlite3.Error) as error:
        raise unreadable(error) from None


def _waiting(connection: "sqlite3.Connection", told: str) -> tuple[list[Alert], int]:
    """Return the worst alerts that were not yet `logged` or `notified`, and how many more there are."""
    where = f"{_UNTOLD} AND NOT {told}"
    (count,) = connection.execute(f"SELECT count(*) FROM alerts INDEXED BY untold WHERE {where}").fetchone()  # noqa: S608
    order = "ORDER BY severity, container, since, fingerprint"
    found = alerts_where(connection, f"{where} {order} LIMIT ?", (MOST_UNTOLD,)) if count else []
    return found, count - len(found)


def mark_told(alerts: Iterable[Alert], *, logged: bool = False, notified: bool = False, until: int = 0) -> None:
    """Note that alerts were sent; one that was raised again in the meantime was not. Raises DockyardError.

    `until`: all have that were raised up to this number, `last` of what was read.
    """
    import sqlite3

    done = [(logged, notified, alert.container, alert.fingerprint, alert.since) for alert in alerts]
    if not done:
        return
    set_told = "UPDATE alerts SET logged = logged OR ?, notified = notified OR ?"
    try:
        with opened() as connection:
            connection.executemany(f"{set_told} WHERE container = ? AND fingerprint = ? AND since = ?", done)
            if until:
                condition = "NOT (logged AND notified) AND rowid <= ?"
                connection.execute(f"{set_told} WHERE {condition}", (logged, notified, until))
    except (OSError, sqlite3.Error) as error:
        raise unreadable(error) from None
