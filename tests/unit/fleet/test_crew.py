"""Work side by side: what fails, hangs, dies or waits stops no other."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dockyard.errors import DockyardError, EngineUnreachableError
from dockyard.fleet.crew import (
    FAILED,
    OK,
    PARKED,
    SKIPPED,
    STOPPED,
    TIMEOUT,
    Crew,
    Done,
    Link,
    Task,
    exit_code,
    failure,
)


class Watching:
    """Remembers what it is shown."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.ended: list[Done] = []

    def doing(self, name: str, what: str) -> None:
        """Remember what is done."""
        self.told.append((name, what))

    def done(self, done: Done) -> None:
        """Remember how it ended."""
        self.ended.append(done)

    def tick(self) -> None:
        """Nothing to remember."""


def good(link: Link) -> Mapping[str, Any]:
    """Do well, and say so."""
    link.doing("working")
    os.write(2, b"output\n")
    return {"text": "well done"}


def bad(_link: Link) -> Mapping[str, Any]:
    """Fail as expected."""
    raise DockyardError("no luck", hint="try again")


def broken(_link: Link) -> Mapping[str, Any]:
    """Have a fault of our own."""
    raise ValueError("a bug")


def killed(_link: Link) -> Mapping[str, Any]:
    """Die."""
    os.kill(os.getpid(), signal.SIGKILL)
    return {}


def noisy(_link: Link) -> Mapping[str, Any]:
    """Write more than a pipe holds."""
    with open(1, "wb", closefd=False) as stdout:
        stdout.write(b"x" * 10**6 + b"the end\n")
    return {}


def sleeper(mark: Path) -> Callable[[Link], Mapping[str, Any]]:
    """Return work that sleeps, and that leaves a mark when it is asked to end; another one says that it has begun."""

    def work(_link: Link) -> Mapping[str, Any]:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        mark.with_suffix(".begun").touch()
        try:
            time.sleep(60)
        finally:
            mark.touch()
        return {}

    return work


@pytest.fixture
def watching() -> Watching:
    """Whoever sees it all."""
    return Watching()


def by_name(finished: list[Done]) -> dict[str, Done]:
    """Return what was done, by name."""
    return {done.name: done for done in finished}


def test_one_that_fails_stops_no_other(watching: Watching) -> None:
    """Each has its own end, reason and output; the exit code says that something failed."""
    works = {"good": good, "bad": bad, "broken": broken, "killed": killed, "noisy": noisy}
    found = by_name(Crew(watching, jobs=2).run(Task(name, work) for name, work in works.items()))
    results = {"good": OK, "bad": FAILED, "broken": FAILED, "killed": FAILED, "noisy": OK}
    assert {name: done.result for name, done in found.items()} == results
    assert (found["bad"].reason, found["bad"].hint) == ("no luck", "hint: try again")
    assert "ValueError: a bug" in found["broken"].output
    assert found["killed"].reason == "was killed by signal 9"
    assert found["good"].text == "well done"
    assert found["good"].output == "output\n"
    assert found["noisy"].output.endswith("the end\n")
    assert len(found["noisy"].output) < 10**6
    assert ("good", "working") in watching.told
    assert len(watching.ended) == len(works)
    assert exit_code(found.values()) == 1
    assert exit_code([found["good"]]) == 0


def test_what_takes_too_long_is_ended_in_good_order(watching: Watching, tmp_path: Path) -> None:
    """Past its time it is told to end, and puts its things in order before it does."""
    found = Crew(watching, jobs=2, timeout=0.5).run([Task("slow", sleeper(tmp_path / "in order")), Task("good", good)])
    assert {done.name: done.result for done in found} == {"slow": TIMEOUT, "good": OK}
    assert (tmp_path / "in order").exists()


def test_no_more_than_so_many_at_once(watching: Watching, tmp_path: Path) -> None:
    """With two jobs there are never three at work."""

    def work(_link: Link) -> Mapping[str, Any]:
        mark = tmp_path / str(os.getpid())
        mark.touch()
        seen = len(list(tmp_path.iterdir()))
        time.sleep(0.05)
        mark.unlink()
        return {"seen": seen}

    found = Crew(watching, jobs=2).run(Task(str(number), work) for number in range(8))
    assert max(done.data["seen"] for done in found) == 2


@pytest.mark.parametrize("final", [True, False])
def test_parked_work_waits_for_the_others(watching: Watching, final: bool) -> None:
    """What is parked is done but for being final, holds what it holds, and goes on when it is told how."""

    def work(link: Link) -> Mapping[str, Any]:
        if not link.park({"text": "nearly"}):
            raise DockyardError("taken back")
        return {"text": "final"}

    crew = Crew(watching, jobs=1)
    assert [done.result for done in crew.run([Task("one", work), Task("two", work)])] == [PARKED, PARKED]
    assert watching.ended == []
    assert [done.text for done in crew.release(final=final)] == ["final" if final else "taken back"] * 2


def test_interrupt_ends_all_of_them(watching: Watching, tmp_path: Path) -> None:
    """Ctrl-C reaches everyone, and is raised when everyone has ended."""

    def interrupts(_link: Link) -> Mapping[str, Any]:
        while not (tmp_path / "in order.begun").exists():
            time.sleep(0.01)
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(60)
        return {}

    with pytest.raises(KeyboardInterrupt):
        Crew(watching, jobs=2).run([Task("waits", sleeper(tmp_path / "in order")), Task("interrupts", interrupts)])
    assert (tmp_path / "in order").exists()
    assert {done.name for done in watching.ended} == {"waits", "interrupts"}
    assert exit_code([Done("x", STOPPED)]) == 130
    assert exit_code([Done("x", SKIPPED)]) == 1


def test_engine_that_fails_all_of_them_has_its_own_exit_code() -> None:
    """What one service did wrong beside it counts for more."""
    silent = Done("x", **failure(EngineUnreachableError("docker does not answer")))
    assert exit_code([silent, Done("y", OK), Done("z", SKIPPED)]) == 3
    assert exit_code([silent, Done("y", FAILED)]) == 1
    assert exit_code([silent, Done("y", TIMEOUT)]) == 1
