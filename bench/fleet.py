"""Compare starting and stopping a fleet: `d up-all` and `d down-all` with `docker compose up -d` and `down`, in turns.

    .venv/bin/python bench/fleet.py [ROUNDS [SERVICES]]

Run as root, with docker. Thirty services of one wave, each an idle busybox that ends immediately on SIGTERM; image,
command and stop timeout (1 s) are the same on both sides, and both begin without containers. `compose` uses a typical
file, with the network that compose creates; `compose (bridge)` uses the engine's default bridge, as d does for services
without `network`. Prints medians in seconds, their range, and ratios of medians with their limits. `again` starts the
stopped containers once more, without a limit: compose starts the existing ones, d creates new ones from the current
settings. Compose comes from compose.py.
"""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import compose
from common import DOCKER, PROGRAMS, prepare, report, run, with_own_state

IMAGE = "ktools/base:latest"
IDLE = ["sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait"]  # as process 1, `sleep` itself would ignore SIGTERM
NAME, PROJECT = "dybench-{:02}", "dybench-compose"
BARS = {"up": 0.7, "down": 1.0}
US, THEM, THEM_ON_BRIDGE = "d", "compose", "compose (bridge)"


class Way(NamedTuple):
    """A tool under test: a command for each of `up`, `stop` and `down`."""

    name: str
    up: tuple[str, ...]
    stop: tuple[str, ...]
    down: tuple[str, ...]


def composed(name: str, file: Path) -> Way:
    """Return the commands for a compose file."""
    argv = (*compose.COMPOSE, "--project-name", PROJECT, "--file", str(file))
    return Way(name, (*argv, "up", "--detach"), (*argv, "stop"), (*argv, "down"))


def make_services(root: Path, count: int) -> None:
    """Write this many services."""
    settings = {"image": IMAGE, "autostart": 1, "cmd": IDLE, "stop_timeout": 1}
    for number in range(count):
        directory = root / "src" / NAME.format(number)
        directory.mkdir(parents=True)
        (directory / "settings.yaml").write_text(json.dumps(settings), encoding="utf-8")


def make_compose_file(file: Path, count: int, **more: str) -> Path:
    """Write an equivalent compose file."""
    service = {"image": IMAGE, "command": IDLE, "stop_grace_period": "1s", **more}
    text = json.dumps({"services": {NAME.format(number): service for number in range(count)}})
    file.write_text(text, encoding="utf-8")
    return file


def ways(root: Path, count: int) -> list[Way]:
    """Return all tools."""
    d = str(PROGRAMS / "d")
    plain = make_compose_file(root / "compose.yaml", count)
    bridge = make_compose_file(root / "bridge.yaml", count, network_mode="bridge")
    own = Way(US, (d, "up-all"), (d, "down-all"), (d, "down-all"))
    return [own, composed(THEM, plain), composed(THEM_ON_BRIDGE, bridge)]


def seconds(argv: tuple[str, ...], root: Path, expected: int) -> float:
    """Run a command, after which this many of our containers must be up; returns its duration."""
    began = time.perf_counter()
    told = run(*argv, root=root)
    took = time.perf_counter() - began
    if (up := len(containers(root))) != expected:
        sys.exit(f"{' '.join(argv)}: {up} of {expected} are up\n{told}")
    return took


def containers(root: Path, *options: str) -> list[str]:
    """Return our running containers; with `--all`, all of them."""
    return run(DOCKER, "ps", "--quiet", "--filter", "name=^dybench-", *options, root=root).split()


def clear(root: Path) -> None:
    """Remove our containers, and compose's network if it still exists."""
    if there := containers(root, "--all"):
        run(DOCKER, "rm", "--force", *there, root=root)
    run(DOCKER, "network", "rm", f"{PROJECT}_default", root=root, check=False)


def round_of(way: Way, root: Path, count: int) -> dict[str, float]:
    """Measure once."""
    clear(root)
    took = {"up": seconds(way.up, root, count), "down": seconds(way.down, root, 0)}
    clear(root)
    seconds(way.up, root, count)
    seconds(way.stop, root, 0)
    return {**took, "again": seconds(way.up, root, count)}


def tell(found: dict[tuple[str, str], list[float]]) -> None:
    """Print the table, then each ratio with its limit."""
    medians = {which: statistics.median(times) for which, times in found.items()}
    for (what, way), times in sorted(found.items()):
        print(f"{what:6} {way:17} {medians[what, way]:6.2f} s  ({min(times):.2f} to {max(times):.2f})")
    for what in ("again", "up", "down"):
        for other, bar in ((THEM_ON_BRIDGE, None), (THEM, BARS.get(what))):
            report(what, medians[what, US] / medians[what, other], other, bar)


def main(rounds: int, count: int) -> None:
    """Measure in turns, so that noise affects all alike, and print."""
    version = compose.ready()
    found: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory(prefix="dybench-") as directory:
        root = Path(directory)
        make_services(root, count)
        prepare(root)
        print(f"{count} services, {rounds} rounds, compose {version}")
        turns = ways(root, count)
        try:
            for _ in range(rounds):
                for way in turns:
                    for what, took in round_of(way, root, count).items():
                        found.setdefault((what, way.name), []).append(took)
                turns = [*turns[1:], turns[0]]
        finally:
            clear(root)
    tell(found)


if __name__ == "__main__":
    with_own_state()
    rounds, count, *_ = [*sys.argv[1:], "", ""]
    main(int(rounds or 5), int(count or 30))
