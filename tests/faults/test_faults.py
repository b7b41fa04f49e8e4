"""A short version of the long fault tests: the conditions after one further command, whatever was killed."""

import fcntl
import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import pytest

from tests.engines.world import PROGRAMS, Record, World, wait_for, write
from tests.faults.harness import Victim, every_step, random_moments

MAX_KILLS = 40
"""How many to try for one that comes at the right moment: on a busy machine most are late."""


@pytest.fixture
def victim(engine: World) -> Victim:
    """A service that has been upgraded once."""
    return Victim(engine)


@pytest.mark.matrix
def test_every_so_many_steps(victim: Victim, record_property: Record) -> None:
    """Killed at steps of an upgrade, each in one of four ways: one container runs the live image, nothing is left."""
    outcomes = list(every_step(victim, stride=2))
    record_property("figure", f"{victim.world.engine}: {len(outcomes)} kills at steps, all put in order")
    assert [outcome for outcome in outcomes if outcome.wrong] == []
    assert len(outcomes) > 4


def test_steps_of_one_that_starts_first(engine: World, record_property: Record) -> None:
    """The same with `start_first`: no container is left running without its network, or in addition to the old one."""
    if engine.engine == "podman":
        pytest.skip("podman takes a port as a container starts: there the old one stops first, which is tested above")
    outcomes = list(every_step(Victim(engine, start_first=True), stride=2))
    record_property("figure", f"{engine.engine}, starting first: {len(outcomes)} kills at steps, all put in order")
    assert [outcome for outcome in outcomes if outcome.wrong] == []
    assert len(outcomes) > 4


def monitors() -> set[str]:
    """Return the command lines of podman's monitors, one for each container that runs or is starting."""
    found = set()
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found.add(entry.read_text(errors="replace"))
    return {line for line in found if line.partition("\0")[0].endswith("/conmon") and "\0-n\0" in line}


@pytest.mark.matrix
def test_client_killed_while_a_monitor_waits_for_it(victim: Victim, record_property: Record) -> None:
    """Podman's client is killed between monitor and start: the waiting monitor, which holds the ports, is ended.

    podman knows of it (`initialized`), or does not (`created`), as it happens.
    """
    if victim.world.engine != "podman":
        pytest.skip("docker's daemon starts containers, not its client")
    before, waiting, kills = monitors(), 0, 0
    while kills < 5 or (not waiting and kills < MAX_KILLS):
        milliseconds = (0, 20, 42, 46, 50)[kills % 5]
        kills += 1
        victim.change()
        there = monitors()
        child = victim.world.start(PROGRAMS / "d", "upgrade", victim.name)
        while not monitors() - there and child.poll() is None:
            time.sleep(0.001)
        time.sleep(milliseconds / 1000)
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        time.sleep(0.3)
        waiting += victim.world.inspect(victim.name).get("State", {}).get("Status") in {"created", "initialized"}
        assert victim.wrong() == []
    record_property("figure", f"podman: killed as its monitor waited, {waiting} of {kills} times before the start")
    assert waiting, "no monitor was ever waiting"
    assert len(monitors() - before) <= 1  # that of the victim's container


@pytest.mark.matrix
def test_random_moments(victim: Victim, record_property: Record) -> None:
    """Killed at random moments: the same holds."""
    outcomes = list(random_moments(victim, 6, seed=4))
    record_property("figure", f"{victim.world.engine}: {len(outcomes)} kills at random moments, all put in order")
    assert [outcome for outcome in outcomes if outcome.wrong] == []


def test_two_upgrades_at_once(victim: Victim) -> None:
    """One of them works; the other prints the holder of the lock and its action, or waits with `--wait`."""
    write(victim.service / "Test", "#!/bin/sh\nsleep 2\n", mode=0o755)
    victim.change()
    first = victim.world.start(PROGRAMS / "d", "upgrade", victim.name)
    lock = victim.lock
    wait_for(lambda: f'"pid": {first.pid}' in lock.read_text() and "testing" in lock.read_text(), "its tests")
    told = victim.world.d("upgrade", victim.name, expect=4).stderr
    assert f"pid {first.pid}, root: d upgrade {victim.name} (testing" in told
    assert "since" in told
    waited = victim.world.d("upgrade", victim.name, "--wait", "60")
    output, _ = first.communicate(timeout=60)
    assert first.returncode == 0, output
    assert "up to date" in waited.stdout
    assert victim.wrong() == []


def test_dead_holder_never_blocks(victim: Victim) -> None:
    """The lock file of a dead run is not a lock."""
    lock = victim.lock
    holder = {"pid": 1, "born": 1, "user": "root", "command": "d", "since": time.time(), "doing": ""}
    lock.write_text(json.dumps(holder), encoding="utf-8")
    victim.change()
    victim.world.d("upgrade", victim.name)
    with lock.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


@pytest.mark.matrix
def test_boot_after_half_a_switch(victim: Victim) -> None:
    """If production was stopped halfway, as after a power failure, `d up-all` starts it again."""
    name, call = victim.name, victim.world.call
    call("rename", name, f"{name}.old")
    call("stop", f"{name}.old")
    assert "undone" in victim.world.d("up-all", expect=None).stderr
    assert victim.wrong() == []


def test_what_only_looks_like_a_switch_is_left_alone(victim: Victim) -> None:
    """An unowned container with such a name is neither started nor removed."""
    call, name = victim.world.call, victim.name
    call("create", "--name", f"{name}.old", victim.world.inspect(name)["Image"], "true")
    before = victim.world.container_id(f"{name}.old")
    victim.world.d("list-up")
    assert victim.world.container_id(f"{name}.old") == before
