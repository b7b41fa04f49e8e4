"""What explains the end of a Test."""

import json
from pathlib import Path
from typing import Any

import pytest

from dockyard import dossier, evidence
from dockyard.engine.dialect import DOCKER
from dockyard.engine.engine import Engine
from dockyard.errors import EngineError
from dockyard.masking import known

HEALTH = {"Status": "unhealthy", "Log": [{"ExitCode": 1, "Output": "no database"}, {"ExitCode": 7, "Output": "lost\n"}]}


class Ended(Engine):
    """An engine with containers that have ended, the first of which was created last."""

    def __init__(self, log: str = "one\ntwo\n", **state: Any) -> None:  # noqa: ANN401 - as JSON has it
        super().__init__("docker", DOCKER)
        self.state = {"Status": "exited", "ExitCode": 3, **state}
        self.written = log.split("|")

    def inspect(self, kind: str, *names: str) -> list[Any]:
        """Return the containers."""
        return [
            {"Id": name, "Name": f"/test-{name}", "Created": f"2026-01-0{9 - number}", "State": self.state, "K": kind}
            for number, name in enumerate(names)
        ]

    def logs(self, container: str, tail: int = 0) -> str:  # noqa: ARG002 - as Engine has it
        """Return what it wrote, more each time."""
        if self.written == ["refused"]:
            raise EngineError(("docker", "logs", container), 1, "driver `none` does not support reading")
        return self.written.pop(0) if len(self.written) > 1 else self.written[0]


def test_state_health_and_log_are_there() -> None:
    """In files, and in lines for people."""
    files = evidence.collect(Ended(Health=HEALTH), ["web"])
    assert files["state-new.txt"] == "test-web has ended with exit code 3"
    assert files["log-new.txt"] == "one\ntwo"
    assert json.loads(files["health-new.json"]) == HEALTH
    assert evidence.lines(files) == [
        "test-web has ended with exit code 3",
        "its last health check, exit code 7: lost",
        "its log:",
        "one",
        "two",
    ]


@pytest.mark.parametrize(
    ("state", "line"),
    [
        (
            {"OOMKilled": True, "ExitCode": 137},
            "test-web has ended with exit code 137, killed because it ran out of memory",
        ),
        ({"ExitCode": 127, "Error": "no such program"}, "test-web has ended with exit code 127: no such program"),
        ({"Status": "running", "Running": True}, "test-web is running"),
        ({"Status": "running", "Running": True, "Health": HEALTH}, "test-web is running and unhealthy"),
    ],
)
def test_how_it_ended_is_one_line(state: dict[str, Any], line: str) -> None:
    """Its exit code, and what the engine knows besides."""
    assert evidence.collect(Ended(**state), ["web"])["state-new.txt"] == line


def test_a_log_that_comes_late_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine may write it a moment after the end."""
    monkeypatch.setattr(dossier, "LOG_DELAY", 0)
    assert evidence.collect(Ended("|late"), ["web"])["log-new.txt"] == "late"


def test_why_there_is_no_log() -> None:
    """A driver that keeps none is named; an empty one is said to be empty."""
    assert "does not support reading" in evidence.lines(evidence.collect(Ended("refused"), ["web"]))[-1]
    assert evidence.lines(evidence.collect(Ended(""), ["web"]))[-1] == "its log is empty"


def test_the_instance_is_the_oldest_of_a_run() -> None:
    """Others that its Test has launched go by their names."""
    files = evidence.collect(Ended(), ["neighbour", "web"])
    assert files["state-new.txt"].startswith("test-web")
    assert files["state-test-neighbour.txt"].startswith("test-neighbour")


def test_what_is_saved_is_read_again_without_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By another process, without drafts that were cut short."""
    monkeypatch.setattr(known, "_values", {"s3cr3t-value"})
    monkeypatch.setattr(known, "_needles", None)
    evidence.save(Ended("it is s3cr3t-value"), ["web"], str(tmp_path))
    (tmp_path / ".draft").write_text("half")
    files = evidence.load(tmp_path)
    assert files["log-new.txt"] == "it is ***"
    assert ".draft" not in files
    evidence.save(Ended("refused"), ["web"], str(tmp_path))
    assert evidence.load(tmp_path) == files, "the first one has seen the container before it was removed"
    evidence.save(Ended(), ["web"], str(tmp_path / "gone"))


def test_an_instance_that_is_not_there_is_reported() -> None:
    """It was not launched yet, or is gone."""
    assert evidence.lines(evidence.collect(Ended(), [])) == [evidence.NO_CONTAINER]
    assert evidence.lines({}) == []
