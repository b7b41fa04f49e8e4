"""dockerd and containerd are killed while they stop a container: it can be started again, whatever they left.

    DOCKYARD_TEST_KILLS=200 pytest tests/faults/test_shim_left.py --long

kills as often, each time at another moment of the stop.
"""

import os
import random
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from tests.engines.world import BASE, IDLE, LABEL, Record, wait_for

if TYPE_CHECKING:
    from tests.engines.remapped import SecondEngine

pytest_plugins = ["tests.engines.remapped"]

COUNT = int(os.environ.get("DOCKYARD_TEST_KILLS", "10"))
LONGEST_SECONDS = 0.4  # until a stop is done
NAME = "dyt-killed"
START = """
import sys
from dockyard import telling
from dockyard.engine.dialect import DOCKER
from dockyard.engine.engine import Engine
telling.listener = lambda text: print(text, file=sys.stderr)
Engine("docker", DOCKER).call("start", sys.argv[1])
"""
"""Do what a recovery does."""
SHIM, STATE = "ended the shim that a killed engine left", "removed the state that a killed engine left"


def kill_in_stop(engine: "SecondEngine", seconds: float) -> None:
    """Kill dockerd and its containerd a number of seconds after the request to stop the container; start them again."""
    stop = engine.start("docker", "stop", NAME)
    time.sleep(seconds)
    for pid in engine.pids():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not engine.pids(), "the end of the killed engine")
    stop.communicate(timeout=60)
    engine.revive()


def shims(engine: "SecondEngine") -> list[str]:
    """Return the command lines of all shims of an engine."""
    pids = [pid for pid, name in engine.processes() if name.startswith("containerd-shim")]
    return [engine.run("cat", f"/proc/{pid}/cmdline", expect=None).stdout for pid in pids]


@pytest.mark.long("docker")
def test_start_after_a_killed_stop(remapped: "SecondEngine", record_property: Record) -> None:
    """However far the stop was, the next start succeeds, and only the container's own shim is left."""
    chance = random.Random(20)  # noqa: S311 - moments, no secret
    remapped.call("run", "--detach", "--name", NAME, "--label", LABEL, "--network", "none", BASE, *IDLE)
    wrong, said = [], []
    for number in range(COUNT):
        kill_in_stop(remapped, chance.uniform(0, LONGEST_SECONDS))
        done = remapped.run(sys.executable, "-c", START, NAME, expect=None)
        said.append(done.stderr)
        left, identifier = shims(remapped), remapped.container_id(NAME)
        if done.exit_code or not remapped.is_up(NAME) or len(left) != 1 or identifier not in left[0]:
            wrong.append((number, done, left, identifier))
    remapped.call("rm", "--force", NAME)
    ended, removed = (sum(words in text for text in said) for words in (SHIM, STATE))
    figure = f"killed {COUNT} times in the middle of a stop: a shim was left {ended} times, its state {removed} times"
    record_property("figure", f"docker: {figure}; {len(wrong)} did not start again")
    assert wrong == [], figure
