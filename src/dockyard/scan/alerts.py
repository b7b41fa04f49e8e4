"""The alerts of all containers: what was found, what of that is news, what somebody has accepted, and why.

An alert stays raised until it is acknowledged, even when its cause or its container is gone. What is acknowledged is
accepted as it is: if it changes, or goes and comes back, it is news. Only that a scan is incomplete ends by itself.
"""

import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dockyard.database import database
from dockyard.errors import DockyardError, NoSuchNameError, UsageError
from dockyard.scan.alert import INCOMPLETE, MORE, SEVERITIES, Alert, News, Row, fitted, hashed, incomplete, more, state
from dockyard.secrets import state_directory
from dockyard.telling import warn
from dockyard.text import did_you_mean, escaped

if TYPE_CHECKING:
    import sqlite3

MOST = 10_000  # alerts of a container
REMEMBERED = 90 * 24 * 3600  # seconds for which what is over stays known
ACKNOWLEDGEMENTS = 100_000  # the newest that are kept
LEAST = 4  # characters of a fingerprint that name it

_SCHEMA = """
CREATE TABLE IF NOT EXISTS alerts (
    container TEXT NOT NULL, fingerprint TEXT NOT NULL, identifier TEXT NOT NULL, row TEXT NOT NULL,
    since REAL NOT NULL, gone REAL, acknowledged REAL, by TEXT NOT NULL DEFAULT '', why TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL, what TEXT NOT NULL, severity INTEGER NOT NULL, closed REAL,
    logged INTEGER NOT NULL DEFAULT 0, notified INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (container, fingerprint));
CREATE INDEX IF NOT EXISTS by_fingerprint ON alerts (fingerprint);
CREATE INDEX IF NOT EXISTS untold ON alerts (container) WHERE NOT (logged AND notified);
CREATE TABLE IF NOT EXISTS scans (container TEXT PRIMARY KEY, at REAL NOT NULL, seen TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS acknowledgements (
    number INTEGER PRIMARY KEY, at REAL NOT NULL, container TEXT NOT NULL, fingerprint TEXT NOT NULL,
    path TEXT NOT NULL, what TEXT NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL);
"""
_COLUMNS = "container, fingerprint, identifier, row, since, gone, acknowledged, by, why"
_RAISED = "acknowledged IS NULL AND closed IS NULL"
_UNTOLD = "acknowledged IS NULL AND NOT (logged AND notified)"


class Acknowledgement(NamedTuple):
    """Who accepted what, when (in seconds of the epoch), and why."""

    when: float
    container: str
    fingerprint: str
    path: str
    what: str
    by: str
    why: str


class Untold(NamedTuple):
    """Alerts that were not yet written to the log, and those that were not yet sent."""

    log: list[Alert]
    send: list[Alert]


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


def path() -> Path:
    """Return where the alerts are."""
    return state_directory() / "alerts.db"


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
        with database(path(), _SCHEMA) as opened:
            return _unchanged(opened, seen) or _compared(opened, seen)
    except (OSError, sqlite3.Error) as error:
        warn(f"{path()}: alerts could not be kept: {error}")
        new = (_alert(seen, row) for row in seen.rows.values())
        return News(container, tuple(new), is_kept=False)


def mark_gone(existing: Collection[str], when: float) -> None:
    """Mark what is known of containers as gone that are not among the existing ones, by name: it stays raised.

    `when` is from before those were listed.
    """
    import sqlite3

    if not path().exists():
        return
    try:
        with database(path(), _SCHEMA) as opened:
            known = {name for (name,) in opened.execute("SELECT container FROM scans WHERE at <= ?", (when,))}
            for name in known - set(existing):
                opened.execute("UPDATE alerts SET gone = ? WHERE container = ? AND gone IS NULL", (when, name))
                opened.execute("DELETE FROM scans WHERE container = ?", (name,))
    except (OSError, sqlite3.Error) as error:
        warn(f"{path()}: alerts could not be kept: {error}")


def _unchanged(opened: "sqlite3.Connection", seen: _Seen) -> News | None:
    last = opened.execute("SELECT seen FROM scans WHERE container = ?", (seen.container,)).fetchone()
    return News(seen.container, (), _accepted(opened, seen.container)) if last == (seen.digest,) else None


def _accepted(opened: "sqlite3.Connection", container: str) -> frozenset[str]:
    query = "SELECT fingerprint FROM alerts WHERE container = ? AND acknowledged IS NOT NULL AND gone IS NULL"
    return frozenset(fingerprint for (fingerprint,) in opened.execute(query, (container,)))


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


