"""All tests, those of each engine and the others side by side: `python -m tests [ARGUMENT OF PYTEST]...`.

With a path among the arguments it is pytest alone, with just these.
"""

import os
import sys
import time
from pathlib import Path

from tests.side_by_side import LOGS, PYTEST, REPOSITORY, RESULTS, STATE, Part, run, sum_up

ENGINE_TESTS = ("tests/engines", "tests/faults")
STANDIN_TESTS = "tests/standins"  # they wait more than they work
OTHER_TESTS = ("tests", *(f"--ignore={place}" for place in (*ENGINE_TESTS, STANDIN_TESTS)))


def parts(arguments: list[str]) -> list[Part]:
    """Return the parts of the tests."""
    return [
        *(_part(engine, RESULTS / f"host-{engine}.json", engine, *ENGINE_TESTS, *arguments) for engine in ENGINES),
        _part("standins", LOGS / "standins.json", "docker", STANDIN_TESTS, *arguments),
        _part("others", LOGS / "others.json", "docker", *OTHER_TESTS, *arguments),
    ]


ENGINES = os.environ.get("DOCKYARD_TEST_ENGINES", "docker podman").split()


WITH_OWN_STATE = """
mkdir -p "$1/lib" "$1/run" /var/lib/dockyard /run/dockyard
mount --bind "$1/lib" /var/lib/dockyard
mount --bind "$1/run" /run/dockyard
shift
exec "$@"
"""


def _part(name: str, results: Path, engine: str, *arguments: str) -> Part:
    cache = f"cache_dir={LOGS}/{name}.cache"
    argv = (PYTEST, "--results", str(results), "-o", cache, *arguments)
    return Part(name, (*_apart(name), *argv), {"DOCKYARD_TEST_ENGINES": engine}, results)


def _apart(name: str) -> tuple[str, ...]:
    """Return what gives a part a history, alerts and locks of its own.

    Services have the same names on both engines. Only podman can have a mount namespace: docker's daemon must see what
    the tests mount.
    """
    if name != "podman" or os.geteuid():
        return ()
    shell = ("sh", "-ec", WITH_OWN_STATE, "sh", str(STATE / "podman"))
    return ("unshare", "--mount", "--propagation", "private", *shell)


def main(arguments: list[str]) -> int:
    """Run them all; returns the exit status."""
    if any(not one.startswith("-") and (REPOSITORY / one.partition("::")[0]).exists() for one in arguments):
        os.execv(PYTEST, [PYTEST, *arguments])  # noqa: S606 - no shell is wanted
    began = time.monotonic()
    every = parts(arguments)
    return sum_up(every, run(every, len(every)), time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
