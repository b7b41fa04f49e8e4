"""Upgrades that are killed at a chosen step or moment, and the conditions after one further command."""

import fcntl
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.engines.world import FROM_BASE, IDLE, PROGRAMS, World, free_port, tree_hash, write

SUFFIXES = (".next", ".old", ".replaced")

SHIM = """#!/bin/sh
# Stands in front of the engine's client: counts the calls that do something, and at call $SHIM_AT
# does as $SHIM_HOW says.
case $1-$2 in
build-* | tag-* | rmi-* | create-* | rename-* | update-* | stop-* | start-* | rm-* | network-*connect) ;;
*) exec {real} "$@" ;;
esac
number=$(($(cat "$SHIM_COUNT" 2>/dev/null || echo 0) + 1))
echo "$number" >"$SHIM_COUNT"
echo "$number $*" >>"$SHIM_COUNT.calls"
[ "$number" = "$SHIM_AT" ] || exec {real} "$@"
case $SHIM_HOW in
before) kill -9 $PPID ;;
during) setsid {real} "$@" >/dev/null 2>&1 </dev/null & kill -9 $PPID ;;
after) {real} "$@"; kill -9 $PPID ;;
client) setsid {real} "$@" >/dev/null 2>&1 </dev/null & kill -9 $$ ;;
engine-before) kill -9 "$SHIM_ENGINE"; exec {real} "$@" ;;
engine-during) {real} "$@" & sleep 0.03; kill -9 "$SHIM_ENGINE"; wait $! ;;
engine-after) {real} "$@"; kill -9 "$SHIM_ENGINE" ;;
esac
"""
"""`client`: only the client is killed, and the engine completes its request; d lives and must handle it."""

RESERVED_FOR_NOBODY = "docker still has it reserved"

HOWS = ("before", "during", "after", "client")
ENGINE_HOWS = ("engine-before", "engine-during", "engine-after")
"""The engine itself is killed, and started again afterwards; this needs a separate engine of the tests."""


class Outcome(NamedTuple):
    """The outcome of one fault: the step or moment, and what was wrong afterwards; empty if nothing was."""

    what: str
    wrong: list[str]


