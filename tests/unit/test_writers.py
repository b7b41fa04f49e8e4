"""Launches of production against what runs: real paths, real processes, engines that are made up."""

import json
import multiprocessing
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dockyard import launches, lock, writers
from dockyard.engine.dialect import DOCKER, PODMAN, Dialect
from dockyard.engine.engine import Engine
from dockyard.engine.models import Container
from dockyard.errors import InUseError
from dockyard.plan.launch import LaunchPlan
from dockyard.writers import Neighbours


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the register apart from the host's, and ask no further engine."""
    monkeypatch.setattr(lock, "directory", lambda: tmp_path / "run")
    monkeypatch.setattr(writers, "other_engines", lambda _: [])


class Fake:
    """An engine with containers, which counts what it is asked."""

    def __init__(self, *answers: dict[str, Any], dialect: Dialect = DOCKER, volumes: tuple[Any, ...] = ()) -> None:
        self.dialect = dialect
        self.answers = {answer["Name"]: answer for answer in answers}
        self.volumes = volumes
        self.asked: list[str] = []

    def rows(self) -> list[Any]:
        self.asked.append("ps")
        return [
            SimpleNamespace(id=name, is_up=answer["State"]["Status"] == "running")
            for name, answer in self.answers.items()
        ]

    def inspect(self, kind: str, *names: str) -> list[dict[str, Any]]:
        if kind == "volume":
            return [answer for answer in self.volumes if answer["Name"] in names]
        self.asked.append("inspect")
        return [self.answers[name] for name in names]


def answer(name: str, *mounts: str, pid: int = 0, **labels: str) -> dict[str, Any]:
    """Return a container with mounts `source:target`, as an engine answers."""
    pairs = (mount.split(":") for mount in mounts)
    return {
        "Name": name,
        "State": {"Status": "running", "Pid": pid},
        "Config": {"Labels": {f"dockyard.{key}": value for key, value in labels.items()}},
        "Mounts": [{"Type": "bind", "Source": source, "Destination": target, "RW": True} for source, target in pairs],
    }


def plan(name: str, *mounts: str, permitted: tuple[str, ...] = ()) -> LaunchPlan:
    """Return as much of a launch as counts here."""
    flags = ("run", "--name", name, *(word for mount in mounts for word in ("-v", mount)))
    return SimpleNamespace(name=name, service=name, flags=flags, permitted=permitted)  # type: ignore[return-value]


def neighbours(*answers: dict[str, Any], **how: Any) -> Neighbours:  # noqa: ANN401 - as Fake has them
    return Neighbours(Fake(*answers, **how))  # type: ignore[arg-type]


def test_a_link_to_the_data_is_the_data(tmp_path: Path):
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    found = neighbours(answer("old", f"{tmp_path}/data:/d"))
    with pytest.raises(InUseError) as error:
        found.refuse(plan("db", f"{tmp_path}/link/base:/d"))
    assert (
        f"`{tmp_path}/link/base`, and container `old` of docker writes to it as well, there `{tmp_path}/data`"
        in str(error.value)
    )
    assert error.value.hint.startswith("stop the other container: `docker stop old`;")
    assert error.value.exit_code == 1


def test_a_container_that_is_down_is_in_nobodys_way(tmp_path: Path):
    down = answer("old", f"{tmp_path}:/d")
    down["State"]["Status"] = "exited"
    neighbours(down).refuse(plan("db", f"{tmp_path}:/d"))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
