"""However many services there are: the number of concurrent starts, stops and removals is limited."""

import shutil
from pathlib import Path

from dockyard.engine.dialect import DOCKER
from tests.engines.world import write
from tests.standins.world import StandInWorld

VERSION, BOUND = "20.10.24", DOCKER.changes_at_once[0][1]
COUNTING = """#!/bin/sh
# Writes down when a command that changes containers begins and ends, and how many it names.
count=1
case $1 in
run | create) ;;
start | stop | restart | kill | rm) count=$(($(printf '%s\\n' "$@" | grep -vc ^-) - 1)) ;;
*) exec {real} "$@" ;;
esac
echo "+$count $1" >>{calls}
{real} "$@"
code=$?
echo "-$count $1" >>{calls}
exit $code
"""


def count_calls(world: StandInWorld) -> Path:
    """Log each call that changes containers to a file."""
    client, real, calls = world.bin / "docker", world.bin / "docker.real", world.root / "calls"
    shutil.move(client, real)
    write(client, COUNTING.format(real=real, calls=calls), mode=0o755)
    return calls


def most_at_once(calls: Path) -> int:
    """Return the maximum number of containers that were changed concurrently."""
    steps = [int(line.split()[0]) for line in calls.read_text().splitlines()]
    calls.unlink()
    return max(sum(steps[:end]) for end in range(1, len(steps) + 1))


def test_fleet_commands_stay_within_the_bound(docker: StandInWorld) -> None:
    """upgrade-all, restart-all, down-all, up-all and clean, with more jobs than slots."""
    for _ in range(BOUND + 2):
        docker.waiting(autostart=1)
    calls = count_calls(docker)
    write(docker.root / "engine/version", VERSION)
    most: dict[str, int] = {}
    for verb in ("upgrade-all", "restart-all", "down-all", "up-all", "down-all", "clean"):
        docker.d(verb, *([] if verb == "clean" else ["--jobs", str(2 * BOUND)]))
        most[verb] = max(most_at_once(calls), most.get(verb, 0))
    assert all(1 <= number <= BOUND for number in most.values()), most
    assert most["up-all"] > 1, most
