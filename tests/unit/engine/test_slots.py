"""How many starts, stops and removals are under way at an engine at a time, whoever asks for them."""

import json
import os
import shlex
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dockyard import lock
from dockyard.engine import silence, slots
from dockyard.engine.dialect import DOCKER, PODMAN, Dialect
from dockyard.engine.engine import Engine
from dockyard.engine.slots import is_change
from dockyard.errors import DockyardError, EngineSilentError
from dockyard.fleet.crew import Crew, Done, Task

BOUND = 3
TOGETHER = f'until [ "$(grep -c + "${{0%/*}}/calls")" -ge {BOUND} ]; do sleep 0.02; done; sleep 0.1'
"""A command that ends only once so many others have begun."""


class Unwatched:
    """Watches nothing."""

    def doing(self, name: str, what: str) -> None:
        """Ignore what is done."""

    def done(self, done: Done) -> None:
        """Ignore how it ended."""

    def tick(self) -> None:
        """Ignore the time."""


@pytest.fixture(autouse=True)
def _own_slots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "directory", lambda: tmp_path / "run")


@pytest.fixture
def counted(tmp_path: Path) -> Callable[..., Engine]:
    """Return what makes an engine that writes down when each command begins and ends."""

    def make(dialect: Dialect = DOCKER, script: str = TOGETHER, verbs: str = "*") -> Engine:
        program = tmp_path / dialect.name
        calls = shlex.quote(str(tmp_path / "calls"))
        note = f"case $1 in {verbs}) echo %s$count >>{calls};; esac\n"
        count = "case $1 in stop) count=$(($# - 1));; *) count=1;; esac\n"
        program.write_text(f"#!/bin/sh\n{count}{note % '+'}{script}\n{note % '-'}")
        program.chmod(0o755)
        return Engine(str(program), dialect._replace(changes_at_once=(("0", BOUND),)))

    return make


def most_at_once(tmp_path: Path) -> int:
    """Return how many commands were under way at the busiest moment."""
    steps = [int(line) for line in (tmp_path / "calls").read_text().split()]
    return max(sum(steps[:end]) for end in range(1, len(steps) + 1))


CHANGES = [
    ("run", "--detach", "web"),
    ("start", "web"),
    ("stop", "web"),
    ("rm", "--force", "web"),
    ("network", "connect", "back", "web"),
]
QUESTIONS = [("ps", "--all"), ("network", "inspect", "back"), ("container", "inspect", "web"), ("tag", "a", "b")]


@pytest.mark.parametrize("argv", CHANGES)
def test_threads_share_slots(counted: Callable[..., Engine], tmp_path: Path, argv: tuple[str, ...]) -> None:
    """Each command that changes containers waits for one of the slots, and all of these are used."""
    engine = counted()
    with ThreadPoolExecutor(9) as threads:
        assert len(list(threads.map(lambda _: engine.call(*argv), range(9)))) == 9
    assert most_at_once(tmp_path) == BOUND


@pytest.mark.parametrize("dialect", [DOCKER, PODMAN])
def test_processes_share_slots(counted: Callable[..., Engine], tmp_path: Path, dialect: Dialect) -> None:
    """So do the workers of a fleet command, which are processes."""
    engine = counted(dialect)
    tasks = [Task(f"s{number}", lambda _: {"text": engine.call("start", "web")}) for number in range(9)]
    assert all(done.is_ok for done in Crew(Unwatched(), 9).run(tasks))
    assert most_at_once(tmp_path) == BOUND


def test_stop_of_many_containers_is_bounded(counted: Callable[..., Engine], tmp_path: Path) -> None:
    """A command names no more containers than there are slots, and takes one for each."""
    engine = counted(script='echo "$@" >>"$0.argv"; sleep 0.1')
    names = [f"c{number}" for number in range(8)]
    assert engine.stop(names) == {}
    commands = [line.split() for line in (tmp_path / "docker.argv").read_text().splitlines()]
    assert sorted(commands) == [["stop", "c0", "c1", "c2"], ["stop", "c3", "c4", "c5"], ["stop", "c6", "c7"]]
    assert most_at_once(tmp_path) == BOUND


