"""Alerts: what is news, what stays raised, what is accepted; and no fault of the store hides a finding."""

import multiprocessing
import os
import signal
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dockyard.errors import DockyardError, NoSuchNameError, UsageError
from dockyard.scan import alert_store, alerts, summaries
from dockyard.scan.acknowledging import acknowledge, acknowledgements, raised
from dockyard.scan.alert import INCOMPLETE, MORE, News, hashed
from dockyard.scan.alerts import REMEMBERED, mark_gone, mark_told, observe, untold
from dockyard.scan.summaries import EXPIRY_SECONDS, earlier

DAY = 24 * 3600.0


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the alerts in a directory of the test's own."""
    monkeypatch.setattr(alert_store, "state_directory", lambda: tmp_path / "state")
    return tmp_path / "state"


def row(path: str, **facts: Any) -> dict[str, Any]:  # noqa: ANN401 - what a row may have
    """Return a finding as a scan has it."""
    base = {"path": path, "what": "new", "kind": "file", "severity": "low", "reason": "why", "size": 1, "changed": 1.5}
    return {**base, "detail": [], "fingerprint": hashed("web", path), **facts}


def scan(*rows: dict[str, Any], at: float = 1, complete: bool = True, reasons: tuple[str, ...] = ()) -> News:
    """Keep what a scan of one container found."""
    return observe("web", "1" * 64, rows, at, complete=complete, reasons=reasons)


def paths(news: News) -> list[str]:
    """Return the paths of what is news."""
    return [alert.path for alert in news.new]


def accept(*which: str) -> list[str]:
    """Accept alerts, and return their paths."""
    return [alert.path for alert in acknowledge(which, "eve", "a hotfix")]


def test_a_finding_is_news_once() -> None:
    """The second scan that sees it has no news, and it stays raised; another one is news by itself."""
    assert paths(scan(row("/a"))) == ["/a"]
    assert paths(scan(row("/a"), at=2)) == []
    assert paths(scan(row("/a", size=9), row("/b"), at=3)) == ["/b"]
    assert [(alert.path, alert.since, alert.gone) for alert in raised()] == [("/a", 1, None), ("/b", 3, None)]


def test_undone_it_stays_raised() -> None:
    """A change that is undone before anybody acknowledged it is marked as gone; back again it is no news."""
    scan(row("/a"))
    scan(at=2)
    assert [alert.gone for alert in raised()] == [2]
    assert paths(scan(row("/a"), at=3)) == []
    assert [alert.gone for alert in raised()] == [None]


def test_acknowledged_and_still_there_it_is_quiet() -> None:
    """It is accepted, by whom and why is known, and it is no longer raised."""
    scan(row("/a"), row("/b"))
    assert accept(hashed("web", "/a")[:6]) == ["/a"]
    news = scan(row("/a"), row("/b"), at=2)
    assert (paths(news), news.accepted) == ([], {hashed("web", "/a")})
    assert [alert.path for alert in raised()] == ["/b"]
    (done,) = acknowledgements()
    assert (done.container, done.path, done.by, done.why) == ("web", "/a", "eve", "a hotfix")


@pytest.mark.parametrize("again", [row("/a", changed=2.5), row("/a", size=2), row("/a", detail=["mode 0644 → 0755"])])
def test_acknowledged_and_changed_it_is_news(again: dict[str, Any]) -> None:
    """What was accepted is what was there then: another content, time or detail is news, and no longer accepted."""
    scan(row("/a"))
    accept("web")
    news = scan(again, at=2)
    assert (paths(news), news.accepted) == (["/a"], frozenset())
    assert [alert.path for alert in raised()] == ["/a"]


def test_acknowledged_directory_may_fill() -> None:
    """A directory's time changes with what is put into it, which is a finding of its own."""
    scan(row("/a", kind="directory"))
    accept("web")
    assert paths(scan(row("/a", kind="directory", changed=7.0, size=80), row("/a/b"), at=2)) == ["/a/b"]