def _compared(opened: "sqlite3.Connection", seen: _Seen) -> News:
    """Bring what is known up to date with a scan, in one transaction."""
    opened.execute("BEGIN IMMEDIATE")
    last = opened.execute("SELECT at FROM scans WHERE container = ?", (seen.container,)).fetchone()
    # One of the future is from before the clock was set back.
    is_newest = not last or last[0] <= seen.when or last[0] > time.time()
    query = "SELECT fingerprint, state, what, severity, gone, acknowledged, closed FROM alerts WHERE container = ?"
    known = {name: _Known(*facts) for name, *facts in opened.execute(query, (seen.container,))}
    rows = _bounded(opened, seen, known)
    # A scan that another one has overtaken knows nothing of what has changed since, or is gone.
    new = [row for name, row in rows.items() if name not in known or (is_newest and known[name].is_over(row))]
    _raise(opened, seen, new)
    if is_newest:
        told = {row["fingerprint"] for row in new}
        _update(opened, seen, [row for name, row in rows.items() if name not in told], known)
        if seen.complete:
            _end(opened, seen, [name for name, one in known.items() if name not in rows and one.gone is None])
    _prune(opened, seen.when)
    kept = (seen.container, seen.when if is_newest else last[0], seen.digest if is_newest else "")
    opened.execute("INSERT OR REPLACE INTO scans VALUES (?, ?, ?)", kept)
    return News(seen.container, tuple(_alert(seen, row) for row in new), _accepted(opened, seen.container))


def _bounded(opened: "sqlite3.Connection", seen: _Seen, known: Mapping[str, _Known]) -> dict[str, Row]:
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
    _drop(opened, seen, [*dropped, *(row["fingerprint"] for row in ranked[room:] if row["fingerprint"] in known)])
    rest = [*ranked[room:], *_lost(known, dropped)]
    return {row["fingerprint"]: row for row in [*ranked[:room], *([more(seen.container, rest)] if rest else [])]}


def _rank(row: Row, known: Mapping[str, _Known]) -> tuple[int, bool, str]:
    return SEVERITIES.index(row["severity"]), row["fingerprint"] not in known, row["fingerprint"]


def _lost(known: Mapping[str, _Known], dropped: Iterable[str]) -> list[Row]:
    """Return what tells of raised alerts that had to make room."""
    lost = [name for name in dropped if known[name].acknowledged is None and known[name].closed is None]
    return [{"fingerprint": name, "severity": SEVERITIES[known[name].severity]} for name in lost]


def _drop(opened: "sqlite3.Connection", seen: _Seen, names: Iterable[str]) -> None:
    where = "DELETE FROM alerts WHERE container = ? AND fingerprint = ?"
    opened.executemany(where, [(seen.container, name) for name in names])


def _raise(opened: "sqlite3.Connection", seen: _Seen, rows: Iterable[Row]) -> None:
    import json

    opened.executemany(
        "INSERT OR REPLACE INTO alerts (container, fingerprint, identifier, row, since, state, what, severity) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (seen.container, row["fingerprint"], seen.identifier, json.dumps(fitted(row)), seen.when, *_facts(row))
            for row in rows
        ],
    )


def _facts(row: Row) -> tuple[str, str, int]:
    return state(row), row["what"], SEVERITIES.index(row["severity"])


def _update(opened: "sqlite3.Connection", seen: _Seen, rows: Iterable[Row], known: Mapping[str, _Known]) -> None:
    """Keep what has changed of alerts that are no news; since when they are there stays."""
    import json

    changed = [row for row in rows if _has_changed(row, known[row["fingerprint"]])]
    opened.executemany(
        "UPDATE alerts SET gone = NULL, identifier = ?, row = ?, state = ?, what = ?, severity = ? "
        "WHERE container = ? AND fingerprint = ?",
        [
            (seen.identifier, json.dumps(fitted(row)), *_facts(row), seen.container, row["fingerprint"])
            for row in changed
        ],
    )


def _has_changed(row: Row, known: _Known) -> bool:
    return known.gone is not None or (known.state, known.what, known.severity) != _facts(row)


def _end(opened: "sqlite3.Connection", seen: _Seen, names: Iterable[str]) -> None:
    """Mark what a complete scan no longer saw as gone; that one was incomplete is over with that."""
    opened.executemany(
        f"UPDATE alerts SET gone = ?, closed = CASE what WHEN '{INCOMPLETE}' THEN ? ELSE closed END "  # noqa: S608
        "WHERE container = ? AND fingerprint = ?",
        [(seen.when, seen.when, seen.container, name) for name in names],
    )


def _prune(opened: "sqlite3.Connection", now: float) -> None:
    before = now - REMEMBERED
    opened.execute("DELETE FROM alerts WHERE closed < ? OR (acknowledged < ? AND gone < ?)", (before, before, before))


def _alert(seen: _Seen, row: Row) -> Alert:
    return Alert(seen.container, row["fingerprint"], seen.identifier, fitted(row), seen.when)


# ------------------------------------------------------------------------------------------------- acknowledgements
def raised() -> list[Alert]:
    """Return all alerts that are raised, by container, the worst first. Raises DockyardError."""
    return _select(f"{_RAISED} ORDER BY container, severity, since, fingerprint")


