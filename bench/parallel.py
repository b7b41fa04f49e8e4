"""Measure how many concurrent starts, stops and removals an engine can handle.

    .venv/bin/python bench/parallel.py [--engine docker|podman] [--clients N] [--stops N] [--rounds N] [--containers N]
                                       [--kinds KIND...] [--network NAME] [--together] [--dumps DIRECTORY] [--json FILE]

Run as root, with the engine installed; it runs in new namespaces (own_engine.py), best in a world (scripts/world). A
round starts thirty containers in one network and removes them again; in turns in the engine's default bridge and in a
created network, each with a published port, and without a network (`none`). `--clients` is the number of concurrent
clients, with one command each; `--stops` the number for stops only. Rounds of four kinds alternate:

- `stop`: all start, all stop, all are removed;
- `force`: all start, all are removed while they run;
- `mixed`: each client starts a container, and removes it while others start theirs;
- `short`: all start a program that ends immediately, and are removed.

`--together`: one command stops or removes all of them. During each step the engine gets small queries. If it does not
answer one within 30 s, and again within 90 s, or a command takes more than 300 s, it hangs: the round and the step are
recorded, the stacks of its goroutines are saved, and it is restarted. On a busy host the engine may also be merely
slow: the stacks show which. Errors of commands are counted.
"""

import argparse
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from own_engine import ENGINES, Engine, enter_namespaces, run

BUSYBOX = "/bin/busybox"
NETWORK, IMAGE, NAME = "dybench", "dybench", "dybench-{:02}"
NONE = "none"
FIRST_PORT = 20000
ANSWER_SECONDS, LAST_ANSWER_SECONDS = 30, 90
COMMAND_SECONDS = 300
PAUSE_SECONDS = 0.5
KINDS = ("stop", "force", "mixed", "short")
IDLE, SHORT = ("sleep", "3600"), ("true",)
SHOWN_ERRORS = 5


class Hang(NamedTuple):
    """An engine that did not answer: the round, the step, and the file with its stacks."""

    round: int
    kind: str
    network: str
    step: str
    question: str
    dump: str


class HungError(Exception):
    """A query or a command was not answered."""


