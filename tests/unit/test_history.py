"""The history: what is written is there, and nothing that is wrong with it stops any work."""

import multiprocessing
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from dockyard import database, history


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the history in a directory of the test's own."""
    monkeypatch.setattr(history, "state_directory", lambda: tmp_path / "state")
    return tmp_path / "state"


def test_what_was_recorded_is_told_newest_first(state: Path) -> None:
    """Service, action, result, image and detail come back, with who and when; others may not read it."""
    history.record("web", "build", "ok", image="1")
    history.record("web", "upgrade", "failed", image="2", launch="x", reason="it crashed")
    history.record("db", "start", "ok")
    newest, oldest = history.events("web")
    assert (newest.action, newest.result, newest.image, newest.detail["reason"]) == (
        "upgrade",
        "failed",
        "2",
        "it crashed",
    )
    assert oldest.action == "build"
    assert newest.user
    assert newest.when.endswith("Z")
    assert [event.service for event in history.events(limit=1)] == ["db"]
    assert (state / "history.db").stat().st_mode & 0o077 == 0


def test_contents_that_were_built_here_are_known() -> None:
    """What was built or trimmed is known by its content; what failed, or only ran, is not."""
    history.record("web", "build", "ok", image="1", content="a")
    history.record("web", "trim", "ok", image="2", content="b")
    history.record("web", "build", "failed", image="3", content="c")
    history.record("web", "start", "ok", image="4", content="d")
    assert history.built_contents(["a", "b", "c", "d", "e"]) == {"a", "b"}
    assert history.built_contents([]) == frozenset()


def test_failed_upgrade_is_remembered_until_one_is_good() -> None:
    """The newest upgrade of the image with the settings decides; another id of the same content is the same image."""
    history.record("web", "upgrade", "failed", image="2", content="b", launch="x")
    assert history.rejection("web", "2", "", "x")
    assert history.rejection("web", "4", "b", "x")
    assert not history.rejection("web", "2", "b", "y")
    assert not history.rejection("web", "3", "c", "x")
    history.record("web", "upgrade", "ok", image="4", content="b", launch="x")
    assert not history.rejection("web", "2", "b", "x")


def test_a_switch_without_a_recorded_content_is_known_by_its_id() -> None:
    """An image that is gone has no content: nothing else is equal to it."""
    history.record("web", "upgrade", "failed", image="2", content="", launch="x")
    assert history.rejection("web", "2", "", "x")
    assert not history.rejection("web", "3", "", "x")


def test_a_version_that_was_rolled_back_is_not_tried_with_any_settings() -> None:
    """Also where it was once upgraded to with other ones; that it failed before with some, too, changes nothing."""
    history.record("web", "upgrade", "failed", image="2", content="b", launch="y")
    history.record("web", "upgrade", "ok", image="2", content="b", launch="x")
    history.record("web", "rollback", "ok", image="1", content="a", launch="x")
    history.record_rollback("web", "2", "b")
    for launch in ("x", "y", "z", ""):
        event = history.rejection("web", "3", "b", launch)
        assert event is not None
        assert event.result == history.ROLLED_BACK
    assert not history.rejection("web", "1", "a", "x")
    assert not history.rejection("web", "4", "d", "x")
    assert not history.rejection("db", "2", "b", "x")


@pytest.mark.parametrize("action", ["upgrade", "promote", "rollback"])
def test_a_rolled_back_version_that_is_live_again_is_as_any_other(action: str) -> None:
    """An upgrade with --force, a promotion or a second rollback: what had failed before with some settings, has."""
    history.record("web", "upgrade", "failed", image="2", content="b", launch="y")
    history.record_rollback("web", "2", "b")
    history.record("web", action, "ok", image="2", content="b", launch="x")
    assert not history.rejection("web", "2", "b", "x")
    failed = history.rejection("web", "2", "b", "y")
    assert failed is not None
    assert failed.result == "failed"


