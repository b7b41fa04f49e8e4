"""A month of a host, with a clock of the test's own: forty problems begin and end, and each is reported once."""

import random
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dockyard.monitoring import heartbeat, monitor, notified
from dockyard.monitoring.notices import Message
from dockyard.monitoring.problems import DAY, Facts, FileSystem, ServiceFacts, UnitFacts, UpdateFacts
from dockyard.notify import SUCCESS
from dockyard.settings.keys import HEARTBEAT, NOTIFY

HOUR = 3600.0
BEGIN = 1_800_000_000.0
EVERY = HOUR / 4
RUNS = int(31 * DAY / EVERY)
PROBLEMS = 40
SERVICES = [f"web-{number}" for number in range(10)]
KINDS = ("down", "unhealthy", "update", "held", "orphan", "drift", "disk", "unit", "age", "settings")


class Trouble(NamedTuple):
    """A problem of a kind that lasts from one run to before another."""

    kind: str
    name: str
    first: int
    last: int

    @property
    def key(self) -> str:
        """The key that it is to have."""
        return {"down": "service", "unhealthy": "service"}.get(self.kind, self.kind) + f":{self.name}"

    def lasts(self, run: int) -> bool:
        """Return whether there is such a problem at a run."""
        return self.first <= run < self.last


def troubles(chance: random.Random) -> list[Trouble]:
    """Return problems of all kinds; two of one key do not overlap."""
    found: list[Trouble] = []
    while len(found) < PROBLEMS:
        kind = KINDS[len(found) % len(KINDS)]
        first = chance.randrange(4, RUNS - 200)
        new = Trouble(kind, _name(kind, len(found)), first, first + chance.randrange(1, 190))
        if all(new.key != one.key or new.first > one.last or one.first > new.last for one in found):
            found.append(new)
    return found


def _name(kind: str, number: int) -> str:
    if kind in {"disk", "unit", "settings", "orphan"}:
        return {"disk": "/data", "unit": "x.timer", "settings": "a.yaml:wrong", "orphan": "old"}[kind]
    return SERVICES[number % len(SERVICES)]


def facts_at(run: int, every: list[Trouble]) -> Facts:
    """Return the facts of a host at a run."""
    from dockyard.monitoring.problems import Problem

    now = {(one.kind, one.name) for one in every if one.lasts(run)}
    clock = BEGIN + run * EVERY
    services = [
        ServiceFacts(
            name,
            status="exited" if ("down", name) in now else "running",
            health="unhealthy" if ("unhealthy", name) in now else "healthy",
            max_age=30,
            image_created=clock - (40 if ("age", name) in now else 5) * DAY,
        )
        for name in SERVICES
    ]
    return Facts(
        wrong_settings=[
            Problem(f"settings:{name}", "a.yaml:1", "wrong", "failure") for kind, name in now if kind == "settings"
        ],
        services=services,
        updates=[UpdateFacts(name, f"at run {run}") for kind, name in now if kind == "update"],
        held={name: f"at run {run}" for kind, name in now if kind == "held"},
        orphans={name: "its directory is gone" for kind, name in now if kind == "orphan"},
        drift={name: run for kind, name in now if kind == "drift"},
        file_systems=[FileSystem("/data", "data", 95 + run % 4 if ("disk", "/data") in now else 60, 1)],
        units=[UnitFacts("x.timer", is_active=("unit", "x.timer") not in now)],
    )


class Host:
    """Settings with an address to notify, and one to call."""

    def __getitem__(self, key: object) -> Any:  # noqa: ANN401 - a setting's value
        """Return it."""
        assert key is NOTIFY or key is HEARTBEAT
        return ("json://there",) if key is NOTIFY else "http://there"


HOST: Any = Host()


class Outside:
    """Who is notified, and what the heartbeat's receiver notices."""

    def __init__(self) -> None:
        self.run = 0
        self.is_reachable = True
        self.sent: list[tuple[int, Message]] = []
        self.beats: list[int] = []

    def send(self, message: Message) -> bool:
        """Take a message, if there is a connection."""
        if self.is_reachable:
            self.sent.append((self.run, message))
        return self.is_reachable

    def call(self, _address: str) -> bool:
        """Take a call."""
        self.beats.append(self.run)
        return True

    def begun(self) -> list[tuple[int, str]]:
        """Return which problems were reported, at which run."""
        return [(run, problem.key) for run, message in self.sent for problem in message.begun]

    def ended(self) -> list[tuple[int, str]]:
        """Return which were reported as resolved."""
        return [(run, key) for run, message in self.sent for key in message.ended]

    def silences(self, expected: int) -> list[tuple[int, int]]:
        """Return when no call came for longer than so many runs."""
        beats = [*self.beats, self.run]
        return [(a, b) for a, b in pairwise(beats) if b - a > expected]


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Outside:
    """Store what is known in a directory of the test's own; calls come here."""
    there = Outside()
    monkeypatch.setattr(notified, "state_directory", lambda: tmp_path)
    monkeypatch.setattr(heartbeat, "call", there.call)
    return there


def pass_month(outside: Outside, every: list[Trouble], dead: range = range(0), offline: range = range(0)) -> None:
    """Let a month pass, in which the timer is dead at some runs, and the host offline at others."""
    for run in range(RUNS):
        outside.run = run
        outside.is_reachable = run not in offline
        if run not in dead:
            monitor.notify_of_host(HOST, facts_at(run, every), BEGIN + run * EVERY, outside.send)


@pytest.mark.parametrize("seed", range(3))
def test_each_problem_is_reported_once(outside: Outside, seed: int) -> None:
    """At the run at which it is there first; that it is resolved, at the run at which it is gone; nothing else is."""
    every = troubles(random.Random(seed))  # noqa: S311 - no secret
    assert (len(every), {one.kind for one in every}) == (PROBLEMS, set(KINDS))
    pass_month(outside, every)
    assert sorted(outside.begun()) == sorted((one.first, one.key) for one in every)
    assert sorted(outside.ended()) == sorted((one.last, one.key) for one in every)
    assert Counter(message.severity == SUCCESS for _, message in outside.sent)[True] >= 1
    assert not notified.read()
    assert outside.silences(1) == []


def test_quiet_month(outside: Outside) -> None:
    """When all is well nothing is sent, and each run calls the heartbeat."""
    pass_month(outside, [])
    assert outside.sent == []
    assert len(outside.beats) == RUNS


def test_dead_timer_is_noticed(outside: Outside) -> None:
    """No call comes while it is dead; what began and lasts is reported afterwards, still once."""
    every = troubles(random.Random(7))  # noqa: S311
    dead = range(1000, 1400)
    pass_month(outside, every, dead=dead)
    assert outside.silences(1) == [(dead.start - 1, dead.stop)]
    lasting = [one.key for one in every if not (one.first in dead and one.last <= dead.stop)]
    assert Counter(key for _, key in outside.begun()) == Counter(lasting)


def test_offline_host_reports_later(outside: Outside) -> None:
    """What could not be sent is sent once when there is a connection; until then the heartbeat is not called."""
    trouble = Trouble("down", "web-1", 100, 2000)
    pass_month(outside, [trouble], offline=range(90, 300))
    assert outside.begun() == [(300, "service:web-1")]
    assert outside.ended() == [(2000, "service:web-1")]
    assert outside.silences(1) == [(99, 300)]
