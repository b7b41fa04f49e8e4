"""Which updates failed: the history and the last `upgrade-all`, whichever is newer."""

from pathlib import Path

import pytest

from dockyard import history
from dockyard.fleet.crew import Done
from dockyard.monitoring import updates
from dockyard.monitoring.problems import UpdateFacts
from dockyard.monitoring.updates import ACTIONS, Outcome, last_run, outcome_of, reason_of, save_last_run, update_facts


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Store everything in a directory of the test's own."""
    for module in (updates, history):
        monkeypatch.setattr(module, "state_directory", lambda: tmp_path / "state")
    return tmp_path / "state"


@pytest.mark.parametrize(
    ("event", "run", "expected"),
    [
        (Outcome(5, "failed", "why"), None, [UpdateFacts("web", "why")]),
        (Outcome(5, "ok"), None, []),
        (Outcome(5, "failed", "why"), Outcome(6, "ok"), []),
        (Outcome(5, "ok"), Outcome(6, "failed", "late"), [UpdateFacts("web", "late")]),
        (Outcome(7, "ok"), Outcome(6, "failed", "late"), []),
        (Outcome(7, "failed", "why"), Outcome(6, "ok"), [UpdateFacts("web", "why")]),
        (None, Outcome(6, "failed", "late"), [UpdateFacts("web", "late")]),
        (Outcome(5, "failed", "why"), Outcome(6, "held", "until 2027"), []),
        (None, None, []),
    ],
)
def test_newest_counts(event: Outcome | None, run: Outcome | None, expected: list[UpdateFacts]) -> None:
    """A service that is up to date is no event, so the run says that; what was done by hand since counts more."""
    facts, unknown = update_facts({"web": event} if event else {}, {"web": run} if run else {})
    assert (facts, unknown) == (expected, frozenset())


def test_skipped_is_not_judged() -> None:
    """Whether a service can be updated that was left out is not known."""
    assert update_facts({"web": Outcome(1, "failed")}, {"web": Outcome(2, "skipped")}) == ([], {"web"})


def test_run_is_stored_and_read(state: Path) -> None:
    """With what explains a failure; a service that timed out has failed; the file is its owner's alone."""
    failed = Done("web", "failed", "web: Test ended with exit code 1", output="a\nKeyError: x\nbye\n")
    save_last_run([Done("db", "ok"), failed, Done("app", "timeout", "too long"), Done("top", "skipped", "base")], 5)
    assert last_run() == {
        "db": Outcome(5, "ok"),
        "web": Outcome(5, "failed", "web: Test ended with exit code 1: KeyError: x"),
        "app": Outcome(5, "failed", "too long"),
        "top": Outcome(5, "skipped", "base"),
    }
    assert (state / "last-upgrade.json").stat().st_mode & 0o077 == 0
    assert reason_of(Done("web", "failed", "KeyError: x", output="KeyError: x")) == "KeyError: x"


@pytest.mark.parametrize("text", ["{", "[]", '{"web": 1}'])
def test_damaged_run_is_reported(state: Path, told: list[str], text: str) -> None:
    """It is as if there was none."""
    state.mkdir()
    (state / "last-upgrade.json").write_text(text)
    assert last_run() == {}
    assert "cannot be read" in told[0]


def test_newest_event_of_each_service() -> None:
    """What is no update does not count; what a hand undid or rolled back is no failure."""
    history.record("web", "upgrade", "failed", reason="crashed")
    history.record("web", "start", "ok")
    history.record("db", "upgrade", "failed", reason="crashed")
    history.record("db", "rollback", "ok")
    found = {name: outcome_of(event) for name, event in history.newest(["web", "db", "none"], ACTIONS).items()}
    assert {name: (one.result, one.reason) for name, one in found.items()} == {
        "web": ("failed", "crashed"),
        "db": ("ok", ""),
    }
    assert all(one.when > 1_700_000_000 for one in found.values())
