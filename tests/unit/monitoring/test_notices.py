"""Messages: one when a problem begins, one when it ends, and what is in them."""

from pathlib import Path

import pytest

from dockyard.monitoring import notified
from dockyard.monitoring.notices import MAX_MESSAGES, Message, Notified, after, messages
from dockyard.monitoring.notified import notify_of_changes
from dockyard.monitoring.problems import Findings, Problem
from dockyard.notify import FAILURE, INFO, SUCCESS, WARNING


def problem(name: str, severity: str = FAILURE) -> Problem:
    """Return something that is wrong with a service."""
    return Problem(f"service:{name}", name, "is unhealthy", severity, "cannot connect", "ktools/web:live 1ca4", "d why")


def changes(*there: Problem, known: dict[str, Notified] | None = None) -> list[Message]:
    """Return what is sent."""
    return messages("harbour", Findings(there), known or {}, 7200)


def test_message_names_host_service_reason_and_what_runs() -> None:
    """With the severity of the problem, and what to do next."""
    (sent,) = changes(problem("web"))
    assert (sent.title, sent.severity) == ("dockyard on harbour: web is unhealthy", FAILURE)
    assert sent.body.splitlines() == [
        "web: is unhealthy: cannot connect",
        "production runs: ktools/web:live 1ca4",
        "next: d why",
        "host: harbour",
    ]
    update = Problem("update:web", "web", "its last update failed", FAILURE)
    assert changes(update)[0].title == "dockyard on harbour: web: its last update failed"


def test_known_problem_is_not_sent_again() -> None:
    """Even if its text, reason or severity is another by now; once it is resolved, that is sent once."""
    known = after({}, changes(problem("web"))[0], 0)
    assert changes(problem("web", WARNING)._replace(text="is not up", reason="other"), known=known) == []
    (sent,) = changes(known=known)
    assert (sent.title, sent.severity) == (
        "dockyard on harbour: web: resolved after 2 hours: is unhealthy",
        SUCCESS,
    )
    assert after(known, sent, 0) == {}
    assert changes() == []


def test_what_is_unknown_or_not_covered_stays() -> None:
    """What a run says nothing of is neither resolved nor forgotten."""
    known = after({}, changes(problem("web"))[0], 0)
    assert messages("harbour", Findings((), lambda key: key == "service:web"), known, 1) == []
    assert messages("harbour", Findings(), known, 1, lambda key: key != "service:web") == []


def test_many_at_once() -> None:
    """The worst have a message each, the others are in one more; all of them are known then."""
    every = [problem(f"web{number}", INFO if number % 2 else FAILURE) for number in range(24)]
    sent = changes(*every)
    assert len(sent) == MAX_MESSAGES + 1
    assert {message.severity for message in sent[:-1]} == {FAILURE}
    assert len(sent[-1].body.splitlines()) == 14
    known: dict[str, Notified] = {}
    for message in sent:
        known = after(known, message, 0)
    assert known.keys() == {one.key for one in every}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Store what is known in a directory of the test's own."""
    monkeypatch.setattr(notified, "state_directory", lambda: tmp_path / "state")
    return tmp_path / "state"


def test_what_did_not_reach_anyone_is_sent_again(state: Path) -> None:
    """And what did is not; the file is its owner's alone."""
    sent: list[str] = []

    def send(message: Message) -> bool:
        sent.append(message.title)
        return "db" not in message.title or len(sent) > 2

    both = Findings([problem("web"), problem("db")])
    assert not notify_of_changes(lambda _: both, send, 0, host="harbour")
    assert notify_of_changes(lambda _: both, send, 1, host="harbour")
    assert notify_of_changes(lambda _: both, send, 2, host="harbour")
    assert [title.split()[3] for title in sent] == ["web", "db", "db"]
    assert notified.read().keys() == {"service:web", "service:db"}
    assert (state / "notified.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("text", ["{", "[1]", '[{"since": 1}]', '[{"since": 1, "problem": {"x": 1}}]'])
def test_damaged_state_is_reported(state: Path, told: list[str], text: str) -> None:
    """Then everything is news again, which is better than silence."""
    state.mkdir()
    (state / "notified.json").write_text(text)
    assert notified.read() == {}
    assert "cannot be read" in told[0]
