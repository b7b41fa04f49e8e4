"""Holds: they last until they are released, or end by themselves on their date."""

from datetime import datetime
from pathlib import Path

import pytest

from dockyard import dossier, history, holds
from dockyard.errors import DockyardError, HeldError, UsageError
from dockyard.fleet.crew import Done, exit_code, failure


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep all state in a directory of the test's own."""
    for module in (holds, dossier, history):
        monkeypatch.setattr(module, "state_directory", lambda: tmp_path)
    return tmp_path


def at(monkeypatch: pytest.MonkeyPatch, when: str) -> None:
    """Set the clock that holds are judged by."""
    monkeypatch.setattr(holds.time, "time", lambda: datetime.fromisoformat(when).timestamp())


def test_a_hold_lasts_until_it_is_released() -> None:
    """A new one replaces it; a second release has nothing to release."""
    holds.hold("web", reason="the old one")
    holds.hold("web", reason="until  the\naudit")
    found = holds.hold_of("web")
    assert found is not None
    assert (str(found), found.user) == ("held: until the audit", "root")
    assert list(holds.all_holds()) == ["web"]
    assert holds.unhold("web")
    assert not holds.unhold("web")
    assert holds.hold_of("web") is None


@pytest.mark.parametrize(
    ("until", "last", "over"),
    [
        ("2027-03-31", "2027-03-30T23:59:59", "2027-03-31T00:00:00"),
        ("2027-03-31T08:00", "2027-03-31T07:59:59", "2027-03-31T08:00:00"),
    ],
)
def test_a_hold_ends_by_itself(monkeypatch: pytest.MonkeyPatch, until: str, last: str, over: str) -> None:
    """On its date, or at its time, on the clock of this host."""
    at(monkeypatch, "2027-01-01T00:00:00")
    holds.hold("web", until)
    at(monkeypatch, last)
    assert holds.hold_of("web")
    at(monkeypatch, over)
    assert holds.hold_of("web") is None
    assert holds.all_holds() == {}


@pytest.mark.parametrize("until", ["tomorrow", "2027-02-30", "2001-01-01"])
def test_a_date_that_cannot_be_is_refused(until: str) -> None:
    """No date, an impossible one, or one in the past: nothing is held."""
    with pytest.raises(UsageError):
        holds.hold("web", until)
    assert holds.hold_of("web") is None


def test_a_hold_that_cannot_be_read_is_none_that_has_ended(state: Path, told: list[str]) -> None:
    """A question about that service gets an error; a list warns; it can be released."""
    holds.hold("web")
    (state / "services/web/hold.json").write_text("[]")
    with pytest.raises(DockyardError, match="cannot be read"):
        holds.hold_of("web")
    assert holds.all_holds() == {}
    assert "cannot be read" in told[0]
    assert holds.unhold("web")


def test_lists_name_each_service_that_is_not_upgraded() -> None:
    """It is held, or its newest version was rolled back, or both."""
    holds.hold("db", reason="migration")
    holds.hold("web")
    history.record_rollback("web", "b" * 64, "c")
    history.record_rollback("app", "d" * 64, "e")
    found = holds.notices()
    assert found["db"] == "held: migration"
    assert found["web"].startswith(f"held, {'b' * 12} was rolled back on ")
    assert found["app"].startswith(f"{'d' * 12} was rolled back on ")


def test_what_is_held_is_no_failure_of_a_fleet() -> None:
    """It has a result of its own, its reason is shown, and the run ends well."""
    done = Done("web", **failure(HeldError("web is held", "`d unhold web` releases it")))
    assert (done.result, done.text, done.is_ok) == ("held", "web is held", True)
    assert exit_code([done]) == 0
