"""Measure a container's scan as a multiple of `docker diff`, of many containers, and its memory for very many entries.

    .venv/bin/python bench/scan.py [ROUNDS [CONTAINERS [ENTRIES [ALERTS]]]]

Run as root, with docker. Creates containers with new files on a small image, with edited files of the image (same size,
other bytes), and without changes on an image of 100,000 files. A scan is `dockyard.scan` within a running program:
finding the layers, the walk, the rules, the verdict; a walk is only that part of it. `d-cowscan` is the whole program,
which scans all running containers. There are ALERTS of removed containers, and in the measurement of many containers
also of existing ones. Prints medians in ms, their range, and the ratios with their limits. Memory is the maximum
(VmHWM) of a separate process after a walk of ENTRIES empty files.
"""

import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from common import DOCKER, PROGRAMS, environment, prepare, report, run, with_own_state
from filled import fill_alerts

from dockyard.layers.store import store_of
from dockyard.scan import alert_store
from dockyard.scan.freeze import Freezer
from dockyard.scan.layer import Walk
from dockyard.scan.scan import Options, scan
from dockyard.scan.where import Place, place_of
from dockyard.yard import Yard

BASE, PREFIX = "ktools/base:latest", "dybench-scan-"
AT_ONCE = 8
FEW, MANY = 10_000, 100_000
IN_EACH = 500  # files of a directory
IN_ONE = 200_000  # files of one directory, among the very many
DIFF, PROGRAM, SCAN, FIND, ONLY_WALK = "docker diff", "d-cowscan", "scan", "find -printf", "walk"
WALK = """
import sys
from dockyard.scan.freeze import Freezer
from dockyard.scan.layer import Walk
walk = Walk(sys.argv[1], [sys.argv[2]], defer=True)
count = sum(1 for _ in walk.changes()) + sum(1 for _ in walk.compare())
assert walk.is_complete and count >= int(sys.argv[3]), (count, walk.unjudged)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


class Case(NamedTuple):
    """A container: the number of files in its image, its changes, and its scan's limit relative to `docker diff`."""

    files: int
    new: int = 0
    edited: int = 0
    bar: float = 0.5

    def __str__(self) -> str:
        changed = f"{self.new} new" if self.new else f"{self.edited} edited" if self.edited else "clean"
        return f"{changed}, on {self.files} files"


CASES = (Case(MANY, bar=1 / 500), Case(0, new=FEW), Case(0, new=MANY), Case(FEW, edited=FEW), Case(MANY, edited=MANY))


def image(root: Path, files: int) -> str:
    """Build an image with this many files in `/files`, and return its name."""
    if not files:
        return BASE
    name, place = f"{PREFIX}files:{files}", root / f"image-{files}"
    if place.exists():
        return name
    place.mkdir()
    with tarfile.open(place / "files.tar", "w") as tar:
        for number in range(files):
            data = f"{number:064}".encode()
            member = tarfile.TarInfo(f"files/{number // IN_EACH}/{number}")
            member.size, member.mtime = len(data), 1_700_000_000
            tar.addfile(member, io.BytesIO(data))
    (place / "Dockerfile").write_text(f"FROM {BASE}\nADD files.tar /\n", encoding="utf-8")
    run(DOCKER, "build", "--quiet", "--tag", name, str(place), root=root)
    return name


@contextmanager
def container(root: Path, case: Case) -> Iterator[str]:
    """Create the container of a case, and yield its name."""
    name = f"{PREFIX}{case.files}-{case.new}-{case.edited}"
    try:
        start(root, name, image(root, case.files))
        inside = Path("/proc") / run(DOCKER, "inspect", "--format", "{{.State.Pid}}", name, root=root).strip() / "root"
        for number in range(case.new):
            directory = inside / f"new/{number // IN_EACH}"
            if not number % IN_EACH:
                directory.mkdir(parents=True)
            (directory / str(number)).write_bytes(b"new")
        for number in range(case.edited):
            (inside / f"files/{number // IN_EACH}/{number}").write_bytes(b"%064d" % (number + 1))
        yield name
    finally:
        run(DOCKER, "rm", "--force", "--volumes", name, root=root, check=False)


