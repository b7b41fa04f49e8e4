"""Telling what is news: once, in few lines, and again only where it did not get through."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockyard import telling
from dockyard.scan import acknowledging, alert_store, alerts, tell
from dockyard.scan.alert import Alert, hashed
from dockyard.settings.keys import NOTIFY

Sent = list[tuple[str, str]]


class Outside:
    """Whoever is told: what was sent, and whether it gets through."""

    def __init__(self) -> None:
        self.sent: Sent = []
        self.reached = True

    def send(self, _settings: object, title: str, body: str, _severity: str) -> bool:
        """Take a message."""
        self.sent.append((title, body))
        return self.reached


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outside:
    """Keep alerts in a directory of the test's own, and messages here; there is no system log."""
    there = Outside()
    monkeypatch.setattr(alert_store, "state_directory", lambda: tmp_path / "state")
    monkeypatch.setattr(tell, "send", there.send)
    monkeypatch.setattr(tell, "LOG", tmp_path / "log")
    return there


class Host:
    """Settings with an address."""

    def __getitem__(self, key: object) -> tuple[str, ...]:
        """Return it."""
        assert key is NOTIFY
        return ("json://there",)


SETTINGS: Any = Host()


def row(path: str, severity: str = "low") -> dict[str, Any]:
    """Return a finding as a scan has it."""
    base = {"path": path, "what": "new", "kind": "file", "severity": severity, "reason": "why\n"}
    return {**base, "fingerprint": hashed(path)}


def found(*rows: dict[str, Any]) -> None:
    """Keep what a scan found."""
    alerts.observe("web", "1", rows, 1, complete=True)


def test_news_is_told_once(outside: Outside) -> None:
    """One message for a scan with news; none where there is none."""
    assert tell.tell(SETTINGS)
    found(row("/a"), row("/b", "high"))
    assert tell.tell(SETTINGS)
    assert tell.tell(SETTINGS)
    assert len(outside.sent) == 1
    assert "1 high, 1 low" in outside.sent[0][0]


def test_what_did_not_get_through_is_told_again(outside: Outside) -> None:
    """With what is new since; what was acknowledged meanwhile is not."""
    found(row("/a"), row("/b"))
    outside.reached = False
    assert not tell.tell(SETTINGS)
    acknowledging.acknowledge(["web"], "eve", "why")
    found(row("/a"), row("/b"), row("/c"))
    outside.reached = True
    assert tell.tell(SETTINGS)
    assert "/c" in outside.sent[1][1]
    assert "/a" not in outside.sent[1][1]


def test_what_could_not_be_kept_is_told(outside: Outside, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no store, findings reach people all the same."""
    monkeypatch.setattr(telling, "listener", lambda _: None)
    (tmp_path / "state").write_text("in the way")
    news = alerts.observe("web", "1", [row("/a")], 1, complete=True)
    assert tell.tell(SETTINGS, [news])
    assert "/a" in outside.sent[0][1]


def _alert(path: str, severity: str = "low", container: str = "web") -> Alert:
    return Alert(container, hashed(path), "1", row(path, severity), 1)


def test_flood_is_a_few_lines() -> None:
    """100,000 findings are one line of their directory; 100,000 directories are 40 lines, the worst first."""
    many = [_alert(f"/d/{number}") for number in range(100_000)]
    lines = tell.message(many)
    assert len(lines) == 3
    assert "100000 new in /d" in lines[0]
    apart = [*(_alert(f"/{number}/x") for number in range(100_000)), _alert("/z\x1b/bad", "high")]
    lines = tell.message(apart)
    assert len(lines) == tell.LINES
    assert "/bad" in lines[0]
    assert "and 99964 more" in "\n".join(lines)
    assert all(line.isprintable() and len(line) <= tell.LONGEST for line in lines)


def test_log_is_capped() -> None:
    """A line for each of the worst, and how many more there are."""
    lines = tell.log_lines([*(_alert(f"/{number}") for number in range(30)), _alert("/bad\n", "high")])
    assert len(lines) == 21
    assert lines[0][0] == "high"
    assert lines[-1] == ("low", "and 11 more alerts")
    assert all(line.isprintable() for _, line in lines)


@pytest.fixture
def listening(tmp_path: Path) -> Iterator[socket.socket]:
    """A system log that listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(tmp_path / "log"))
        yield log


def test_log_that_nobody_reads_gets_it_later(listening: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message that was sent is not sent again because the log was not there."""
    texts: list[str] = []
    monkeypatch.setattr(telling, "listener", texts.append)
    found(row("/a"))
    listening.close()
    assert not tell.tell(SETTINGS)
    assert "no system logger is listening" in texts[0]
    waiting = alerts.untold()
    assert ([one.path for one in waiting.log], waiting.send) == (["/a"], [])
