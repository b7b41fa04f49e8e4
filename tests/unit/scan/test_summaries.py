"""What is raised is summarized: a scan reads a bounded number of rows, however many alerts there ever were."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from dockyard import database
from dockyard.scan import alert_store, summaries, summary, tell
from dockyard.scan.acknowledging import acknowledge, raised
from dockyard.scan.alert import INCOMPLETE, MORE, Alert, hashed
from dockyard.scan.alerts import mark_gone, mark_told, observe, untold
from dockyard.scan.observed import observed
from dockyard.scan.report import DRIFT, OK, Scanned
from dockyard.scan.report import INCOMPLETE as NOT_JUDGED
from dockyard.scan.summaries import earlier
from dockyard.settings.keys import NOTIFY


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Store the alerts in a directory of the test's own; there is no system log."""
    monkeypatch.setattr(alert_store, "state_directory", lambda: tmp_path / "state")
    monkeypatch.setattr(tell, "LOG", tmp_path / "log")
    return tmp_path / "state"


def row(path: str, container: str = "web", **facts: Any) -> dict[str, Any]:  # noqa: ANN401 - what a row may have
    """Return a finding as a scan has it."""
    base = {"path": path, "what": "new", "kind": "file", "severity": "low", "reason": "why", "detail": []}
    return {**base, "fingerprint": hashed(container, path), **facts}


def rows(count: int, container: str = "web", directory: str = "/cache") -> list[dict[str, Any]]:
    """Return so many findings in one directory."""
    return [row(f"{directory}/{number}", container) for number in range(count)]


def lines() -> list[str]:
    """Return what a scan of nothing says of earlier ones."""
    return earlier(()).lines()


class Host:
    """Settings with no address."""

    def __getitem__(self, key: object) -> tuple[str, ...]:
        """Return it."""
        assert key is NOTIFY
        return ()


NOBODY: Any = Host()


def test_few_are_listed_and_many_are_counted() -> None:
    """Each of twenty has its line; of more there is one line for a directory, and one that says how to list all."""
    observe("web", "1", rows(summary.FEW), 1, complete=True)
    assert len(lines()) == summary.FEW
    observe("web", "1", [*rows(500), row("/etc/passwd", severity="high")], 2, complete=True)
    assert [line.partition(": /")[0] for line in lines()] == [
        "web: 1 high, 1 new in /etc",
        "web: 500 low, 500 new in /cache",
        "web: `d-cowscan --alerts web` lists all 501",
    ]


def test_very_many_are_a_bounded_number_of_lines() -> None:
    """With a thousand directories in each of fifty containers, each container has at least its own line."""
    for number in range(50):
        found = [row(f"/{turn}/x", f"web-{number}") for turn in range(100)]
        observe(f"web-{number}", "1", found, 1, complete=True)
    assert len(lines()) <= summary.MAX_LINES + summary.MAX_GROUPS + 50
    assert all(any(f"web-{number}:" in line or f" web-{number}`" in line for line in lines()) for number in range(50))


def test_lines_are_fit_to_print() -> None:
    """Whatever directories and containers are called, no line has control characters."""
    observe("web\x1b[2J", "1", rows(100, directory="/a\x1b[2J\nall ok"), 1, complete=True)
    assert all(line.isprintable() for line in lines())


def test_scan_lists_what_it_did_not_see() -> None:
    """What is undone stays raised and is listed; what the scan itself reports is not listed twice."""
    observe("web", "1", [row("/a"), row("/b")], 1, complete=True)
    news = observe("web", "1", [row("/a")], 2, complete=True)
    assert news.earlier
    assert [alert.path for alert in news.earlier.alerts] == ["/b"]
    again = observe("web", "1", [row("/a")], 3, complete=True)
    assert again.earlier == news.earlier
    assert [alert.path for one in earlier(()).there for alert in one.alerts] == ["/a", "/b"]
    assert not earlier({"web"}).total


def test_incomplete_scan_lists_what_it_could_not_see() -> None:
    """That stays so when some of it is acknowledged."""
    observe("web", "1", [row("/a"), row("/b"), row("/c")], 1, complete=True)
    first = observe("web", "1", [row("/a")], 2, complete=False, reasons=("why",))
    acknowledge([row("/b")["fingerprint"]], "eve", "mine")
    second = observe("web", "1", [row("/a")], 3, complete=False, reasons=("why",))
    shown = [[alert.path for alert in one.earlier.alerts] for one in (first, second) if one.earlier]
    assert shown == [["/b", "/c"], ["/c"]]


