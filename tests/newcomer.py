"""Follow the pages for newcomers on a Debian that has only git and make: `python -m tests.newcomer [SUITE]...`.

For each suite and page, in a new world: run `make demo`, then the page's commands as written, and compare the output
with the page.
"""

import subprocess
import sys
import time

from tests.engines.pages import Step, matches, outputs, script, steps
from tests.side_by_side import REPOSITORY

WORLD = str(REPOSITORY / "scripts/world")
SUITES = ("trixie-bare", "sid-bare")
DEMO = (Step("make demo"), Step(". .state/env"), Step("export D_SRC_DIR=/srv/services"))
PAGES = ("README.md", "docs/tutorial/first-service.md")
SECONDS = 1200


def follow(suite: str, page: str) -> str:
    """Follow a page in a new world; returns the first difference from it, and prints the minutes it took."""
    wanted = [*DEMO, *steps((REPOSITORY / page).read_text(encoding="utf-8"), {})]
    place = f"{suite}:newcomer"
    began = time.monotonic()
    try:
        subprocess.run((WORLD, "enter", place, "--cgroup", "v2", "true"), check=True)
        done = subprocess.run(
            (WORLD, "inside", place, "sh", "-eu"),
            input=script(wanted),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    finally:
        subprocess.run((WORLD, "down", place), check=True)
    difference = first_difference(wanted, outputs(done.stdout), done.stdout)
    minutes = (time.monotonic() - began) / 60
    outcome = "FAILED" if difference else "passed"
    sys.stdout.write(f"{suite}  {page}  {len(wanted)} steps  {minutes:.1f} min  {outcome}\n")
    sys.stdout.flush()
    return difference


def first_difference(wanted: list[Step], found: list[str], whole: str) -> str:
    """Return the first step whose output differs from the page; empty if there is none."""
    for step, output in zip(wanted, found, strict=False):
        if step.shown is not None and not matches(step.shown, output):
            return f"$ {step.command}\n{output}\nnot\n{step.shown}\n"
    if len(found) < len(wanted):
        return f"$ {wanted[len(found)].command}\nfailed:\n{whole[-3000:]}\n"
    return ""


def main(suites: list[str]) -> int:
    """Follow every page on every suite; returns the exit status."""
    differences = [follow(suite, page) for suite in suites or SUITES for page in PAGES]
    sys.stdout.write("".join(differences))
    return 1 if any(differences) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