def start(root: Path, name: str, of: str) -> None:
    """Start a container that does nothing."""
    run(DOCKER, "run", "--detach", "--network", "none", "--name", name, of, "sleep", "7200", root=root)


def milliseconds(call: Callable[[], object]) -> float:
    """Measure one call."""
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def program(*argv: str, root: Path, codes: tuple[int, ...] = (0,)) -> Callable[[], object]:
    """Return a call of a program that must end with one of these exit codes."""

    def called() -> None:
        done = subprocess.run(argv, env=environment(root), stdout=subprocess.DEVNULL, check=False)
        if done.returncode not in codes:
            sys.exit(f"{' '.join(argv)}: exit code {done.returncode}")

    return called


def scanner(name: str, expected: int) -> tuple[Callable[[], object], Place]:
    """Return a call that scans a container and must find this many files, and the place of its layers."""
    engine = Yard().engine
    one = next(iter(engine.containers([name])))
    freezer, options, store = Freezer(), Options(), store_of(engine)

    def called() -> None:
        found = scan(one, store, options, freezer=freezer)
        told = len(found.findings) + found.omitted
        if told < expected or found.unjudged or (told and not expected):
            sys.exit(f"{name}: {told} findings, not {expected}, {dict(found.unjudged)}")

    return called, place_of(one)


def compare(root: Path, case: Case, rounds: int) -> None:
    """Measure one container in turns, so that noise affects all alike, and print the result."""
    with container(root, case) as name:
        scanned, place = scanner(name, case.new or case.edited)
        calls = {
            DIFF: program(DOCKER, "diff", name, root=root),
            ONLY_WALK: lambda: sum(1 for _ in Walk(place.upper, place.layers).changes()),
            SCAN: scanned,
            PROGRAM: program(str(PROGRAMS / PROGRAM), "--json", root=root, codes=(0, 1)),
            FIND: program("find", place.upper, "-printf", "%p %s %m %U %G\\n", root=root),
        }
        scanned()  # once before, so that the files that all of them read are cached
        times: dict[str, list[float]] = {what: [] for what in calls}
        for _ in range(rounds):
            for what, call in calls.items():
                times[what].append(milliseconds(call))
    medians = {what: statistics.median(values) for what, values in times.items()}
    print(f"{case}:")
    for what, values in times.items():
        print(f"  {what:16} {medians[what]:9.2f} ms  ({min(values):.2f} to {max(values):.2f})")
    for what in (SCAN, PROGRAM):
        print(f"  {DIFF} takes {medians[DIFF] / medians[what]:.1f} times as long as {what}")
    if case.new + case.edited:
        report(f"  {ONLY_WALK}", medians[ONLY_WALK] / medians[DIFF], DIFF, case.bar)
        report(f"  {SCAN}", medians[SCAN] / medians[DIFF], DIFF, case.bar)
        report(f"  {PROGRAM}", medians[PROGRAM] / medians[DIFF], DIFF)
        report(f"  {SCAN}", medians[SCAN] / medians[FIND], FIND, 10 if case.new == MANY else None)
    else:
        print(f"  (bar: 500 times as long as {SCAN})")


def forget_alerts() -> None:
    """Remove the alerts of removed containers, which would stay raised. The state belongs to the bench."""
    for file in alert_store.path().parent.glob("alerts.db*"):
        file.unlink()


