"""Commands that fix what is mounted: only for what no running container uses."""

from pathlib import Path

import pytest

from dockyard import launch
from dockyard.engine.models import Container
from dockyard.errors import EngineUnreachableError
from dockyard.plan.ownership import Finding
from tests.unit.check.conftest import Answering, Silent


class Running(Answering):
    """An engine with one container that runs with a directory."""

    def __init__(self, source: Path) -> None:
        super().__init__()
        self.source = source

    def all_containers(self, *filters: str, stopped: bool = False) -> list[Container]:  # noqa: ARG002
        return [Container("1" * 64, "db", "running", "2" * 64, mounts={"/data": str(self.source), "/tmp": "tmpfs"})]  # noqa: S108


class Unreachable(Silent):
    """An engine that does not answer."""

    def all_containers(self, *filters: str, stopped: bool = False) -> list[Container]:  # noqa: ARG002
        raise EngineUnreachableError("docker does not answer")


def finding(path: Path) -> Finding:
    """Return what the doctor finds of a path."""
    return Finding("f:1", "cannot write", f"chown -R 0:0 {path}", path=str(path), owner="100:102")


@pytest.mark.parametrize("place", ["data", "data/below", ".", "link", "link/below"])
def test_no_command_for_what_a_running_container_uses(tmp_path: Path, place: str) -> None:
    """Whatever name it goes by, and if it is only a part of it."""
    (tmp_path / "data/below").mkdir(parents=True)
    (tmp_path / "link").symlink_to("data")
    (found,) = launch.safe_here(Running(tmp_path / "data"), (finding(tmp_path / place),))
    assert found.hint == "`db` is running with it: run as its owner (`user: 100:102`)"


def test_a_command_for_what_nothing_uses(tmp_path: Path) -> None:
    (found,) = launch.safe_here(Running(tmp_path / "data"), (finding(tmp_path / "data2"),))
    assert found.hint == f"chown -R 0:0 {tmp_path}/data2"


@pytest.mark.parametrize("engine", [None, Unreachable()])
def test_no_command_if_it_is_not_known_what_runs(tmp_path: Path, engine: Silent | None) -> None:
    (found,) = launch.safe_here(engine, (finding(tmp_path),))
    assert found.fix == ""
    assert "chown" not in found.hint


def test_nothing_is_asked_where_there_is_no_command() -> None:
    plain = Finding("f:1", "cannot write", instead="write `cap_add: [CHOWN]` beside `cap_drop`")
    assert launch.safe_here(Unreachable(), (plain,)) == (plain,)