def test_acknowledged_gone_and_back_it_is_news() -> None:
    """Whether it was acknowledged before or after it went."""
    scan(row("/a"))
    accept("web")
    scan(at=2)
    assert paths(scan(row("/a"), at=3)) == ["/a"]
    scan(at=4)
    accept("web")
    assert raised() == []
    assert paths(scan(row("/a"), at=5)) == ["/a"]


def test_incomplete_scan_says_nothing_of_what_it_did_not_see() -> None:
    """What it did not see is not gone; that it was incomplete is an alert, which a complete one ends, told or not."""
    scan(row("/a"))
    news = scan(at=2, complete=False, reasons=("Permission denied",))
    assert [(alert.what, alert.row["reason"]) for alert in news.new] == [(INCOMPLETE, "Permission denied")]
    assert scan(at=3, complete=False, reasons=("Permission denied",)).new == ()
    assert {alert.what: alert.gone for alert in raised()} == {"new": None, INCOMPLETE: None}
    scan(row("/a"), at=4)
    assert [alert.what for alert in raised()] == ["new"]
    assert {alert.what for alert in untold().send} == {"new", INCOMPLETE}
    assert [alert.what for alert in scan(at=5, complete=False, reasons=("Permission denied",)).new] == [INCOMPLETE]


def test_container_that_is_gone_leaves_its_alerts() -> None:
    """They are marked as gone, and stay raised; those of others, and of one that came meanwhile, are as they were."""
    scan(row("/a"))
    observe("db", "2" * 64, [row("/b")], 1, complete=True)
    observe("late", "3" * 64, [row("/c")], 9, complete=True)
    mark_gone({"db"}, 5)
    assert {alert.container: alert.gone for alert in raised()} == {"web": 5, "db": None, "late": None}
    assert paths(scan(row("/a"), at=10)) == []
    assert {alert.container: alert.gone for alert in raised()} == {"web": None, "db": None, "late": None}


def test_scan_that_was_overtaken_takes_nothing_back() -> None:
    """A scan that began earlier and ends later adds what it saw, and does not say that the rest is gone or changed."""
    scan(row("/a", size=2), at=5)
    accept("web")
    news = scan(row("/a", size=1), row("/b"), at=4)
    assert (paths(news), news.accepted) == (["/b"], {hashed("web", "/a")})
    scan(row("/a", size=2), at=6)
    assert {alert.path: alert.gone for alert in raised()} == {"/b": 6}


def _facts(state: Path) -> dict[str, tuple[int, int]]:
    return {entry.name: (entry.stat().st_mtime_ns, entry.stat().st_size) for entry in state.iterdir()}


def test_nothing_changed_nothing_is_written(state: Path) -> None:
    """The database is the same file with the same time; what is accepted is told all the same."""
    scan(row("/a"), row("/b"), complete=False, reasons=("why",))
    accept(hashed("web", "/a"))
    before = _facts(state)
    news = scan(row("/b"), row("/a"), at=2, complete=False, reasons=("why",))
    mark_gone({"web"}, 3)
    assert (news.new, news.accepted) == ((), {hashed("web", "/a")})
    assert _facts(state) == before


def test_store_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worst are kept one by one, the others are one alert; any change among them is news, and quiet is quiet."""
    monkeypatch.setattr(alerts, "MOST", 5)
    many = [row(f"/{number}") for number in range(20)]
    news = scan(*many)
    assert [alert.what for alert in news.new].count("new") == 4
    assert [alert.row["count"] for alert in news.new if alert.what == MORE] == [16]
    assert scan(*many, at=2).new == ()
    bad = row("/bad", severity="high")
    news = scan(*many, bad, at=3)
    assert {alert.what: alert.severity for alert in news.new} == {"new": "high", MORE: "low"}
    assert len(raised()) == 5
    assert raised()[0].path == "/bad"
    scan(*many, bad, at=4)
    assert len(raised()) == 5


def test_flood_that_comes_and_goes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is gone makes room: first what was acknowledged, then what is least bad; what was raised still counts."""
    monkeypatch.setattr(alerts, "MOST", 5)
    scan(row("/bad", severity="high"))
    for turn in range(2, 9):
        scan(*(row(f"/{turn}/{number}") for number in range(3)), at=turn)
    there = raised()
    assert len(there) <= 5
    assert "/bad" in {alert.path for alert in there}
    assert MORE in {alert.what for alert in there}
    assert {alert.path for alert in there if not alert.gone} - {""} == {"/8/0", "/8/1", "/8/2"}


