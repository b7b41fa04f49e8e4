"""Runs parts of the tests side by side, each with a log of its own, and ends with one line that sums them up."""

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
"""What pytest ends with that was asked for tests that a part does not have."""


class Part(NamedTuple):
    """Some of the tests: what runs them, and where it writes its results.

    `clean_up` is run after it, and `stop` to end it early; without that it gets a SIGINT, as from Ctrl-C.
    """

    name: str
    argv: tuple[str, ...]
    environment: dict[str, str]
    results: Path
    clean_up: Callable[[], None] = lambda: None
    stop: Callable[[], None] | None = None

    @property
    def log(self) -> Path:
        """All that it writes."""
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
        """Return how far it is."""
        found = re.findall(r"\[ *(\d+%)\]", self.part.log.read_text(encoding="utf-8", errors="replace")[-500:])
        return f"{self.part.name} {found[-1] if found else 'begins'}"

    def stop(self) -> None:
        """End it early; a test tidies up behind itself."""
        if self.part.stop:
            self.part.stop()
        else:
            self.process.send_signal(signal.SIGINT)
        self.process.wait()

    def end(self) -> int:
        """Print what it wrote; returns its exit status."""
        self.part.clean_up()
        sys.stdout.write(f"==> {self.part.name}\n{self.part.log.read_text(encoding='utf-8', errors='replace')}\n")
        sys.stdout.flush()
        return self.process.returncode


def run(parts: Iterable[Part], jobs: int) -> dict[str, int]:
    """Run parts, so many at a time, in their order; returns their exit statuses."""
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
    """Return what a part came to; a failure where it did not get as far as to say so."""
    if not part.results.is_file():
        return {"passed": 0, "failed": {part.name: "it ended without results"}, "skipped": {}}
    found: dict[str, Any] = json.loads(part.results.read_text(encoding="utf-8"))
    return found


def sum_up(parts: Iterable[Part], ended: dict[str, int], seconds: float) -> int:
    """Print the failures of all parts and a last line as pytest has it; returns the exit status."""
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
