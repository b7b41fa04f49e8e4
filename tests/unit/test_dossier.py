"""What a failure leaves."""

from pathlib import Path
from typing import Any

import pytest

from dockyard import dossier, telling
from dockyard.engine.dialect import DOCKER
from dockyard.engine.engine import Engine


class Inspected(Engine):
    """An engine that has one container, with a secret."""

    def __init__(self) -> None:
        super().__init__("docker", DOCKER)

    def inspect(self, kind: str, *names: str) -> list[Any]:
        """Return that container."""
        labels = {"dockyard.secrets": "PUID"}
        state = {"Health": {"Log": [{"Output": "lost the database"}]}}
        return [
            {"Id": names[0], "Config": {"Env": ["PUID=hidden", "TZ=UTC"], "Labels": labels}, "State": state, "K": kind}
        ]

    def logs(self, container: str, tail: int = 0) -> str:  # noqa: ARG002 - as Engine has it
        """Return what it wrote."""
        return f"{container} cannot go on"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep dossiers in a directory of the test's own."""
    monkeypatch.setattr(dossier, "state_directory", lambda: tmp_path)
    return tmp_path


def test_ten_years_of_failures_leave_the_newest(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report each night: the last ten are there, and the newest is the first."""
    nights = iter(range(100))
    monkeypatch.setattr(dossier.time, "strftime", lambda *_: f"night {next(nights):02}")
    for number in range(dossier.KEPT * 3):
        dossier.write_report("web", {"reason.txt": f"failure {number}"})
    there = dossier.dossiers("web")
    assert len(there) == len(list((state / "services/web/dossiers").iterdir())) == dossier.KEPT
    assert dossier.read(there[0])["reason.txt"] == f"failure {dossier.KEPT * 3 - 1}"


def test_all_that_tells_why_is_there() -> None:
    """The reason, logs, health, tests and times; no secret; nobody else can read it."""
    place = dossier.keep(
        Inspected(),
        "web",
        "it crashed",
        hint="look",
        containers={"new": "1"},
        transcript="1 failed",
        timings={"stop": 1.5},
    )
    assert place == dossier.dossiers("web")[0]
    files = dossier.read(place)
    assert files["reason.txt"] == "it crashed\nlook"
    assert files["log-new.txt"] == "1 cannot go on"
    assert "lost the database" in files["health-new.json"]
    assert "TZ=UTC" in files["inspect-new.json"]
    assert not any("hidden" in text for text in files.values())
    assert files["transcript.txt"] == "1 failed"
    assert "1.5" in files["timings.json"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in (place, *place.iterdir()))


def test_only_so_many_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go, also where several come within a second, and each file has its limit."""
    monkeypatch.setattr(dossier, "KEPT", 3)
    monkeypatch.setattr(dossier, "LARGEST", 10)
    for number in range(6):
        dossier.keep(Inspected(), "web", "x" * 20 + f"reason {number}")
    texts = [dossier.read(place)["reason.txt"] for place in dossier.dossiers("web")]
    assert len(texts) == 3
    assert all(len(text) == 10 for text in texts)


def test_dossier_that_cannot_be_kept_stops_nothing(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Something in its way is told, and that is all."""
    told: list[str] = []
    monkeypatch.setattr(telling, "listener", told.append)
    (state / "services").mkdir()
    (state / "services/web").write_text("in the way")
    assert dossier.keep(Inspected(), "web", "it crashed") is None
    assert "the failure report could not be saved" in told[0]
    assert dossier.dossiers("db") == []
