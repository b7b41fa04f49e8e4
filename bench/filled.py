"""Create the state of many years: very many alerts, ten years of history, failure reports and saved changes."""

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from dockyard import dossier, history, keeping
from dockyard.scan import alert_store
from dockyard.scan.alert import hashed, state

DAY = 24 * 3600
IN_EACH = 10_000  # alerts of a container
OF_A_DIRECTORY = 500
YEARS = 10
DAYS_AT_ONCE = 100


def fill_alerts(count: int, there: list[str], share: float = 0.5) -> None:
    """Store this many raised alerts, reported long ago: some of existing containers, but with causes gone."""
    with alert_store.opened():
        pass
    with closing(sqlite3.connect(alert_store.path())) as database, database:
        database.execute("PRAGMA user_version = 0")  # summaries are computed as for an older database
        database.executemany(
            "INSERT INTO alerts (container, fingerprint, identifier, row, since, gone, state, what, severity, logged, "
            "notified) VALUES (?, ?, ?, ?, ?, ?, ?, 'new', 2, 1, 1)",
            _alerts(count, there, share),
        )
        scans = [(name, time.time() - DAY, "before") for name in there]
        database.executemany("INSERT OR REPLACE INTO scans VALUES (?, ?, ?)", scans)


def _alerts(count: int, there: list[str], share: float) -> Iterator[tuple[object, ...]]:
    since = time.time() - 2 * DAY
    of_existing = int(count * share) if there else 0
    for number in range(count):
        is_there = number < of_existing
        name = there[number % len(there)] if is_there else f"gone-{number // IN_EACH}"
        path = f"/var/cache/service/{number // OF_A_DIRECTORY}/a-file-that-was-new-{number}"
        row = {
            "path": path,
            "group": "changed",
            "what": "new",
            "kind": "file",
            "severity": "low",
            "reason": "a new file",
            "size": number,
            "mode": "0644",
            "owner": [0, 0],
            "changed": since,
            "detail": [],
            "fingerprint": hashed(name, path),
            "container": name,
        }
        yield name, row["fingerprint"], "1" * 64, json.dumps(row), since, since + 60, state(row)


def fill_history(services: list[str], years: int = YEARS) -> None:
    """Record four events a day for each service, like an upgrade each night."""
    days = years * 365
    for first in range(0, days, DAYS_AT_ONCE):
        for service in services:
            history.record(service, "start", "ok")  # removes events that are too old
        with closing(sqlite3.connect(history.path())) as database, database:
            database.executemany(
                "INSERT INTO events (at, service, action, result, image, detail, user, command) VALUES "
                "(?, ?, ?, ?, ?, ?, 'root', 'd upgrade-all --quiet --notify --wait 600')",
                _events(services, range(first, min(first + DAYS_AT_ONCE, days)), time.time() - days * DAY),
            )


def _events(services: list[str], days: range, began: float) -> Iterator[tuple[str, ...]]:
    for day in days:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began + day * DAY))
        for service in services:
            image = f"sha256:{hashed(service, day) * 4}"
            detail = {"content": image, "launch": hashed(service), "outage_ms": 800}
            for action in ("build", "test", "upgrade", "start"):
                yield at, service, action, "ok", image, json.dumps(detail)


def fill_reports(service: str, count: int) -> None:
    """Store this many failure reports and saved changes of a service, like failures and upgrades."""
    place = dossier.place(service)
    for number in range(count):
        dossier.write_report(service, {"reason.txt": f"failure {number}", "log-new.txt": "a line of a log\n" * 20_000})
        target = place / f"changes-{number:08}.tar"
        target.write_bytes(os.urandom(64 * 1024))
        keeping.prune(place)


def size(place: Path) -> float:
    """Return the size of a file or directory in MB."""
    files = [place, *place.rglob("*")] if place.is_dir() else [place]
    return sum(file.stat().st_size for file in files) / 1e6