def test_slow_stop_holds_up_no_other(
    counted: Callable[..., Engine], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Containers that take their time to end free their slots: these end only once the last is asked to."""
    monkeypatch.setattr(slots, "STOP_SECONDS", 0.1)
    engine = counted()
    assert engine.stop([f"c{number}" for number in range(9)]) == {}
    assert most_at_once(tmp_path) == 9


@pytest.mark.parametrize(("version", "bound"), [("20.10.24+dfsg1", BOUND), ("28.0.0", 5), ("29.1.2", 5), ("", BOUND)])
def test_bound_depends_on_the_version(counted: Callable[..., Engine], tmp_path: Path, version: str, bound: int) -> None:
    """A newer engine gets more at a time; one that does not tell its version gets what all get."""
    info = json.dumps({"ServerVersion": version})
    together = TOGETHER.replace(f"-ge {BOUND}", f"-ge {bound}")
    engine = counted(script=f"case $1 in info) echo '{info}';; *) {together};; esac", verbs="start")
    engine = Engine(engine.program, engine.dialect._replace(changes_at_once=(("0", BOUND), ("28", 5))))
    with ThreadPoolExecutor(9) as threads:
        list(threads.map(lambda _: engine.call("start", "web"), range(9)))
    assert most_at_once(tmp_path) == bound


@pytest.mark.parametrize("dialect", [DOCKER, PODMAN])
def test_first_bound_is_the_smallest(dialect: Dialect) -> None:
    """It holds before the version is known."""
    bounds = [bound for _, bound in dialect.changes_at_once]
    assert bounds == sorted(bounds)
    assert bounds[0] >= 1


def test_questions_take_no_slot(counted: Callable[..., Engine], tmp_path: Path) -> None:
    engine = counted(script=TOGETHER.replace(f"-ge {BOUND}", "-ge 8"))
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda argv: engine.call(*argv), QUESTIONS * 2))
    assert most_at_once(tmp_path) == 8
    assert not any(is_change(argv) for argv in QUESTIONS)


def test_killed_holder_frees_its_slot(counted: Callable[..., Engine], tmp_path: Path) -> None:
    """A dockyard that dies in the middle of a command keeps no other one waiting."""
    engine = counted(script="case $2 in slow) exec sleep 5;; esac")
    engine = Engine(engine.program, engine.dialect._replace(changes_at_once=(("0", 1),)))
    child = os.fork()
    if not child:
        engine.call("start", "slow")
        os._exit(1)
    while not (tmp_path / "calls").exists():
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert engine.call("start", "web") == ""


def test_wait_for_a_hung_engine_ends(counted: Callable[..., Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command that waits for a slot ends as those do that have one: not one after the other."""
    for name, seconds in {"SILENCE_SECONDS": 0.3, "PROBE_SECONDS": 0.3, "LAST_PROBE_SECONDS": 0.4}.items():
        monkeypatch.setattr(silence, name, seconds)
    engine = counted(script="exec sleep 5")
    began = time.monotonic()

    def start(_: int) -> str:
        try:
            return engine.call("start", "web")
        except EngineSilentError as error:
            return error.lines()[0]

    with ThreadPoolExecutor(9) as threads:
        said = list(threads.map(start, range(9)))
    assert said == ["docker does not answer: `docker start` has not been answered for 1 s"] * 9
    assert time.monotonic() - began < 10


def test_long_wait_is_reported(
    counted: Callable[..., Engine], told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An engine that works, and is busy for long: the user reads once what is waited for."""
    monkeypatch.setattr(silence, "SILENCE_SECONDS", 0.1)
    engine = counted(script="case $1 in info) ;; *) sleep 1;; esac", verbs="start")
    with ThreadPoolExecutor(BOUND + 1) as threads:
        list(threads.map(lambda _: engine.call("start", "web"), range(BOUND + 1)))
    assert told == [f"waiting for other starts, stops and removals: docker gets {BOUND} at a time"]


def test_slots_that_cannot_be_used(counted: Callable[..., Engine], tmp_path: Path) -> None:
    """It is an error with the path, not a traceback."""
    (tmp_path / "run").write_text("a file")
    with pytest.raises(DockyardError, match=f"^{tmp_path}/run: "):
        counted().call("start", "web")
