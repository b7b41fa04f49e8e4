"""Run the tests of each engine and the others concurrently: `python -m tests [--row NAME]... [ARGUMENT]...`.

All run on Docker; on podman those marked `matrix`, or all with `--long`. `--row` adds a row of the matrix
(tests/matrix.py). If the arguments contain a path, only pytest runs, with these arguments.
"""

import os
import shutil
import sys
import time
from itertools import pairwise
from pathlib import Path

from tests.matrix import rows_of_matrix
from tests.side_by_side import LOGS, PYTEST, REPOSITORY, RESULTS, Part, run, sum_up

ENGINE_TESTS = ("tests/engines", "tests/faults")
STANDIN_TESTS = "tests/standins"  # they wait more than they work
OTHER_TESTS = ("tests", *(f"--ignore={place}" for place in (*ENGINE_TESTS, STANDIN_TESTS)))


def parts(arguments: list[str]) -> list[Part]:
    """Return the parts of the tests, the longest first."""
    return [
        *(_part_of_engine(engine, arguments) for engine in ENGINES),
        _part("others", LOGS / "others.json", "docker", *OTHER_TESTS, *arguments),
        _part("standins", LOGS / "standins.json", "docker", STANDIN_TESTS, *arguments),
    ]


ENGINES = os.environ.get("DOCKYARD_TEST_ENGINES", "docker podman").split()
JOBS = max(2, os.cpu_count() or 1)
"""Parts that run at a time. More would finish no sooner, and would cause timeouts in tests."""


# podman has no daemon, so its tests can have separate directories of podman and of dockyard: they run concurrently with
# those of docker, which use the same names.
PRIVATE = (
    "/etc/containers/networks",
    "/run/containers",
    "/run/dockyard",
    "/run/libpod",
    "/var/lib/dockyard",
    "/var/lib/containers",
)
PLACE = "/var/lib/containers/dockyard-tests"
"""On the file system of the containers; the last of the mounts hides it."""

WITH_PRIVATE = """
place=$1
shift
rm -rf "$place"
for directory in {directories}; do
    mkdir -p "$directory" "$place$directory"
    chmod --reference="$directory" "$place$directory"
    mount --bind "$place$directory" "$directory"
done
exec "$@"
"""


def _apart(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Return a command in a mount namespace with separate directories."""
    script = WITH_PRIVATE.format(directories=" ".join(PRIVATE))
    return ("unshare", "--mount", "--propagation=private", "sh", "-euc", script, "sh", PLACE, *argv)


def _part_of_engine(engine: str, arguments: list[str]) -> Part:
    """Return the part of an engine: all tests run on one of them; see docs/decisions/engine-matrix.md."""
    subset = ("-m", "matrix") if engine == "podman" and "--long" not in arguments else ()
    return _part(engine, RESULTS / f"host-{engine}.json", engine, *ENGINE_TESTS, *subset, *arguments)


def _part(name: str, results: Path, engine: str, *arguments: str) -> Part:
    cache = f"cache_dir={LOGS}/{name}.cache"
    argv = (PYTEST, "--results", str(results), "-o", cache, *arguments)
    environment = {"DOCKYARD_TEST_ENGINES": engine}
    if engine != "podman" or os.geteuid():
        return Part(name, argv, environment, results)
    return Part(name, _apart(argv), environment, results, lambda: shutil.rmtree(PLACE, ignore_errors=True))


def _take_rows(words: list[str]) -> tuple[list[str], list[str]]:
    """Return the selected rows of the matrix, and the other arguments."""
    rows = [after for word, after in pairwise(words) if word == "--row"]
    left = [word for before, word in pairwise(["", *words]) if "--row" not in {before, word}]
    return rows, left


def main(words: list[str]) -> int:
    """Run them all; returns the exit status."""
    rows, arguments = _take_rows(words)
    if any(not one.startswith("-") and (REPOSITORY / one.partition("::")[0]).exists() for one in arguments):
        os.execv(PYTEST, [PYTEST, *arguments])  # noqa: S606 - no shell is wanted
    began = time.monotonic()
    every = [*parts(arguments), *rows_of_matrix(rows)]
    return sum_up(every, run(every, JOBS), time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