def test_where_a_container_has_its_data_counts_and_not_what_its_source_is_called_by_now(tmp_path: Path):
    """A link that leads elsewhere by now, or data that were moved: the container writes to what it had at its start."""
    for name in ("data", "elsewhere", "inside"):
        (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to("data")
    script = f"mount --bind {tmp_path}/link {tmp_path}/inside && echo ready && sleep 60"
    argv = ("unshare", "--mount", "--propagation", "private", "sh", "-c", script)
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as box:
        assert box.stdout
        assert box.stdout.readline() == b"ready\n"
        (tmp_path / "link").unlink()
        (tmp_path / "link").symlink_to("elsewhere")
        (tmp_path / "data").rename(tmp_path / "moved")
        found = neighbours(answer("old", f"{tmp_path}/link:{tmp_path}/inside", pid=box.pid))
        found.refuse(plan("db", f"{tmp_path}/elsewhere:/d"))
        with pytest.raises(InUseError):
            found.refuse(plan("db", f"{tmp_path}/moved:/d"))
        subprocess.run(("kill", "--", str(box.pid)), check=True)  # noqa: S607


def test_a_volume_that_shows_a_directory_is_that_directory(tmp_path: Path):
    (tmp_path / "pg").mkdir()
    volume = {"Name": "pg", "Mountpoint": "/var/lib/docker/volumes/pg/_data", "Options": {"device": f"{tmp_path}/pg"}}
    with pytest.raises(InUseError):
        neighbours(answer("old", f"{tmp_path}/pg:/d"), volumes=(volume,)).refuse(plan("db", "pg:/d"))


def test_a_socket_has_no_writers(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    neighbours(answer("old", f"{tmp_path}/pipe:/d")).refuse(plan("db", f"{tmp_path}/pipe:/d"))


def test_nobody_is_asked_for_a_launch_that_writes_to_nothing():
    engine = Fake(answer("old", "/srv:/srv"))
    found = Neighbours(engine)  # type: ignore[arg-type]
    found.refuse(plan("db", "/srv:/srv:ro"))
    with found.launching(plan("db")):
        pass
    assert engine.asked == []


def test_thirty_launches_list_the_containers_once(tmp_path: Path):
    engine = Fake(*(answer(f"s{number}", f"{tmp_path}/{number}:/d") for number in range(90)))
    found = Neighbours(engine)  # type: ignore[arg-type]
    for number in range(100, 130):
        found.refuse(plan(f"s{number}", f"{tmp_path}/{number}:/d"))
        with found.launching(plan(f"s{number}", f"{tmp_path}/{number}:/d")):
            pass
    assert engine.asked == ["ps", "inspect"]


def test_a_container_that_has_gone_since_it_was_listed_is_in_nobodys_way(tmp_path: Path):
    engine = Fake(answer("old", f"{tmp_path}:/d"))
    found = Neighbours(engine)  # type: ignore[arg-type]
    found.list_now()
    engine.answers.clear()
    found.refuse(plan("db", f"{tmp_path}:/d"))


def test_launches_of_one_command_see_each_other(tmp_path: Path):
    """The list of containers is older than the first of them."""
    found = neighbours()
    found.list_now()
    with found.launching(plan("db", f"{tmp_path}:/d")):
        with pytest.raises(InUseError, match=r"container `db` of docker writes to it as well, which `.*`, pid"):
            found.refuse(plan("db2", f"{tmp_path}:/d"))
        found.refuse(plan("db2", f"{tmp_path}:/d", permitted=(str(tmp_path),)))
    found.refuse(plan("db2", f"{tmp_path}:/d"))


def test_what_a_launch_replaces_counts_until_it_has_ended(tmp_path: Path):
    """If the new container does not prove itself, the old one is started again on its own data."""
    with (
        neighbours(answer("db", f"{tmp_path}/old:/d", service="db", mode="prod")).launching(
            plan("db", f"{tmp_path}/new:/d")
        ),
        pytest.raises(InUseError),
    ):
        neighbours().refuse(plan("mail", f"{tmp_path}/old:/d"))


def test_a_container_that_is_started_again_is_held_to_it_too(tmp_path: Path):
    down = answer("db.old", f"{tmp_path}:/d", service="db", mode="prod")
    down["State"]["Status"] = "exited"
    found = neighbours(down, answer("old", f"{tmp_path}:/d"))
    with (
        pytest.raises(InUseError, match=r"^db would write to "),
        found.starting(Container("db.old", "db.old", "exited", ""), "db"),
    ):
        pass
    shared = {"dockyard.shared": json.dumps([str(tmp_path)])}
    with found.starting(Container("db.old", "db.old", "exited", "", labels=shared), "db"):
        pass


# ------------------------------------------------------------------------------------------------ at the same moment
ROUNDS = 25


class Files(Fake):
    """An engine whose containers are files, all with the same data."""

    def __init__(self, place: Path, data: Path) -> None:
        super().__init__()
        self.place, self.data = place, data

    def rows(self) -> list[Any]:
        self.answers = {path.name: answer(path.name, f"{self.data}:/d") for path in self.place.iterdir()}
        return super().rows()


def _launch(number: int, name: str, top: Path, barrier: Any, won: Any) -> None:  # noqa: ANN401 - of multiprocessing
    """Launch on a directory in each round, as soon as all are ready: the container is a file."""
    lock.directory = lambda: top / "run"
    for turn in range(ROUNDS):
        barrier.wait()
        try:
            with Neighbours(Files(top / f"up{turn}", top / "data")).launching(plan(name, f"{top}/data:/d")):  # type: ignore[arg-type]
                (top / f"up{turn}" / name).touch()
        except InUseError:
            continue
        with won.get_lock():
            won[turn] += number


def test_of_launches_at_the_same_moment_one_goes_through(tmp_path: Path):
    (tmp_path / "data").mkdir()
    for turn in range(ROUNDS):
        (tmp_path / f"up{turn}").mkdir()
    context = multiprocessing.get_context("fork")
    barrier, won = context.Barrier(3), context.Array("i", ROUNDS)
    runs = [
        context.Process(target=_launch, args=(10**number, f"db{number}", tmp_path, barrier, won)) for number in range(3)
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join(60)
    assert all(count in {1, 10, 100} for count in won), list(won)
    assert all(len([*(tmp_path / f"up{turn}").iterdir()]) == 1 for turn in range(ROUNDS))


def test_a_launch_whose_process_is_gone_is_in_nobodys_way(tmp_path: Path):
    context = multiprocessing.get_context("fork")

    def die() -> None:
        with neighbours().launching(plan("db", f"{tmp_path}:/d")):
            os._exit(9)

    run = context.Process(target=die)
    run.start()
    run.join(60)
    with launches.open_register() as register:
        assert [one.holder.name for one in register.launches] == ["db"]
    neighbours().refuse(plan("db2", f"{tmp_path}:/d"))


def test_a_register_that_was_cut_short_is_empty(tmp_path: Path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run/launches").write_text('[["docker", "db"')
    with neighbours().launching(plan("db", f"{tmp_path}:/d")):
        pass
    assert len(json.loads((tmp_path / "run/launches").read_text())) == 1


# ------------------------------------------------------------------------------------------------- further engines
Script = Callable[[str], None]


@pytest.fixture
def podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Script:
    """Return what makes the podman of this host a shell script."""

    def make(script: str) -> None:
        program = tmp_path / "podman"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        monkeypatch.setattr(writers, "other_engines", lambda _: [Engine(str(program), PODMAN, patience=0.5)])

    return make


def test_containers_of_another_engine_are_in_the_way_too(tmp_path: Path, podman: Script):
    told = json.dumps([{**answer("old", f"{tmp_path}:/d"), "Id": "1"}])
    row = '1\\told\\trunning\\tUp 1 minute\\tx\\t\\t""\\t""\\t""\\n'
    podman(f"case $1 in ps) printf '{row}' ;; *) echo {shlex.quote(told)} ;; esac")
    with pytest.raises(InUseError, match="container `old` of podman") as error:
        neighbours().refuse(plan("db", f"{tmp_path}:/d"))
    assert "`podman stop old`" in error.value.hint


def test_another_engine_that_does_not_answer_is_reported_and_holds_up_nothing(
    tmp_path: Path, podman: Script, told: list[str]
):
    podman("exec sleep 60")
    with neighbours().launching(plan("db", f"{tmp_path}:/d")):
        pass
    assert told == [
        "warning: podman: the writers of its containers could not be listed: podman does not answer `ps` within 0.5 s"
    ]


def test_an_engine_of_others_is_not_mentioned(tmp_path: Path, podman: Script, told: list[str]):
    podman("echo 'Error: permission denied while trying to connect' >&2; exit 1")
    neighbours().refuse(plan("db", f"{tmp_path}:/d"))
    assert told == []