def many(root: Path, count: int, rounds: int, alerts: int) -> None:
    """Measure the program with this many running, unchanged containers, without alerts and with very many."""
    names = [f"{PREFIX}idle-{number}" for number in range(count)]
    try:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda name: start(root, name, BASE), names))
        forget_alerts()
        empty = measured_scans(root, rounds)
        forget_alerts()
        fill_alerts(alerts, names)
        first, *filled = measured_scans(root, rounds + 1)
    finally:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda name: run(DOCKER, "rm", "--force", name, root=root, check=False), names))
    what = f"{PROGRAM} with {count} clean containers"
    for stored, times in ((0, empty), (alerts, filled)):
        peak = max(one.megabytes for one in times)
        values = [one.elapsed for one in times]
        spread = f"{min(values):.0f} to {max(values):.0f}"
        print(f"{what}, {stored} alerts: {statistics.median(values):.0f} ms ({spread}; bar 1500), {peak:.0f} MB")
    print(f"  the first scan, which summarizes the alerts: {first.elapsed:.0f} ms, {first.megabytes:.0f} MB")
    for field in ("elapsed", "processor"):
        medians = [statistics.median(getattr(one, field) for one in times) for times in (filled, empty)]
        report(f"{what}, {alerts} alerts, {field} time", medians[0] / medians[1], "with none", 1.2)


class Cost(NamedTuple):
    """The cost of a scan: elapsed ms, processor ms, and maximum MB."""

    elapsed: float
    processor: float
    megabytes: float


def measured_scans(root: Path, rounds: int) -> list[Cost]:
    """Return the cost of several scans of everything."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        scan_process = subprocess.Popen([str(PROGRAMS / PROGRAM)], env=environment(root), stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(scan_process.pid, 0)
        if os.waitstatus_to_exitcode(status) not in {0, 1}:
            sys.exit(f"{PROGRAM}: exit code {os.waitstatus_to_exitcode(status)}")
        elapsed, processor = time.perf_counter() - began, usage.ru_utime + usage.ru_stime
        found.append(Cost(elapsed * 1000, processor * 1000, usage.ru_maxrss / 1024))
    return found


def memory(root: Path, entries: int) -> None:
    """Walk very many files, including one large directory, in a separate process, and print its memory."""
    upper, lower = root / "upper", root / "lower"
    lower.mkdir()
    for directory, count in _places(upper, entries):
        directory.mkdir(parents=True)
        above = os.open(directory, os.O_RDONLY)
        for number in range(count):
            os.mknod(f"a-file-of-many-{number}", dir_fd=above)
        os.close(above)
    took = run(sys.executable, "-c", WALK, str(upper), str(lower), str(entries), root=root)
    print(f"memory of a walk of {entries} entries: {int(took) / 1024:.1f} MB (bar 64)")


def _places(upper: Path, entries: int) -> Iterator[tuple[Path, int]]:
    yield upper / "large", min(IN_ONE, entries)
    rest = max(0, entries - IN_ONE)
    for number in range(0, rest, IN_EACH):
        yield upper / f"small/{number // IN_EACH}", min(IN_EACH, rest - number)


def main(rounds: int, containers: int, entries: int, alerts: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory(prefix="dybench-") as directory:
        root = Path(directory)
        (root / "src").mkdir()
        prepare(root)
        running = json.loads(f"[{','.join(run(DOCKER, 'ps', '--format', '{{json .Names}}', root=root).split())}]")
        print(f"{rounds} rounds; {len(running)} other containers run, which d-cowscan scans as well")
        try:
            fill_alerts(alerts, [])
            for case in CASES:
                compare(root, case, rounds)
            many(root, containers, rounds, alerts)
        finally:
            run(DOCKER, "rmi", *(f"{PREFIX}files:{files}" for files in (FEW, MANY)), root=root, check=False)
        memory(root, entries)


if __name__ == "__main__":
    with_own_state()
    rounds, containers, entries, alerts, *_ = [*sys.argv[1:], "", "", "", ""]
    main(int(rounds or 5), int(containers or 100), int(entries or 1_000_000), int(alerts or 1_000_000))