def test_container_that_is_gone_expires() -> None:
    """Its alerts stay raised for 90 days, then they are removed; those of a container that exists stay."""
    scan(row("/a"))
    observe("db", "2" * 64, [row("/b")], 1, complete=True)
    mark_gone({"db"}, 5)
    mark_gone({"db"}, 4 + EXPIRY_SECONDS)
    assert [alert.container for alert in raised()] == ["db", "web"]
    mark_gone({"db"}, 6 + EXPIRY_SECONDS)
    assert [alert.container for alert in raised()] == ["db"]


def test_archive_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The containers that are gone longest make room: too many containers, or too many alerts."""
    monkeypatch.setattr(summaries, "MAX_ARCHIVED", 3)
    monkeypatch.setattr(summaries, "MAX_ARCHIVED_ALERTS", 5)
    for number in range(5):
        observe(f"run-{number}", "1" * 64, [row("/a", fingerprint=hashed(number))], number, complete=True)
        mark_gone(set(), number)
    assert [alert.container for alert in raised()] == ["run-2", "run-3", "run-4"]
    observe("run-5", "1" * 64, [row(f"/{number}") for number in range(4)], 5, complete=True)
    mark_gone(set(), 5)
    assert {alert.container for alert in raised()} == {"run-4", "run-5"}


def test_incomplete_scan_of_a_container_that_is_gone_is_over() -> None:
    """Nothing can be judged any more, and nothing is raised."""
    scan(complete=False, reasons=("why",))
    mark_gone(set(), 2)
    assert (raised(), earlier(()).total) == ([], 0)


def test_what_is_over_is_forgotten_in_time() -> None:
    """Acknowledged and gone, or ended by itself: after 90 days it is away; what is raised stays for ever."""
    scan(row("/a"), row("/b"), complete=False, reasons=("why",))
    accept(hashed("web", "/a"))
    scan(at=2)
    scan(row("/c"), at=time.time() + REMEMBERED + DAY)
    with closing(sqlite3.connect(alert_store.path())) as database:
        there = {path for (path,) in database.execute("SELECT json_extract(row, '$.path') FROM alerts")}
    assert there == {"/b", "/c"}


def test_long_rows_are_cut() -> None:
    """A path past what the kernel takes, and details without end, take a bounded place; the fingerprint tells them."""
    (alert,) = scan(row("/x" * 50_000, path_base64="eA==" * 50_000, detail=["y" * 9_000] * 9_000)).new
    assert len(str(alert.row)) < 10_000
    assert alert.row["cut"]
    assert [alert.row] == [one.row for one in raised()]


def test_lines_are_fit_to_print() -> None:
    """Whatever a file is called, its alert is one line without control characters."""
    (alert,) = scan(row("/a\x1b[2J\nall ok", reason="a\nb")).new
    assert alert.line().isprintable()
    assert "all ok" in alert.line()


def test_unknown_and_ambiguous_names() -> None:
    """Nothing is acknowledged then: there is a hint, and all is as it was."""
    scan(row("/a", fingerprint="abcd1"), row("/b", fingerprint="abcd2"))
    for wrong in ("abcd", "abc", "wob", ""):
        with pytest.raises(NoSuchNameError) as failure:
            acknowledge([hashed("web"), wrong], "eve", "why")
        assert failure.value.hint
    with pytest.raises(NoSuchNameError, match="more than one"):
        accept("abcd1", "abcd")
    with pytest.raises(NoSuchNameError) as failure:
        accept("wob")
    assert "`web`" in failure.value.hint
    with pytest.raises(UsageError, match="reason"):
        acknowledge(["web"], "eve", "  ")
    assert len(raised()) == 2
    assert acknowledgements() == []


def test_told_is_told_once() -> None:
    """What was sent is no longer untold, in the log or as a message each by itself; raised anew, it is untold again."""
    scan(row("/a"))
    mark_told(untold().log, logged=True)
    assert ([one.path for one in untold().log], [one.path for one in untold().send]) == ([], ["/a"])
    old = untold().send
    mark_told(old, notified=True)
    assert untold()[:2] == ([], [])
    accept("web")
    scan(row("/a", size=2), at=2)
    mark_told(old, logged=True, notified=True)
    assert [one.path for one in untold().send] == ["/a"]


def _scan_often(name: str, count: int) -> None:
    for number in range(count):
        observe(name, "1" * 64, [row(f"/{name}/{number}")], number, complete=True)


def test_many_at_once_lose_nothing() -> None:
    """Eight processes that begin the store together, and one container that all of them scan: every alert is raised."""
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_scan_often, args=(f"web{number % 4}", 10)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(raised()) == 40


def test_killed_while_writing_it_can_be_read() -> None:
    """SIGKILL of a scan leaves a store that is read and written."""
    writer = multiprocessing.get_context("fork").Process(target=_scan_often, args=("other", 10**6))
    writer.start()
    while not raised():
        time.sleep(0.01)
    os.kill(writer.pid or 0, signal.SIGKILL)
    writer.join()
    assert paths(scan(row("/a"))) == ["/a"]
    assert {alert.container for alert in raised()} == {"web", "other"}


def test_damaged_store_begins_anew(state: Path, told: list[str]) -> None:
    """What is no database is moved aside, and that is told; all findings are news again."""
    scan(row("/a"))
    alert_store.path().write_bytes(b"no database at all" * 500)
    assert paths(scan(row("/a"), at=2)) == ["/a"]
    assert "damaged" in told[0]
    assert [alert.path for alert in raised()] == ["/a"]
    assert len(list(state.glob("alerts-damaged-*.db"))) == 1


def test_damage_within_is_met_once(state: Path, told: list[str]) -> None:
    """Pages that are overwritten are met when they are read: all is news and told so, and the next scan has a store."""
    scan(*(row(f"/{number}") for number in range(500)))
    size = alert_store.path().stat().st_size
    with alert_store.path().open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    assert len(scan(row("/a"), at=2).new) == 1
    assert paths(scan(row("/b"), at=3)) == ["/b"]
    assert "damaged" in " ".join(told)
    assert [alert.path for alert in raised()] == ["/b"]
    assert list(state.glob("alerts-damaged-*.db"))


def _linked(state: Path) -> None:
    state.mkdir()
    (state / "alerts.db").symlink_to("/etc/passwd")


@pytest.mark.parametrize("harm", [lambda state: state.write_text("in the way"), _linked], ids=["file", "link"])
def test_store_that_cannot_be_written_hides_nothing(state: Path, told: list[str], harm: Any) -> None:  # noqa: ANN401
    """All that was found is news, with a warning, each time; acknowledging is an error."""
    harm(state)
    for _ in range(2):
        news = scan(row("/a"), complete=False, reasons=("why",))
        assert [alert.path for alert in news.new] == ["/a", ""]
        assert not news.is_kept
        assert news.accepted == frozenset()
    mark_gone(set(), 2)
    assert all("could not be saved" in text for text in told)
    with pytest.raises(DockyardError, match="cannot be read or written"):
        acknowledge(["web"], "eve", "why")


def test_others_may_not_read_it(state: Path) -> None:
    """The store is its owner's alone, and so is its directory."""
    scan(row("/a"))
    assert (state / "alerts.db").stat().st_mode & 0o077 == 0
    assert state.stat().st_mode & 0o077 == 0


def test_clock_that_was_set_back() -> None:
    """A scan of a future that did not come keeps no later one from telling that what was accepted has changed."""
    now = time.time()
    scan(row("/etc/passwd"), at=now + DAY)
    acknowledge(["web"], "me", "mine")
    assert paths(scan(row("/etc/passwd"), at=now)) == []
    assert paths(scan(row("/etc/passwd", size=2), at=now + 1)) == ["/etc/passwd"]