class Victim:
    """A service in production whose upgrades are killed; `further` is the command that recovers.

    `start_first`: its new container starts before the old one stops, and can only read the data.
    """

    def __init__(self, world: World, further: str = "list-up", *, start_first: bool = False) -> None:
        self.world = world
        self.further = further
        self.version = 0
        self.restarts = 0
        """How often the engine had to be restarted, because of its error about a port."""
        settings = {"cmd": IDLE, "stop_timeout": 2, "autostart": 1, "ports": [f"127.0.0.1:{free_port()}:80"]}
        first = {"start_first": True, "restart": "always", "mount_ro": "data:/data"}
        settings |= first if start_first else {"mount_persistent": "data:/data"}
        scripts = {"Test": "#!/bin/sh\nexit 0\n", "Test-prod": "#!/bin/sh\nexit 0\n"}
        self.service = world.service(settings, dockerfile=FROM_BASE, files={"version": "0"}, scripts=scripts)
        self.name = self.service.name
        self.data = world.volumes / self.name / "data"
        for number in range(20):
            write(self.data / f"file-{number}", f"worth keeping {number}")
        world.d("upgrade", self.name)
        world.d("up", self.name)
        self.change()
        world.d("upgrade", self.name)
        self.hash = tree_hash(self.data)
        self.networks = self._networks()
        self.shims = world.root / "shims"
        real = shutil.which(world.engine, path=world.environment["PATH"])
        write(self.shims / world.engine, SHIM.replace("{real}", str(real)), mode=0o755)
        self.counter = world.root / "calls"
        self.lock = world.locks / f"{world.engine}-{self.name}.lock"

    def change(self) -> None:
        """Change the source, so that there is something to upgrade to."""
        self.version += 1
        write(self.service / "files/version", str(self.version))

    # --------------------------------------------------------------------------------------------------- faults
    def calls(self) -> list[str]:
        """Return the steps of an undisturbed upgrade: its calls to the engine that change something."""
        self.change()
        self._shimmed(0, "")
        return Path(f"{self.counter}.calls").read_text(encoding="utf-8").splitlines()

    def at_call(self, number: int, how: str) -> Outcome:
        """Kill at one of the steps."""
        self.change()
        self._shimmed(number, how)
        self.world.revive()
        calls = Path(f"{self.counter}.calls").read_text(encoding="utf-8").splitlines()
        words = calls[number - 1] if len(calls) >= number else "past the end"
        return Outcome(f"{how} {' '.join(words.split()[:4])}", self.wrong())

    def _shimmed(self, number: int, how: str) -> None:
        for path in (self.counter, Path(f"{self.counter}.calls")):
            path.unlink(missing_ok=True)
        environment = {
            "PATH": f"{self.shims}:{self.world.environment['PATH']}",
            "SHIM_AT": str(number),
            "SHIM_HOW": how,
            "SHIM_COUNT": str(self.counter),
            "SHIM_ENGINE": str(self.world.pid()),
        }
        self.world.d("upgrade", self.name, env=environment, expect=None)

    def at_moment(self, seconds: float, *, everything: bool) -> Outcome:
        """Kill d, or d with all its child processes, after a number of seconds."""
        self.change()
        child = self.world.start(PROGRAMS / "d", "upgrade", self.name)
        try:
            child.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            (os.killpg if everything else os.kill)(child.pid, signal.SIGKILL)
        child.wait()
        assert child.stdout
        child.stdout.close()
        whom = "d and its children" if everything else "d"
        return Outcome(f"{whom} after {seconds * 1000:.0f} ms", self.wrong())

    def duration(self) -> float:
        """Return the seconds of an undisturbed upgrade."""
        self.change()
        began = time.monotonic()
        self.world.d("upgrade", self.name)
        return time.monotonic() - began

    # ---------------------------------------------------------------------------------------------------- after
    def wrong(self) -> list[str]:
        """Return what is wrong after one further command."""
        told = self.world.d(self.further, expect=None)
        if RESERVED_FOR_NOBODY in told.stderr and self.world.pid():
            self.restarts += 1
            self.world.restart()
            told = self.world.d(self.further, expect=None)
        found = [f"d {self.further} ended with {told.exit_code}: {told.stderr}"] if told.exit_code else []
        rows = [row.split("\t") for row in self._rows()]
        up = [row for row in rows if row[0] == self.name and row[1].startswith("Up")]
        if len(up) != 1:
            found.append(f"not exactly one is up: {rows}; {told.stderr}")
        left = [row[0] for row in rows if row[0].endswith(SUFFIXES)]
        if left:
            found.append(f"left: {left}; {told.stderr}")
        image, tags = str(self.world.inspect(self.name).get("Image", "")), self.world.tags(self.name)
        if image.removeprefix("sha256:") != tags["live"]:
            found.append(f"runs {image[:19]}, live is {tags['live'][:12]}; {told.stderr}")
        if tags["live"] == tags["prev"] or not tags["prev"]:
            found.append(f"prev is {tags['prev'][:12]}, as live")
        if self._networks() != self.networks:
            found.append(f"its network and ports are {self._networks()}, not {self.networks}")
        if not self._lock_is_free():
            found.append("the lock is held")
        if tree_hash(self.data) != self.hash:
            found.append("the data have changed")
        return found

    def _rows(self) -> list[str]:
        rows = self.world.call("ps", "--all", "--format", "{{.Names}}\t{{.Status}}").splitlines()
        return [row for row in rows if row.startswith(self.name)]

    def _networks(self) -> tuple[list[str], object]:
        settings = self.world.inspect(self.name).get("NetworkSettings", {})
        return sorted(settings.get("Networks") or {}), settings.get("Ports")

    def _lock_is_free(self) -> bool:
        with self.lock.open("r+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True


def every_step(victim: Victim, *, stride: int = 1, hows: tuple[str, ...] = HOWS) -> Iterator[Outcome]:
    """Yield the outcomes of killing at every step, in every way; `stride`: only at some of them, in one way each."""
    calls = victim.calls()
    for place, number in enumerate(range(1, len(calls) + 1, stride)):
        for how in hows if stride == 1 else (hows[place % len(hows)],):
            yield victim.at_call(number, how)


def random_moments(victim: Victim, count: int, seed: int) -> Iterator[Outcome]:
    """Yield the outcomes of killing at random moments of an upgrade."""
    chance = random.Random(seed)  # noqa: S311 - chosen moments, no secret
    whole = victim.duration()
    for number in range(count):
        yield victim.at_moment(chance.uniform(0, whole), everything=bool(number % 2))
