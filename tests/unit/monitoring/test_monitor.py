"""Commands that notify: which problems they report, and which they leave to others."""

from pathlib import Path
from typing import Any

import pytest

from dockyard.engine.models import Row
from dockyard.errors import DockyardError
from dockyard.fleet.crew import Done
from dockyard.monitoring import monitor, notified
from dockyard.monitoring.notices import Message
from dockyard.monitoring.problems import Facts, ServiceFacts, UpdateFacts
from dockyard.notify import FAILURE, SUCCESS


class Host:
    """Settings without a heartbeat."""

    def __getitem__(self, key: object) -> None:
        """Return nothing."""


class Yard:
    """A yard whose production of one service runs."""

    settings: Any = Host()
    rows = (
        Row("1", "web", "running", "web", "prod", status="Up 3 days (healthy)", image="ktools/web:live"),
        Row("2", "test-web", "running", "web", "test", status="Up 3 seconds", image="ktools/web:latest"),
    )

    def forget_rows(self) -> None:
        """Forget nothing."""


YARD: Any = Yard()
FAILED = Done("web", "failed", "web: Test ended with exit code 1", output="KeyError: note\n")


@pytest.fixture
def sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Message]:
    """Store what is known in a directory of the test's own."""
    monkeypatch.setattr(notified, "state_directory", lambda: tmp_path / "state")
    monkeypatch.setattr(monitor, "pending_of", lambda _yard: [])
    return []


def run(sent: list[Message], title: str, *finished: Done) -> None:
    """Notify of a run."""
    assert monitor.notify_of_run(YARD, title, finished, lambda message: not sent.append(message))


def check(sent: list[Message], facts: Facts) -> None:
    """Notify of a host."""
    assert monitor.notify_of_host(YARD.settings, facts, 1, lambda message: not sent.append(message))


def test_upgrade_that_fails_each_night(sent: list[Message]) -> None:
    """It is one message: host, service, the line that explains it, what runs, and the severity."""
    run(sent, "upgrade-all", FAILED, Done("db", "ok"))
    run(sent, "upgrade-all", FAILED._replace(reason="failed before, and nothing has changed since"), Done("db", "ok"))
    check(sent, Facts(services=[ServiceFacts("web")], updates=[UpdateFacts("web", "Test")]))
    (message,) = sent
    assert message.severity == FAILURE
    assert "web: its last update failed" in message.title
    assert "KeyError: note" in message.body
    assert "production runs: ktools/web:live Up 3 days (healthy)" in message.body
    run(sent, "upgrade-all", Done("web", "ok"), Done("db", "ok"))
    assert [one.severity for one in sent] == [FAILURE, SUCCESS]
    check(sent, Facts(services=[ServiceFacts("web")]))
    assert len(sent) == 2


def test_run_leaves_other_problems_alone(sent: list[Message]) -> None:
    """What a run did not work on is not resolved by it, nor what was skipped."""
    check(sent, Facts(services=[ServiceFacts("db", status="exited")], updates=[UpdateFacts("web", "Test")]))
    run(sent, "upgrade-all", Done("web", "skipped", "base failed"), Done("db", "ok"))
    run(sent, "build-all", Done("web", "ok"), Done("db", "ok"))
    assert [one.severity for one in sent] == [FAILURE, FAILURE]
    run(sent, "up-all", Done("db", "ok"))
    assert sent[-1].ended == ("service:db",)


def test_check_leaves_problems_of_runs_alone(sent: list[Message]) -> None:
    """What only a command finds, only that command ends."""
    run(sent, "test-all", FAILED)
    check(sent, Facts())
    assert [one.severity for one in sent] == [FAILURE]
    run(sent, "test-all", Done("web", "ok"))
    assert [one.severity for one in sent] == [FAILURE, SUCCESS]


def test_state_that_cannot_be_written_is_an_error(sent: list[Message], tmp_path: Path) -> None:
    """Without it everything would be reported again each time."""
    (tmp_path / "state").write_text("in the way")
    with pytest.raises(DockyardError, match="state"):
        check(sent, Facts(engine_error="gone"))
    assert sent == []
