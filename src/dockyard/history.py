"""What was done to each service, by whom, when and how it went: a record, never the truth."""

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from dockyard.database import database
from dockyard.errors import DockyardError
from dockyard.lock import command_line, user_name
from dockyard.masking import known
from dockyard.secrets import state_directory
from dockyard.telling import warn

KEPT = 1000  # events of a service; what was rolled back is remembered for longer
ROLLED_BACK = "rolled back"
"""The result of an upgrade to a version that a rollback has replaced since."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS events (
    number INTEGER PRIMARY KEY, at TEXT NOT NULL, service TEXT NOT NULL, action TEXT NOT NULL, result TEXT NOT NULL,
    image TEXT NOT NULL, detail TEXT NOT NULL, user TEXT NOT NULL, command TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS by_service ON events (service, number);
CREATE INDEX IF NOT EXISTS built ON events (json_extract(detail, '$.content'))
    WHERE action IN ('build', 'trim') AND result = 'ok';
CREATE INDEX IF NOT EXISTS rolled_back ON events (service, number) WHERE result = 'rolled back';
"""
_COLUMNS = "service, action, result, image, detail, at, user, command"


_RESTORE = "restore it from a backup; a new one does not know which upgrades failed"


class Event(NamedTuple):
    """One thing that was done; `when` is UTC in ISO format, `image` the engine's id or empty.

    `detail` has the content of an image (Image.content) under `content`.
    """

    service: str
    action: str
    result: str
    image: str = ""
    detail: Mapping[str, Any] = {}
    when: str = ""
    user: str = ""
    command: str = ""


def record(service: str, action: str, result: str, *, image: str = "", **detail: object) -> None:
    """Add an event. That it could not be written is reported, and stops nothing."""
    record_all([(service, action, result, image, detail)])


def record_all(events: Iterable[tuple[str, str, str, str, Mapping[str, object]]]) -> None:
    """Add events: service, action, result, image, detail of each."""
    import json
    import sqlite3

    command = known.hide(command_line())
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    rows = [
        (at, service, action, result, image, known.hide(json.dumps(detail, default=str)), user_name(), command)
        for service, action, result, image, detail in events
    ]
    try:
        with database(path(), _SCHEMA) as opened:
            opened.executemany(
                "INSERT INTO events (at, service, action, result, image, detail, user, command) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                rows,
            )
            for service in {row[1] for row in rows}:
                opened.execute(
                    "DELETE FROM events WHERE service = ? AND result != ? AND number <= (SELECT number FROM events "
                    "WHERE service = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
                    (service, ROLLED_BACK, service, KEPT),
                )
    except (OSError, sqlite3.Error) as error:
        warn(f"{path()}: the history cannot be written: {error}")


def add_detail(service: str, image: str, detail: Mapping[str, object]) -> None:
    """Add to the newest event that made an image live. That it could not be written is reported, and stops nothing."""
    import json

    statement = (
        "UPDATE events SET detail = json_patch(detail, ?) WHERE number = (SELECT max(number) FROM events WHERE "
        "service = ? AND image = ? AND action IN ('upgrade', 'promote', 'rollback') AND result = 'ok')"
    )
    try:
        _run(statement, (known.hide(json.dumps(detail, default=str)), service, image))
    except DockyardError as error:
        warn(str(error))


def image_of_failure(service: str, report: str) -> str:
    """Return the image of the event that has left a failure report, by its directory; empty if it names none.

    Raises DockyardError.
    """
    condition = (
        "WHERE service = ? AND image != '' AND json_extract(detail, '$.dossier') = ? ORDER BY number DESC LIMIT 1"
    )
    return next((event.image for event in _select(condition, (service, report))), "")


def events(service: str = "", limit: int = 50) -> list[Event]:
    """Return the newest events first, of one service or of all. Raises DockyardError if they cannot be read."""
    where, wanted = ("WHERE service = ?", (service, limit)) if service else ("", (limit,))
    return _select(f"{where} ORDER BY number DESC LIMIT ?", wanted)


def newest(services: Iterable[str], actions: Iterable[str]) -> dict[str, Event]:
    """Return the newest event of each service that is one of these actions. Raises DockyardError."""
    wanted = tuple(actions)
    condition = f"service = ? AND action IN ({', '.join('?' * len(wanted))}) ORDER BY number DESC LIMIT 1"
    found = (_select(f"WHERE {condition}", (service, *wanted)) for service in services)
    return {event.service: event for events_ in found for event in events_}


def of_action(service: str, action: str, limit: int = 100) -> list[Event]:
    """Return the newest events of one kind of a service, the newest first; none if they cannot be read."""
    return _select_or_warn("WHERE service = ? AND action = ? ORDER BY number DESC LIMIT ?", (service, action, limit))


def failed_test(service: str, image: str, content: str, script: str) -> Event | None:
    """Return the event that says that an image failed its Test, if it has not passed it since.

    The image is the one with this id of the engine, or any other one of the same content; `script` is a hash of the
    Test that it failed.
    """
    condition = (
        "WHERE service = ? AND action = 'test' AND (image = ? OR json_extract(detail, '$.content') = nullif(?, '')) "
        "ORDER BY number DESC LIMIT 1"
    )
    found = _select_or_warn(condition, (service, image, content))
    is_same = found and found[0].result == "failed" and found[0].detail.get("script") == script
    return found[0] if is_same else None