class Fleet:
    """The containers of a bench, and the number of concurrent clients."""

    def __init__(self, engine: Engine, count: int, clients: int, stops: int, *, together: bool) -> None:
        self.engine = engine
        self.names = [NAME.format(number) for number in range(count)]
        self.clients = clients
        self.stops = stops
        self.together = together
        self.network = NETWORK
        self.errors: list[str] = []
        self.step = ""

    def prepare(self) -> None:
        """Create the image and the network, if they do not exist."""
        if run(*self.engine.argv, "network", "inspect", NETWORK).returncode:
            self._must("network", "create", NETWORK)
        if run(*self.engine.argv, "image", "inspect", IMAGE).returncode:
            with tempfile.NamedTemporaryFile(suffix=".tar") as archive:
                words = ("tar", "-cf", archive.name, "--dereference", "-C", "/", BUSYBOX.lstrip("/"))
                subprocess.run(words, check=True)
                self._must("import", archive.name, IMAGE)

    def _must(self, *argv: str) -> None:
        done = run(*self.engine.argv, *argv)
        if done.returncode:
            sys.exit(f"{self.engine.name} {' '.join(argv)}: {done.stderr}")

    def round_of(self, kind: str, network: str) -> None:
        """Start and remove all. Raises HungError."""
        self.network = network
        if kind == "mixed":
            self._each("start and remove", self._start_and_remove)
            return
        self._each("start", lambda name: self._start(name, SHORT if kind == "short" else IDLE))
        if kind == "stop":
            self._all("stop", ("stop",))
        self._all("remove", self.engine.removal)

    def _all(self, step: str, argv: tuple[str, ...]) -> None:
        if self.together:
            self._wait(step, [lambda: self._call(*argv, *self.names)])
        else:
            self._each(step, lambda name: self._call(*argv, name))

    def _each(self, step: str, work: Callable[[str], None]) -> None:
        self._wait(step, [lambda name=name: work(name) for name in self.names])  # type: ignore[misc]

    def _wait(self, step: str, calls: list[Callable[[], None]]) -> None:
        """Make calls with this many clients, and check that the engine answers in the meantime."""
        self.step = step
        pool = ThreadPoolExecutor(self.stops if step == "stop" else self.clients)
        with _watched(self.engine) as is_hung:
            asked: list[Future[None]] = [pool.submit(call) for call in calls]
            while not all(future.done() for future in asked):
                if is_hung():
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise HungError(is_hung())
                time.sleep(0.02)
        pool.shutdown()
        for future in asked:
            future.result()
        if is_hung():
            raise HungError(is_hung())

    def _start(self, name: str, command: tuple[str, ...] = IDLE) -> None:
        port = FIRST_PORT + self.names.index(name)
        publish = () if self.network == NONE else ("--publish", f"{port}:80")
        options = ("--name", name, "--network", self.network, "--stop-signal", "KILL")
        self._call("run", "--detach", *options, *publish, IMAGE, BUSYBOX, *command)

    def _start_and_remove(self, name: str) -> None:
        if self.network != NONE:
            self._call("network", "inspect", self.network)  # as a launch does
        self._start(name)
        self._call(*self.engine.removal, name)

    def _call(self, *argv: str) -> None:
        try:
            done = run(*self.engine.argv, *argv, seconds=COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            raise HungError(f"{' '.join(argv[:2])} took more than {COMMAND_SECONDS} s") from None
        if done.returncode:
            self.errors.append(f"{' '.join(argv[:2])}: {done.stderr.strip()}")


@contextmanager
def _watched(engine: Engine) -> Iterator[Callable[[], str]]:
    """Send small queries to an engine during the block; yields a function that returns the unanswered one, if any."""
    over, unanswered = threading.Event(), ""

    def ask() -> None:
        nonlocal unanswered
        while not over.wait(PAUSE_SECONDS):
            for probe in engine.probes:
                if not (_answers(engine, probe, ANSWER_SECONDS) or _answers(engine, probe, LAST_ANSWER_SECONDS)):
                    unanswered = " ".join(probe[:2])
                    return

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield lambda: unanswered
    finally:
        over.set()
        asking.join()


def _answers(engine: Engine, probe: tuple[str, ...], seconds: float) -> bool:
    try:
        run(*engine.argv, *probe, seconds=seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def measure(fleet: Fleet, rounds: int, kinds: list[str], only: str, dumps: Path) -> tuple[list[Hang], list[float]]:
    """Run this many rounds; returns the hangs, and the seconds of each round without one."""
    hangs: list[Hang] = []
    took: list[float] = []
    for number in range(rounds):
        kind = kinds[number % len(kinds)]
        networks = (fleet.engine.bridge, NETWORK, NONE)
        network = only or networks[number // len(kinds) % len(networks)]
        began = time.monotonic()
        try:
            fleet.round_of(kind, network)
        except HungError as error:
            dump = fleet.engine.dump(dumps / f"{fleet.engine.name}-{fleet.clients}-round-{number}.txt")
            hangs.append(Hang(number, kind, network, fleet.step, str(error), str(dump or "")))
            print(f"round {number} ({kind}, {network}, {fleet.step}): hangs: {error}; stacks: {dump}", flush=True)
            fleet.engine.begin_again()
            fleet.prepare()
        else:
            took.append(time.monotonic() - began)
            print(f"round {number} ({kind}, {network}): {took[-1]:.1f} s", file=sys.stderr, flush=True)
    return hangs, took


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--engine", choices=ENGINES, default="docker")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--stops", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--network", default="", help="one network, not all in turns")
    parser.add_argument("--containers", type=int, default=30)
    parser.add_argument("--together", action="store_true")
    parser.add_argument("--dumps", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main(options: argparse.Namespace) -> None:
    """Measure, and print."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    with tempfile.TemporaryDirectory(prefix="dybench-", ignore_cleanup_errors=True) as directory:
        engine = ENGINES[options.engine](Path(directory))
        engine.start()
        try:
            version = run(*engine.argv, *engine.probes[0]).stdout.strip()
            clients, stops = options.clients, options.stops or options.clients
            fleet = Fleet(engine, options.containers, clients, stops, together=options.together)
            fleet.prepare()
            hangs, took = measure(fleet, options.rounds, options.kinds, options.network, options.dumps)
        finally:
            engine.stop()
    found = {
        "engine": f"{engine.name} {version}",
        "clients": clients,
        "stops": stops,
        "together": options.together,
        "containers": options.containers,
        "rounds": options.rounds,
        "kinds": options.kinds,
        "network": options.network,
        "hangs": [hang._asdict() for hang in hangs],
        "errors": len(fleet.errors),
        "seconds_per_round": round(statistics.median(took), 2) if took else None,
    }
    if options.json:
        options.json.write_text(json.dumps(found, indent=2), encoding="utf-8")
    print("\n".join(fleet.errors[:SHOWN_ERRORS]))
    how = f"{clients} clients, {stops} stops{', one command for all' if options.together else ''}"
    ended = f"{options.rounds} rounds, {len(hangs)} hangs, {len(fleet.errors)} errors"
    print(f"{found['engine']}: {how}: {ended}, {found['seconds_per_round']} s a round")


if __name__ == "__main__":
    enter_namespaces()
    main(parsed())
