"""Measure d-map as a multiple of `docker ps`, with some running containers.

    .venv/bin/python bench/d_map.py [ROUNDS [CONTAINERS]]

Run as root, with docker. The program is started through its first line, as in an installation. Prints medians in ms,
their range, and the ratio with its limit.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from common import DOCKER, REPOSITORY, environment, prepare, report, run

NAME, IMAGE = "dybench-map-{}", "ktools/base:latest"
BAR = 3.0
US, THEM = "d-map", "docker ps"
PROGRAM = REPOSITORY / "src/dockyard/standalone/d_map.py"
COMMANDS = {THEM: (DOCKER, "ps", "--format", "{{.ID}} {{.Names}}"), US: (str(PROGRAM),)}


def lines(command: tuple[str, ...], root: Path) -> set[str]:
    """Return the output of a command."""
    return set(run(*command, root=root).splitlines())


def milliseconds(command: tuple[str, ...], root: Path) -> float:
    """Run a command once; it must succeed."""
    began = time.perf_counter()
    subprocess.run(command, env=environment(root), check=True, capture_output=True)
    return (time.perf_counter() - began) * 1000


def main(rounds: int, containers: int) -> None:
    """Measure in turns, so that noise affects both alike, and print."""
    with tempfile.TemporaryDirectory(prefix="dybench-") as directory:
        root = Path(directory)
        prepare(root)
        names = [NAME.format(number) for number in range(containers)]
        try:
            for name in names:
                run(DOCKER, "run", "--detach", "--network", "none", "--name", name, IMAGE, "sleep", "3600", root=root)
            told = {name: lines(command, root) for name, command in COMMANDS.items()}
            missing = [
                name for name in names if not all(any(name in line for line in found) for found in told.values())
            ]
            if missing:
                sys.exit(f"not told: {', '.join(missing)}")
            times: dict[str, list[float]] = {name: [] for name in COMMANDS}
            for _ in range(rounds):
                for name, command in COMMANDS.items():
                    times[name].append(milliseconds(command, root))
        finally:
            run(DOCKER, "rm", "--force", *names, root=root, check=False)
    medians = {name: statistics.median(values) for name, values in times.items()}
    for name, values in times.items():
        print(f"{name:10} {medians[name]:7.1f} ms  ({min(values):.1f} to {max(values):.1f})")
    report(US, medians[US] / medians[THEM], THEM, BAR)


if __name__ == "__main__":
    rounds, containers, *_ = [*sys.argv[1:], "", ""]
    main(int(rounds or 21), int(containers or 10))