def acknowledge(which: Sequence[str], by: str, reason: str) -> list[Alert]:
    """Accept alerts by fingerprint, its beginning, or the name of their container; returns them, as they now are.

    All of them, or none: raises NoSuchNameError where one is not raised or is not the only one, UsageError without a
    reason.
    """
    import sqlite3

    if not reason.strip():
        raise UsageError("an alert is acknowledged with a reason", hint="such as --reason 'a hotfix of mine'")
    now = time.time()
    try:
        with database(path(), _SCHEMA) as opened:
            opened.execute("BEGIN IMMEDIATE")
            there = _alerts(opened, f"{_RAISED} ORDER BY container, severity, since, fingerprint")
            chosen = {alert.fingerprint: alert for word in which for alert in _named(word, there)}
            done = [alert._replace(acknowledged=now, by=by, why=reason) for alert in chosen.values()]
            _keep_acknowledgements(opened, done)
            return done
    except (OSError, sqlite3.Error) as error:
        raise _unreadable(error) from None


def acknowledgements(limit: int = 50) -> list[Acknowledgement]:
    """Return the newest acknowledgements first. Raises DockyardError."""
    import sqlite3

    if not path().exists():
        return []
    query = "SELECT at, container, fingerprint, path, what, by, why FROM acknowledgements ORDER BY number DESC LIMIT ?"
    try:
        with database(path(), _SCHEMA) as opened:
            return [Acknowledgement(*row) for row in opened.execute(query, (limit,))]
    except (OSError, sqlite3.Error) as error:
        raise _unreadable(error) from None


def _keep_acknowledgements(opened: "sqlite3.Connection", done: Sequence[Alert]) -> None:
    opened.executemany(
        "UPDATE alerts SET acknowledged = ?, by = ?, why = ? WHERE container = ? AND fingerprint = ?",
        [(one.acknowledged, one.by, one.why, one.container, one.fingerprint) for one in done],
    )
    opened.executemany(
        "INSERT INTO acknowledgements (at, container, fingerprint, path, what, by, why) VALUES (?, ?, ?, ?, ?, ?, ?)",
        [(one.acknowledged, one.container, one.fingerprint, one.path, one.what, one.by, one.why) for one in done],
    )
    oldest = "SELECT number FROM acknowledgements ORDER BY number DESC LIMIT 1 OFFSET ?"
    opened.execute(f"DELETE FROM acknowledgements WHERE number <= ({oldest})", (ACKNOWLEDGEMENTS,))  # noqa: S608


def _named(word: str, there: Sequence[Alert]) -> list[Alert]:
    """Return the alerts that a word names. Raises NoSuchNameError for none, and for several that it does not mean."""
    ours = [alert for alert in there if alert.container == word]
    begun = [alert for alert in there if len(word) >= LEAST and alert.fingerprint.startswith(word)]
    if len(begun) > 1 or (ours and begun):
        several = ", ".join([*(f"container {word}" for _ in ours[:1]), *(alert.fingerprint for alert in begun[:5])])
        raise NoSuchNameError(f"`{escaped(word)}` names more than one alert: {several}", hint="give more of it")
    if ours or begun:
        return ours or begun
    known = {alert.container for alert in there} | {alert.fingerprint for alert in there}
    raise NoSuchNameError(
        f"no alert `{escaped(word)}` is raised",
        hint=did_you_mean(word, known) or "`d-cowscan --alerts` lists those that are",
    )


# ---------------------------------------------------------------------------------------------------------- telling
def untold() -> Untold:
    """Return what nobody was told yet; what is accepted meanwhile is no longer told. Raises DockyardError."""
    order = "ORDER BY severity, container, since, fingerprint"
    log = _select(f"{_UNTOLD} AND NOT logged {order}")
    return Untold(log, _select(f"{_UNTOLD} AND NOT notified {order}"))


def mark_told(alerts: Iterable[Alert], *, logged: bool = False, notified: bool = False) -> None:
    """Note that alerts have reached somebody; one that was raised anew meanwhile has not. Raises DockyardError."""
    import sqlite3

    done = [(logged, notified, alert.container, alert.fingerprint, alert.since) for alert in alerts]
    if not done:
        return
    try:
        with database(path(), _SCHEMA) as opened:
            opened.executemany(
                "UPDATE alerts SET logged = logged OR ?, notified = notified OR ? "
                "WHERE container = ? AND fingerprint = ? AND since = ?",
                done,
            )
    except (OSError, sqlite3.Error) as error:
        raise _unreadable(error) from None


# --------------------------------------------------------------------------------------------------------- database
def _select(condition: str) -> list[Alert]:
    import sqlite3

    if not path().exists():
        return []
    try:
        with database(path(), _SCHEMA) as opened:
            return _alerts(opened, condition)
    except (OSError, sqlite3.Error) as error:
        raise _unreadable(error) from None


def _alerts(opened: "sqlite3.Connection", condition: str) -> list[Alert]:
    import json

    query = f"SELECT {_COLUMNS} FROM alerts WHERE {condition}"  # noqa: S608 - ours
    with closing(opened.execute(query)) as cursor:
        return [Alert(*row)._replace(row=json.loads(row[3])) for row in cursor]


def _unreadable(error: Exception) -> DockyardError:
    return DockyardError(
        f"{path()}: the alerts cannot be read or written: {error}",
        hint="restore it from a backup; without the file, all alerts are new",
    )