def test_more_than_are_stored_stays_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """That there are more is no finding of a scan, and so it is listed with what is raised."""
    monkeypatch.setattr("dockyard.scan.alerts.MOST", 5)
    news = observe("web", "1", rows(20), 1, complete=True)
    assert news.earlier
    assert [alert.what for alert in news.earlier.alerts] == [MORE]
    assert observe("web", "1", rows(20), 2, complete=True).earlier == news.earlier


def test_gone_containers_are_counted() -> None:
    """Of the newest five each alert is listed, of the others it is said how many there are; all are acknowledged."""
    for number in range(8):
        observe(f"run-{number}", "1", rows(2, f"run-{number}"), number, complete=True)
        mark_gone(set(), number + 0.5)
    found = earlier(())
    assert [one.container for one in found.gone] == [f"run-{number}" for number in (7, 6, 5, 4, 3)]
    assert (found.total, found.drift, found.more) == (16, 16, (3, 6, 6))
    assert "6 of 3 more containers that are gone" in lines()[-1]
    acknowledge([f"run-{number}" for number in range(8)], "eve", "a day of tests")
    assert (raised(), earlier(()).total) == ([], 0)


def test_acknowledged_in_part() -> None:
    """What is left of a container is listed, whether it exists or is gone."""
    for name in ("web", "gone"):
        observe(name, "1", [row("/a", name), row("/b", name)], 1, complete=True)
        observe(name, "1", [], 2, complete=True)
    mark_gone({"web"}, 3)
    acknowledge([hashed("web", "/a"), hashed("gone", "/a")], "eve", "mine")
    assert [alert.path for one in (*earlier(()).there, *earlier(()).gone) for alert in one.alerts] == ["/b", "/b"]
    left = observe("web", "1", [], 4, complete=True).earlier
    assert left
    assert [alert.path for alert in left.alerts] == ["/b"]


def test_verdict_counts_what_is_raised() -> None:
    """Drift until it is acknowledged, of a container that is gone too; that a scan was incomplete ends with it."""

    def verdict() -> str:
        return observed([Scanned("web", "1")], when=time.time()).verdict

    observe("gone", "1", [row("/a", "gone")], 1, complete=True)
    observe("stopped", "1", [], 1, complete=False, reasons=("why",))
    assert verdict() == DRIFT
    mark_gone({"web", "stopped"}, 2)
    assert verdict() == DRIFT
    acknowledge(["gone"], "eve", "mine")
    assert verdict() == NOT_JUDGED
    observe("stopped", "1", [], 3, complete=True)
    assert verdict() == OK


# ----------------------------------------------------------------------------------------------------------- cost
class Traced:
    """The statements of all connections, and what SQLite says of how it answers them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.statements: list[str] = []

        @contextmanager
        def traced(place: Path, schema: str) -> Iterator[sqlite3.Connection]:
            with database.database(place, schema) as connection:
                connection.set_trace_callback(self.statements.append)
                yield connection

        monkeypatch.setattr(alert_store, "database", traced)

    def full_scans(self) -> list[str]:
        """Return the statements that read a whole table of alerts."""
        queries = {text for text in self.statements if text.lstrip().startswith(("SELECT", "UPDATE", "DELETE"))}
        assert queries
        with closing(sqlite3.connect(alert_store.path())) as connection:
            plans = {text: connection.execute(f"EXPLAIN QUERY PLAN {text}").fetchall() for text in queries}
        return [text for text, plan in plans.items() if any(step[3] == "SCAN alerts" for step in plan)]


def test_scan_reads_no_whole_table(monkeypatch: pytest.MonkeyPatch, state: Path) -> None:
    """Neither where nothing has changed nor where something has: each statement has an index."""
    everything = [Scanned(name, "1") for name in ("web", "db")]
    observe("web", "1", rows(50), 1, complete=True)
    observe("gone", "1", rows(50, "gone"), 1, complete=True)
    traced = Traced(monkeypatch)
    for turn in range(2, 5):
        found = observed(everything, when=turn)
        mark_gone(["web", "db"], turn)
        tell.tell(NOBODY, found.news)
        observe("web", "1", rows(50 + turn), turn, complete=True)
    acknowledge(["web"], "eve", "mine")
    assert state.exists()
    assert traced.full_scans() == []


def test_unchanged_scan_reads_no_alert(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is raised in other scans, or of containers that are gone, is not read once it is summarized."""
    for name in ("web", "gone", "stopped"):
        observe(name, "1", rows(300, name), 1, complete=True)
    observe("web", "1", [], 2, complete=True)
    mark_gone(["web", "stopped"], 3)
    mark_told(untold().log, logged=True, notified=True)
    earlier(())
    read: list[Alert] = []
    monkeypatch.setattr(alert_store, "Alert", lambda *words: read.append(Alert(*words)) or read[-1])
    found = observed([Scanned("web", "1")], when=4)
    tell.tell(NOBODY, found.news)
    assert (found.earlier.total, read) == (900, [])


