"""Run parts of the tests concurrently, each with its own log, and print one line with the sums at the end."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple, NoReturn

REPOSITORY = Path(__file__).parents[1]
STATE = REPOSITORY / ".state"
LOGS, RESULTS = STATE / "tests", STATE / "engines"
PYTEST = str(Path(sys.executable).with_name("pytest"))
PROGRESS_SECONDS = 5 if sys.stderr.isatty() else 60
NO_TESTS = 5
"""The exit status of pytest if a part contains none of the selected tests."""


class Part(NamedTuple):
    """Some of the tests: the command that runs them, and the file for its results.

    `clean_up` is run afterwards, and `stop` to end it early; without `stop` it gets a SIGINT, as from Ctrl-C.
    """

    name: str
    argv: tuple[str, ...]
    environment: dict[str, str]
    results: Path
    clean_up: Callable[[], None] = lambda: None
    stop: Callable[[], None] | None = None

    @property
    def log(self) -> Path:
        """The file with its whole output."""
        return LOGS / f"{self.name}.log"


class Running:
    """A part that has been started."""

    def __init__(self, part: Part) -> None:
        self.part = part
        part.results.unlink(missing_ok=True)
        part.log.parent.mkdir(parents=True, exist_ok=True)
        part.results.parent.mkdir(parents=True, exist_ok=True)
        with part.log.open("wb") as log:
            self.process = subprocess.Popen(
                part.argv,
                cwd=REPOSITORY,
                env={**os.environ, **part.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def progress(self) -> str:
        """Return its progress."""
        found = re.findall(r"\[ *(\d+%)\]", self.part.log.read_text(encoding="utf-8", errors="replace")[-500:])
        return f"{self.part.name} {found[-1] if found else 'begins'}"

    def stop(self) -> None:
        """Stop it early; each test cleans up after itself."""
        if self.part.stop:
            self.part.stop()
        else:
            self.process.send_signal(signal.SIGINT)
        self.process.wait()

    def end(self) -> int:
        """Print its output; returns its exit status."""
        self.part.clean_up()
        sys.stdout.write(f"==> {self.part.name}\n{self.part.log.read_text(encoding='utf-8', errors='replace')}\n")
        sys.stdout.flush()
        return self.process.returncode


def run(parts: Iterable[Part], jobs: int) -> dict[str, int]:
    """Run parts, a number at a time, in order; returns their exit statuses."""
    waiting, running, ended = list(parts), list[Running](), dict[str, int]()
    signal.signal(signal.SIGTERM, _interrupted)
    told = time.monotonic()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                running.append(Running(waiting.pop(0)))
            for one in [one for one in running if one.process.poll() is not None]:
                ended[one.part.name] = one.end()
                running.remove(one)
            if time.monotonic() > told + PROGRESS_SECONDS:
                told = time.monotonic()
                sys.stderr.write(f"dockyard: {', '.join(one.progress() for one in running)}\n")
            time.sleep(0.2)
    finally:
        for one in running:
            one.stop()
            one.end()
    return ended


def _interrupted(number: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001 - what a handler is given
    raise KeyboardInterrupt


def results_of(part: Part) -> dict[str, Any]:
    """Return the results of a part; a failure if it has written none."""
    if not part.results.is_file():
        return {"passed": 0, "failed": {part.name: "it ended without results"}, "skipped": {}}
    found: dict[str, Any] = json.loads(part.results.read_text(encoding="utf-8"))
    return found


def sum_up(parts: Iterable[Part], ended: dict[str, int], seconds: float) -> int:
    """Print the failures of all parts and a last line like that of pytest; returns the exit status."""
    every = {part.name: results_of(part) for part in parts if ended[part.name] != NO_TESTS}
    for name, results in every.items():
        for test in results["failed"]:
            sys.stdout.write(f"FAILED {name}: {test}\n")
    failed = sum(len(results["failed"]) for results in every.values())
    passed = sum(results["passed"] for results in every.values())
    skipped = sum(sum(results["skipped"].values()) for results in every.values())
    counts = [
        f"{count} {what}" for count, what in ((failed, "failed"), (passed, "passed"), (skipped, "skipped")) if count
    ]
    minutes = timedelta(seconds=int(seconds))
    sys.stdout.write(f" {', '.join(counts) or 'no tests ran'} in {seconds:.2f}s ({minutes}) ".center(100, "=") + "\n")
    return 0 if passed and not failed and set(ended.values()) <= {0, NO_TESTS} else 1