def test_lists_name_what_was_rolled_back_until_another_version_is_live() -> None:
    """Of each service the newest; a failed upgrade and a start replace nothing."""
    history.record_rollback("web", "2", "b")
    history.record_rollback("web", "3", "c")
    history.record_rollback("db", "7", "d")
    history.record("web", "upgrade", "failed", image="4", content="e", launch="x")
    history.record("web", "start", "ok", image="1")
    assert {name: event.image for name, event in history.rolled_back().items()} == {"web": "3", "db": "7"}
    history.record("web", "upgrade", "ok", image="5", content="f", launch="x")
    history.record("db", "promote", "ok", image="8")
    assert history.rolled_back() == {}


def test_no_question_reads_the_whole_history(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each one has an index; without a service, the newest are read in the order in which they are stored."""
    statements: list[str] = []

    @contextmanager
    def traced(place: Path, schema: str) -> Iterator[sqlite3.Connection]:
        with database.database(place, schema) as connection:
            connection.set_trace_callback(statements.append)
            yield connection

    history.record("web", "build", "ok", content="a", launch="x")
    monkeypatch.setattr(history, "database", traced)
    history.events()
    history.events("web")
    history.rejection("web", "1", "a", "x")
    history.lives("web")
    history.rolled_back()
    history.built_contents(["a", "b"])
    with closing(sqlite3.connect(history.path())) as connection:
        selects = [text for text in statements if text.startswith("SELECT")]
        plans = [connection.execute(f"EXPLAIN QUERY PLAN {text}").fetchall() for text in selects]
    steps = [[step[3] for step in plan] for plan in plans]
    assert steps[0] == ["SCAN events"]
    assert [plan[0].partition(" (")[0] for plan in steps[1:]] == [
        "SEARCH events USING INDEX by_service",
        "SEARCH events USING INDEX by_service",
        "SEARCH events USING INDEX by_service",
        "SCAN event USING INDEX rolled_back",
        "SEARCH events USING INDEX built",
    ]
    assert not any("TEMP B-TREE" in step for plan in steps for step in plan)


def _write(number: int, count: int) -> None:
    for _ in range(count):
        history.record(f"web{number}", "build", "ok")


def test_many_at_once_lose_nothing() -> None:
    """Eight processes that begin the history together and write 20 events each: all 160 are there."""
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(number, 20)) for number in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(history.events(limit=1000)) == 160


def test_killed_while_writing_it_can_be_read() -> None:
    """SIGKILL of a writer leaves a history that is read and written."""
    writer = multiprocessing.get_context("fork").Process(target=_write, args=(1, 10**6))
    writer.start()
    while not history.events():
        time.sleep(0.01)
    os.kill(writer.pid or 0, signal.SIGKILL)
    writer.join()
    history.record("web", "build", "ok")
    assert history.events("web")
    assert history.events("web1")


def test_damaged_one_is_moved_aside(state: Path) -> None:
    """A file that is no database is kept under another name, and the history begins anew."""
    state.mkdir()
    (state / "history.db").write_bytes(b"no database at all" * 100)
    history.record("web", "build", "ok")
    assert len(history.events("web")) == 1
    assert len(list(state.glob("history-damaged-*.db"))) == 1


def test_history_that_cannot_be_written_stops_nothing(state: Path, told: list[str]) -> None:
    """A file in the place of the directory, or a link in that of the history: a warning, no error."""
    state.write_text("in the way")
    history.record("web", "build", "ok")
    assert "cannot be written" in told[0]
    state.unlink()
    state.mkdir()
    (state / "history.db").symlink_to("/etc/passwd")
    history.record("web", "build", "ok")
    assert "cannot be written" in told[1]


def test_history_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of each service so many events are kept, the newest."""
    monkeypatch.setattr(history, "KEPT", 3)
    for number in range(5):
        history.record("web", "build", "ok", image=str(number))
    history.record("db", "build", "ok")
    assert [event.image for event in history.events("web")] == ["4", "3", "2"]
    history.record_rollback("web", "9", "x")
    for number in range(5):
        history.record("web", "build", "ok", image=str(number))
    assert history.rejection("web", "9", "x", "")
    assert len(history.events("db")) == 1