def test_untold_are_read_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a long time without a connection, the worst are listed, the others counted; all are reported once."""
    monkeypatch.setattr("dockyard.scan.alerts.MOST_UNTOLD", 10)
    observe("web", "1", [*rows(50), row("/etc/passwd", severity="high")], 1, complete=True)
    waiting = untold()
    assert (waiting.send[0].path, len(waiting.send), waiting.more_to_send) == ("/etc/passwd", 10, 41)
    assert "and 41 more" in "\n".join(tell.message(waiting.send, waiting.more_to_send))
    observe("late", "1", rows(1, "late"), 2, complete=True)
    mark_told(waiting.send, logged=True, notified=True, until=waiting.last)
    assert [alert.container for alert in untold().send] == ["late"]


# ------------------------------------------------------------------------------------------------------ migration
_OLD = """
CREATE TABLE alerts (
    container TEXT NOT NULL, fingerprint TEXT NOT NULL, identifier TEXT NOT NULL, row TEXT NOT NULL,
    since REAL NOT NULL, gone REAL, acknowledged REAL, by TEXT NOT NULL DEFAULT '', why TEXT NOT NULL DEFAULT '',
    state TEXT NOT NULL, what TEXT NOT NULL, severity INTEGER NOT NULL, closed REAL,
    logged INTEGER NOT NULL DEFAULT 0, notified INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (container, fingerprint));
CREATE INDEX by_fingerprint ON alerts (fingerprint);
CREATE INDEX untold ON alerts (container) WHERE NOT (logged AND notified);
CREATE TABLE scans (container TEXT PRIMARY KEY, at REAL NOT NULL, seen TEXT NOT NULL);
CREATE TABLE acknowledgements (
    number INTEGER PRIMARY KEY, at REAL NOT NULL, container TEXT NOT NULL, fingerprint TEXT NOT NULL,
    path TEXT NOT NULL, what TEXT NOT NULL, by TEXT NOT NULL, why TEXT NOT NULL);
INSERT INTO scans VALUES ('web', 5, 'before'), ('clean', 5, 'before');
"""


def _old_database(state: Path) -> None:
    """Write what an older version left: a container that exists, one that is gone, and what was reported of both."""
    state.mkdir(mode=0o700)
    with closing(sqlite3.connect(state / "alerts.db")) as old, old:
        old.executescript(_OLD)
        for name, path, gone, accepted, told in (
            ("web", "/there", None, None, 1),
            ("web", "/undone", 4, None, 1),
            ("web", "/accepted", None, 3, 1),
            ("web", "/untold", None, None, 0),
            ("gone", "/x", 4, None, 1),
            ("gone", "/y", 4, 3, 1),
        ):
            found = row(path, name)
            facts = (name, found["fingerprint"], "1", json.dumps(found), 1, gone, accepted, _state(found), told, told)
            old.execute(
                "INSERT INTO alerts (container, fingerprint, identifier, row, since, gone, acknowledged, state, what, "
                "severity, logged, notified) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'new', 2, ?, ?)",
                facts,
            )


def _state(found: dict[str, Any]) -> str:
    from dockyard.scan.alert import state

    return state(found)


def test_older_database_is_brought_up_to_date(state: Path) -> None:
    """Nothing is lost; what was acknowledged or reported is not reported again; what was raised still counts."""
    _old_database(state)
    assert [alert.path for alert in raised()] == ["/x", "/there", "/undone", "/untold"]
    assert [alert.path for alert in untold().send] == ["/untold"]
    assert (earlier(()).total, [one.container for one in earlier(()).gone]) == (4, ["gone"])
    news = observe("web", "1", [row(path) for path in ("/there", "/accepted", "/untold")], 6, complete=True)
    assert (news.new, news.accepted) == ((), {hashed("web", "/accepted")})
    assert news.earlier
    assert [alert.path for alert in news.earlier.alerts] == ["/undone"]
    mark_gone({"web"}, 7)
    assert [alert.path for alert in untold().send] == ["/untold"]
    assert INCOMPLETE not in {alert.what for alert in raised()}
    with closing(sqlite3.connect(state / "alerts.db")) as migrated:
        assert migrated.execute("PRAGMA user_version").fetchone() == (alert_store.VERSION,)
        assert migrated.execute("SELECT count(*) FROM alerts").fetchone() == (6,)


def test_archive_of_an_older_database_expires(state: Path) -> None:
    """Containers that were gone before are archived as well, since they were last seen."""
    _old_database(state)
    mark_gone({"web", "clean"}, 5 + summaries.EXPIRY_SECONDS)
    assert {alert.container for alert in raised()} == {"web"}
