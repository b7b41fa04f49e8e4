"""The engine tests on each engine: `python -m tests.matrix [--all] [--worlds] [NAME]... [-- ARGUMENT]...`.

`--all` runs all of tests/engines and the tests of units, not only those marked `matrix`. `--worlds` leaves out the
host's engines, NAME selects engines, ARGUMENTs are passed to pytest. `--record` writes the results into
docs/reference/, and runs nothing.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from dockyard.docs.__main__ import main as write_docs
from dockyard.docs.tested_engines import RECORD
from tests.side_by_side import PYTEST, REPOSITORY, RESULTS, Part, run, sum_up

WORLD = str(REPOSITORY / "scripts/world")
RESULTS_INSIDE = ".state/results.json"
TESTS = ("tests/engines", "tests/unit/test_units.py")
JOBS = 2
WHOLE = ("all", "matrix")
"""The subsets of the tests whose results are recorded."""


class Engine(NamedTuple):
    """One engine: its Debian suite (none: this host), image store and cgroup version."""

    name: str
    engine: str
    suite: str = ""
    cgroup: str = ""
    store: str = ""


# Rows of one Debian are not adjacent: two that are created or started concurrently are of different ones.
# podman has one row with cgroups v1: if the controllers are bound to v1, there are no limits in v2.
MATRIX = (
    Engine("host-docker", "docker"),
    Engine("host-podman", "podman"),
    Engine("trixie-docker", "docker", "trixie", "v2", "overlay2"),
    Engine("sid-docker", "docker", "sid", "v2", "overlay2"),
    Engine("trixie-containerd", "docker", "trixie", "v2", "containerd"),
    Engine("sid-containerd", "docker", "sid", "v2", "containerd"),
    Engine("trixie-podman", "podman", "trixie", "v1"),
    Engine("sid-podman", "podman", "sid", "v2"),
)


def part(engine: Engine, arguments: list[str]) -> Part:
    """Return the part that runs the tests on an engine."""
    results = RESULTS / f"{engine.name}.json"
    environment = {"DOCKYARD_TEST_ENGINES": engine.engine}
    if not engine.suite:
        argv = (str(REPOSITORY / "scripts/engine"), "during", PYTEST, "--results", str(results), *arguments)
        return Part(engine.name, argv, environment, results)
    place = f"{engine.suite}:{engine.name.removeprefix(f'{engine.suite}-')}"

    def take_down() -> None:
        subprocess.run((WORLD, "down", place), check=True)

    take_down()
    entering = (WORLD, "enter", place, "--cgroup", engine.cgroup)
    docker = ("--docker", engine.store) if engine.store else ()
    inside = (".venv/bin/pytest", "--results", RESULTS_INSIDE, *arguments)

    def fetch_results() -> None:
        with results.open("wb") as file:
            done = subprocess.run((WORLD, "inside", place, "cat", RESULTS_INSIDE), stdout=file, check=False)
        if done.returncode:
            results.unlink()
        take_down()

    return Part(engine.name, (*entering, *docker, *inside), environment, results, fetch_results, take_down)


def rows_of_matrix(names: Iterable[str]) -> list[Part]:
    """Return the parts that run the tests marked `matrix` on the engines of these names. Raises KeyError."""
    rows = {engine.name: engine for engine in MATRIX}
    return [part(rows[name], [*TESTS, "-m", "matrix"]) for name in names]


def record() -> int:
    """Write the results of the last run into the documentation.

    Engines that it left out stay as they were, and so do those whose last run had only some of the tests.
    """
    known: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.is_file() else {}
    for engine in MATRIX:
        path = RESULTS / f"{engine.name}.json"
        results = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        if results.get("subset") in WHOLE:
            known[engine.name] = results
    ordered = {engine.name: known[engine.name] for engine in MATRIX if engine.name in known}
    RECORD.write_text(json.dumps(ordered, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return write_docs([])


def main(words: list[str]) -> int:
    """Run the tests on the selected engines; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.matrix")
    parser.add_argument("--all", action="store_true", help="run all engine tests, not only those marked `matrix`")
    parser.add_argument("--worlds", action="store_true", help="leave out the host's engines")
    parser.add_argument("--record", action="store_true", help="write the results of the last run into docs/reference/")
    parser.add_argument("--jobs", type=int, default=min(JOBS, os.cpu_count() or 1), help="number of engines at a time")
    parser.add_argument("names", nargs="*", choices=[[], *(engine.name for engine in MATRIX)], metavar="NAME")
    split = words.index("--") if "--" in words else len(words)
    options = parser.parse_args(words[:split])
    if options.record:
        return record()
    chosen = [engine for engine in MATRIX if engine.name in (options.names or [engine.name])]
    if options.worlds:
        chosen = [engine for engine in chosen if engine.suite]
    subset = [*TESTS, *([] if options.all else ["-m", "matrix"])]
    began = time.monotonic()
    parts = [part(engine, [*subset, *words[split + 1 :]]) for engine in chosen]
    return sum_up(parts, run(parts, options.jobs), time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