def record_rollback(service: str, image: str, content: str) -> None:
    """Record that a version was rolled back: nothing automatic upgrades to it again."""
    record(service, "upgrade", ROLLED_BACK, image=image, content=content)


def rejection(service: str, image: str, content: str, launch: str) -> Event | None:
    """Return the event for which no upgrade may switch to an image: it failed in production, or was rolled back.

    The image is the one with this id of the engine, or any other one of the same content. It has failed with the
    settings and the Test-prod of `launch` alone. It was rolled back whatever its settings are.
    """
    condition = (
        "WHERE service = ? AND action IN ('upgrade', 'rollback', 'promote') "
        "AND (image = ? OR json_extract(detail, '$.content') = nullif(?, '')) ORDER BY number DESC"
    )
    return _rejection(_select_or_warn(condition, (service, image, content)), launch)


def _rejection(newest_first: Iterable[Event], launch: str) -> Event | None:
    is_accepted = False
    for event in newest_first:
        if event.result == ROLLED_BACK and not is_accepted:
            return event
        if event.action == "upgrade" and event.result != ROLLED_BACK and event.detail.get("launch") == launch:
            return event if event.result == "failed" else None
        is_accepted = is_accepted or event.result == "ok"
    return None


def lives(service: str) -> list[tuple[str, str, str]]:
    """Return the images that were live, the newest first, each with since when and until when; until is empty at first.

    Raises DockyardError.
    """
    condition = (
        "WHERE service = ? AND image != '' AND (action IN ('upgrade', 'promote', 'rollback') AND result = 'ok' "
        "OR action = 'recover' AND result = 'finished') ORDER BY number DESC"
    )
    found: list[tuple[str, str, str]] = []
    until = ""
    for event in _select(condition, (service,)):
        if found and found[-1][0] == event.image:
            found[-1] = (event.image, event.when, found[-1][2])
        else:
            found.append((event.image, event.when, until))
        until = event.when
    return found


def rolled_back() -> dict[str, Event]:
    """Return the version of each service that was rolled back and that nothing has replaced since, by service."""
    condition = (
        "AS event WHERE result = 'rolled back' AND NOT EXISTS (SELECT 1 FROM events AS later "
        "WHERE later.service = event.service AND later.number > event.number "
        "AND later.action IN ('upgrade', 'promote') AND later.result IN ('ok', 'rolled back')) "
    )
    return {event.service: event for event in _select_or_warn(condition, ())}


def built_contents(contents: Iterable[str]) -> frozenset[str]:
    """Return those of these image contents that dockyard built or trimmed on this host, as far as is recorded."""
    wanted = tuple(contents)
    if not wanted:
        return frozenset()
    marks = ", ".join("?" * len(wanted))
    condition = f"action IN ('build', 'trim') AND result = 'ok' AND json_extract(detail, '$.content') IN ({marks})"
    return frozenset(str(event.detail["content"]) for event in _select(f"INDEXED BY built WHERE {condition}", wanted))


def services() -> set[str]:
    """Return the services that the history knows. Raises DockyardError if it cannot be read."""
    return {str(name) for (name,) in _run("SELECT DISTINCT service FROM events", ())}


def count(service: str) -> int:
    """Return the number of a service's events. Raises DockyardError if they cannot be read."""
    rows = _run("SELECT count(*) FROM events WHERE service = ?", (service,))
    return int(rows[0][0]) if rows else 0


def forget(service: str) -> None:
    """Remove the events of a service. Raises DockyardError if that is not possible."""
    _run("DELETE FROM events WHERE service = ?", (service,))


def rename(service: str, name: str) -> None:
    """Give the events of a service to another one. Raises DockyardError if that is not possible."""
    _run("UPDATE events SET service = ? WHERE service = ?", (name, service))


def path() -> Path:
    """Return where the history is."""
    return state_directory() / "history.db"


def _select(condition: str, values: tuple[object, ...]) -> list[Event]:
    import json

    rows = _run(f"SELECT {_COLUMNS} FROM events {condition}", values)  # noqa: S608 - ours
    return [Event(service, *more)._replace(detail=json.loads(more[3])) for service, *more in rows]


def _select_or_warn(condition: str, values: tuple[object, ...]) -> list[Event]:
    """Return events as `_select` does; none, with a warning, if they cannot be read."""
    try:
        return _select(condition, values)
    except DockyardError as error:
        warn(str(error))
        return []


def _run(statement: str, values: tuple[object, ...]) -> list[tuple[Any, ...]]:
    """Return the rows of a statement; none if there is no history."""
    import sqlite3

    if not path().exists():
        return []
    try:
        with database(path(), _SCHEMA) as opened:
            return opened.execute(statement, values).fetchall()
    except (OSError, sqlite3.Error) as error:
        raise DockyardError(
            f"{path()}: the history cannot be read: {error}",
            hint=_RESTORE,
        ) from None
