"""Measure `d outdated`, and `d upgrade-all` without updates, for fifty services on ten repositories of a registry.

    .venv/bin/python bench/outdated.py [ROUNDS [SERVICES]]

Run as root, with docker, and docker-registry on PATH (`scripts/setup registry` downloads it). Prints medians in ms: `d
outdated` cold (nothing cached), warm and `--offline`; `d upgrade-all` without updates, and the same `--offline`; the
number of requests that the registry got for each; and the ratio of both upgrades, with its limit.
"""

import json
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from common import DOCKER, PROGRAMS, prepare, report, run, with_own_state

from dockyard.secrets import state_directory

REPOSITORIES, BAR = 10, 1.5
D = str(PROGRAMS / "d")


def free_port() -> int:
    """Return an unused port."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def registry(root: Path) -> Iterator[tuple[str, Path]]:
    """Run a registry; yields its address, and its log with a line for each request."""
    program = shutil.which("docker-registry") or sys.exit("docker-registry is not on PATH")
    address = f"127.0.0.1:{free_port()}"
    configuration = {
        "version": "0.1",
        "log": {"accesslog": {"disabled": False}, "level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(root / "registry")}},
        "http": {"addr": address},
    }
    (root / "registry.yml").write_text(json.dumps(configuration))
    log = root / "registry.log"
    with (
        log.open("w") as file,
        subprocess.Popen([program, "serve", str(root / "registry.yml")], stdout=file, stderr=file) as child,
    ):
        try:
            time.sleep(1)
            yield address, log
        finally:
            child.terminate()


def requests(log: Path, since: int) -> dict[str, int]:
    """Return how many requests of each method the registry got since a position of its log."""
    found: dict[str, int] = {}
    with log.open() as file:
        file.seek(since)
        for method in re.findall(r'"(GET|HEAD|POST|PUT|PATCH) /v2/', file.read()):
            found[method] = found.get(method, 0) + 1
    return found


def measure(  # noqa: PLR0913 - the command, its place, and its count
    name: str, command: tuple[str, ...], root: Path, log: Path, rounds: int, *, cold: bool = False
) -> float:
    """Run a command several times, print its median and the requests of one run, and return the median in ms."""
    times, asked = [], {}
    for _ in range(rounds):
        if cold:
            (state_directory() / "upstream.json").unlink(missing_ok=True)
        before = log.stat().st_size
        began = time.perf_counter()
        done = run(*command, root=root, check=False)
        times.append(1000 * (time.perf_counter() - began))
        asked = requests(log, before)
        if "Traceback" in done:
            sys.exit(done)
    median = statistics.median(times)
    print(f"{name}: {median:.0f} ms ({min(times):.0f} to {max(times):.0f}); requests: {asked or 'none'}", flush=True)
    return median


def main(rounds: int = 5, services: int = 50) -> None:
    """Create the services, and measure."""
    with_own_state()
    with tempfile.TemporaryDirectory(prefix="dybench-") as place, registry(Path(place)) as (address, log):
        root = Path(place)
        prepare(root)
        names = [f"{address}/base{number}:1" for number in range(REPOSITORIES)]
        for number, name in enumerate(names):
            context = root / f"base{number}"
            context.mkdir()
            (context / "Dockerfile").write_text("FROM scratch\nCOPY number /number\n")
            (context / "number").write_text(str(number))
            run(DOCKER, "build", "--quiet", "--tag", name, str(context), root=root)
            run(DOCKER, "push", "--quiet", name, root=root)
        for number in range(services):
            directory = root / "src" / f"dybench-{number:02}"
            directory.mkdir(parents=True)
            (directory / "Dockerfile").write_text(f"FROM {names[number % REPOSITORIES]}\n")
            (directory / "Test").write_text("#!/bin/sh\n")
            (directory / "Test").chmod(0o755)
            (directory / "settings.yaml").write_text("cmd: /none\n")
        run(D, "upgrade-all", root=root, check=False)
        try:
            measure("d outdated, cold", (D, "outdated"), root, log, rounds, cold=True)
            measure("d outdated, warm", (D, "outdated"), root, log, rounds)
            measure("d outdated --offline", (D, "outdated", "--offline"), root, log, rounds)
            alone = measure("d upgrade-all --offline", (D, "upgrade-all", "--offline"), root, log, rounds)
            asking = measure("d upgrade-all, nothing new", (D, "upgrade-all"), root, log, rounds)
            report("d upgrade-all, nothing new", asking / alone, "d upgrade-all --offline", BAR)
        finally:
            made = run(DOCKER, "images", "--quiet", "--filter", "reference=*/dybench-*", root=root).split()
            run(DOCKER, "rmi", "--force", *{*made}, *names, root=root, check=False)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
