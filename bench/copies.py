"""Compare launching a test instance on a copy of production's data, small and large, with doing it by hand.

    .venv/bin/python bench/copies.py [ROUNDS [LARGE-MB [DIRECTORY]]]

Run as root, with a running engine. Creates two services whose data is mounted with `mount_persistent_test_copy_files`,
10 MB for one and LARGE-MB (5120) for the other, below DIRECTORY (default: a temporary one), and launches each in turn
with `d-run -DT`. By hand means `cp -a` and `docker run`, on the same data. Prints medians in seconds, the ratio of
large to small, and the disk space of a copy.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

PROGRAMS = Path(sys.executable).parent
ENGINE = os.environ.get("DOCKER_EXEC", "docker")
IMAGE = "ktools/base:latest"
SMALL = 10  # MB
BY_HAND = 3  # rounds: they take minutes
FILE = 8  # MB of one file
NAME = "dockyard-bench-{}"


def fill(directory: Path, megabytes: int) -> None:
    """Write files that share no blocks with each other."""
    directory.mkdir(parents=True)
    block = os.urandom(1024 * 1024)
    for number in range(0, megabytes, FILE):
        with (directory / f"{number:06}").open("wb") as file:
            for part in range(min(FILE, megabytes - number)):
                file.write(f"{number + part:016}".encode() + block[16:])


def make_service(root: Path, size: int) -> str:
    """Create a service with this many MB of data, and return its name."""
    name = NAME.format(size)
    (root / "src" / name).mkdir(parents=True)
    settings = {
        "image": IMAGE,
        "cmd": "sleep 600",
        "mount_persistent_test_copy_files": ["data:/data"],
        "network": "none",
        "stop_timeout": 0,
    }
    (root / "src" / name / "settings.yaml").write_text(json.dumps(settings))
    fill(root / "vol" / name / "data", size)
    return name


def seconds(work: Callable[[], object]) -> float:
    """Return the duration of a function."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def run(*argv: str, root: Path) -> None:
    """Run a command; it must succeed."""
    environment = {**os.environ, "D_SRC_DIR": str(root / "src"), "DOCKER_VOL_BASE": str(root / "vol")}
    subprocess.run(argv, env=environment, check=True, capture_output=True)


def free(root: Path) -> int:
    """Return the free bytes of the file system after a sync."""
    os.sync()
    status = os.statvfs(root)
    return status.f_bfree * status.f_frsize


def launched(root: Path, name: str) -> tuple[float, int]:
    """Launch a test instance and stop it; returns the seconds until it is up, and its bytes on disk."""
    before = free(root)
    took = seconds(lambda: run(str(PROGRAMS / "d-run"), "-DT", "--no-fg", "--cd", name, root=root))
    used = before - free(root)
    run(str(PROGRAMS / "d"), "down", f"test-{name}", root=root)
    return took, used


def by_hand(root: Path, name: str) -> tuple[float, int]:
    """Copy and launch by hand; returns the same."""
    copy = root / "vol" / "by-hand"
    before = free(root)
    mount = f"type=bind,source={copy},target=/data"
    container = f"{name}-by-hand"

    def work() -> None:
        run("cp", "-a", str(root / "vol" / name / "data"), str(copy), root=root)
        options = ("-d", "--rm", "--name", container, "--network", "none", "--mount", mount)
        run(ENGINE, "run", *options, IMAGE, "sleep", "600", root=root)

    took = seconds(work)
    used = before - free(root)
    run(ENGINE, "rm", "-f", container, root=root)
    shutil.rmtree(copy)
    return took, used


def main(rounds: int, large: int, place: str | None) -> None:
    """Measure in turns, so that noise affects all alike, and print."""
    with tempfile.TemporaryDirectory(prefix="dockyard-bench-", dir=place) as directory:
        root = Path(directory)
        names = [make_service(root, size) for size in (SMALL, large)]
        ways = {"d-run -DT": launched, "cp -a; docker run": by_hand}
        found: dict[tuple[str, str], list[tuple[float, int]]] = {}
        for number in range(rounds):
            for way, work in ways.items():
                for name in names:
                    if work is by_hand and number >= BY_HAND:
                        continue
                    found.setdefault((way, name), []).append(work(root, name))
        for way in ways:
            medians = [statistics.median(took for took, _ in found[way, name]) for name in names]
            for size, name, median in zip((SMALL, large), names, medians, strict=True):
                used = statistics.median(used for _, used in found[way, name])
                print(f"{way:18} {size:6} MB  {median:7.3f} s  disk {used / 1e6:9.2f} MB")
            print(f"{way:18} large to small  {medians[1] / medians[0]:5.2f} x\n")


if __name__ == "__main__":
    rounds, large, place, *_ = [*sys.argv[1:], "", "", ""]
    main(int(rounds or 9), int(large or 5120), place or None)
