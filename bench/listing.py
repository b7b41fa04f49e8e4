"""Measure `d ls` with many services, some of them up, as a multiple of a bare interpreter and `docker ps` together.

    .venv/bin/python bench/listing.py [ROUNDS [SERVICES [CONTAINERS]]]

Run as root, with docker. Fifty services are defined, ten of them run. Modules are compiled first, as in an
installation. Prints medians in ms, their range, and the ratio of `d ls` to the sum of `python -c pass` and `docker ps`,
with its limit. Then ten years of history, failure reports, saved changes and alerts are added, and each command is
measured again, as a multiple of its former time; also in processor time, which other work on the host hardly affects.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from common import DOCKER, PROGRAMS, environment, prepare, report, run, with_own_state
from filled import fill_alerts, fill_history, fill_reports, size

from dockyard.secrets import state_directory

NAME, IMAGE = "dybench-{:02}", "ktools/base:latest"
BAR, GROWTH = 3.0, 1.2
ALERTS, REPORTS = 100_000, 20
US = "d ls"
COMMANDS = {
    "python -c pass": (sys.executable, "-c", "pass"),
    "docker ps": (DOCKER, "ps"),
    US: (str(PROGRAMS / "d"), "ls"),
    "d lun": (str(PROGRAMS / "d"), "lun"),
    "d ls --json": (str(PROGRAMS / "d"), "ls", "--json"),
    "d history": (str(PROGRAMS / "d"), "history"),
    "d history X": (str(PROGRAMS / "d"), "history", NAME.format(0)),
    "d why": (str(PROGRAMS / "d"), "why", NAME.format(0)),
}


def make_services(root: Path, count: int) -> None:
    """Define this many services, each with some settings."""
    for number in range(count):
        directory = root / "src" / NAME.format(number)
        directory.mkdir(parents=True)
        settings = {"image": IMAGE, "autostart": 1 + number % 4, "cmd": "sleep 3600", "memory": "32m"}
        (directory / "settings.yaml").write_text(json.dumps(settings), encoding="utf-8")


class Times(NamedTuple):
    """The duration of a command in ms: elapsed, and processor time."""

    elapsed: float
    processor: float


def milliseconds(command: tuple[str, ...], variables: dict[str, str]) -> Times:
    """Run a command once; it must succeed."""
    began = time.perf_counter()
    nowhere = subprocess.DEVNULL
    child = subprocess.Popen(command, env=variables, stdout=nowhere, stderr=nowhere)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{' '.join(command)}: exit code {child.returncode}")
    elapsed = time.perf_counter() - began
    return Times(elapsed * 1000, (usage.ru_utime + usage.ru_stime) * 1000)


def measured(root: Path, rounds: int) -> dict[str, list[Times]]:
    """Measure in turns, so that noise affects all alike."""
    variables = environment(root)
    times: dict[str, list[Times]] = {name: [] for name in COMMANDS}
    for _ in range(rounds):
        for name, command in COMMANDS.items():
            times[name].append(milliseconds(command, variables))
    return times


def tell(times: dict[str, list[Times]]) -> None:
    """Print the table, then the ratio with its limit."""
    medians = {name: statistics.median(one.elapsed for one in values) for name, values in times.items()}
    for name, found in times.items():
        values = [one.elapsed for one in found]
        print(f"{name:16} {medians[name]:7.1f} ms  ({min(values):.1f} to {max(values):.1f})")
    report(US, medians[US] / (medians["python -c pass"] + medians["docker ps"]), "(python -c pass + docker ps)", BAR)


def fill(services: list[str]) -> None:
    """Add the state of ten years of daily use."""
    fill_history(services)
    fill_alerts(ALERTS, [])
    for service in services:
        fill_reports(service, REPORTS)


def tell_growth(empty: dict[str, list[Times]], filled: dict[str, list[Times]]) -> None:
    """Print how much longer each of our commands takes after ten years, and the size of the state."""
    print(f"after ten years, with {size(state_directory()):.0f} MB of state:")
    for name, values in filled.items():
        if name.startswith("d "):
            elapsed, processor = (
                statistics.median(one[field] for one in values) / statistics.median(one[field] for one in empty[name])
                for field in (0, 1)
            )
            report(f"  {name}", elapsed, "with none", GROWTH)
            report(f"  {name}, processor", processor, "with none", GROWTH)


def main(rounds: int, services: int, containers: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="dybench-") as directory:
        root = Path(directory)
        make_services(root, services)
        prepare(root)
        names = [NAME.format(number) for number in range(containers)]
        try:
            for name in names:
                run(str(PROGRAMS / "d-run"), "--cd", name, root=root)
            print(f"{services} services, {containers} containers up, {rounds} rounds")
            fill_reports(names[0], 1)  # so that `d why` prints as much as later
            empty = measured(root, rounds)
            fill([NAME.format(number) for number in range(services)])
            filled = measured(root, rounds)
        finally:
            run(DOCKER, "rm", "--force", *names, root=root, check=False)
    tell(empty)
    tell_growth(empty, filled)


if __name__ == "__main__":
    with_own_state()
    rounds, services, containers, *_ = [*sys.argv[1:], "", "", ""]
    main(int(rounds or 21), int(services or 50), int(containers or 10))
