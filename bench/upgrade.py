"""Compare the downtime of a good upgrade: `d upgrade X` with `docker compose up -d --build`, in turns.

    .venv/bin/python bench/upgrade.py [ROUNDS]

Run as root, with docker. The service is examples/web under another name and port, with the same Dockerfile, pages and
options for both; `d, stop first` is without its `start_first`. In each round its page is changed and it is upgraded,
while a client sends a request every 10 ms, with a new connection each time: status 200 with a page within a second
counts as answered. The downtime is the time from the first unanswered request to the last one. `compose` uses a typical
file, with the network that compose creates; `compose (bridge)` uses the engine's default bridge, as d does for services
without `network`. Each network has a second container that stays up: without it, the bridge is down while it has no
container, so that clients wait instead of being refused, and the downtime seems 120 ms shorter than on a host with more
services. `docker stop` and `docker start` of the same container show the time that the container itself needs. Prints
medians in ms, their range, and ratios of medians with their limits. Compose comes from compose.py.
"""

import json
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import compose
from common import DOCKER, PROGRAMS, REPOSITORY, prepare, report, run, with_own_state

NAME, NAME_STOP_FIRST, PROJECT = "dybench-web", "dybench-web-stop", "dybench-compose"
US, US_STOP_FIRST, THEM, THEM_ON_BRIDGE = "d upgrade", "d, stop first", "compose", "compose (bridge)"
BAR = 0.65
MARGIN = 150  # ms that an upgrade may take in addition to the container's stop and start
EVERY, PATIENCE = 0.01, 1.0  # seconds between two requests, and for an answer
SETTLED = 1.0  # seconds of requests before the upgrade, and after the new page is served


class Client:
    """Requests the page of a port every 10 ms, whether or not the last request has been answered."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.answers: dict[float, bytes] = {}
        self.is_asking = True
        self.thread = threading.Thread(target=self._ask_on)
        self.thread.start()

    def _ask_on(self) -> None:
        due = time.monotonic()
        while self.is_asking:
            threading.Thread(target=self._ask, args=(due,), daemon=True).start()
            due += EVERY
            time.sleep(max(0.0, due - time.monotonic()))

    def _ask(self, asked: float) -> None:
        self.answers[asked] = fetch(self.port)

    def stop(self) -> float:
        """Stop the requests, and return the downtime in seconds."""
        self.is_asking = False
        self.thread.join()
        time.sleep(PATIENCE)
        unanswered = [asked for asked, page in sorted(self.answers.items()) if not page]
        return unanswered[-1] - unanswered[0] + EVERY if unanswered else 0.0


def fetch(port: int) -> bytes:
    """Return the page at a port of this host; empty if there is none."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
    except OSError:
        return b""
    head, _, page = answer.partition(b"\r\n\r\n")
    return page if b" 200 " in head.partition(b"\r\n")[0] else b""


def await_page(port: int, text: str) -> None:
    """Wait until a port serves a page that contains a text."""
    deadline = time.monotonic() + 10
    while text.encode() not in fetch(port):
        if time.monotonic() > deadline:
            sys.exit(f"port {port} does not serve {text!r}")
        time.sleep(EVERY)


@contextmanager
def outage(port: int, text: str, found: list[float]) -> Iterator[None]:
    """Measure for how many milliseconds a port does not answer during the block, after which it serves a text."""
    client = Client(port)
    try:
        time.sleep(SETTLED)
        yield
        await_page(port, text)
        time.sleep(SETTLED)
    finally:
        took = client.stop()
    found.append(took * 1000)


def free_port() -> int:
    """Return an unused port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Way(NamedTuple):
    """A tool under test: the source, the port, and the command, which also launches the service at first."""

    name: str
    source: Path
    port: int
    upgrade: tuple[str, ...]
    end: tuple[str, ...]

    def change(self, text: str) -> None:
        """Change the page."""
        page = self.source / "files" / "srv" / "www" / "index.html"
        page.write_text(f"<h1>It works</h1>\n{text}\n", encoding="utf-8")


def copy_example(place: Path) -> Path:
    """Copy the example; a label identifies all images that are built from it."""
    shutil.copytree(REPOSITORY / "examples" / "web", place)
    shutil.copy2(REPOSITORY / "examples" / "from-debian", place.parent)
    subprocess.run(("./Build",), cwd=place, check=True, stdout=subprocess.DEVNULL)
    (place / "Build").unlink()  # rootfs/ exists: from here on both build only from the Dockerfile
    with (place / "Dockerfile").open("a", encoding="utf-8") as file:
        file.write(f"LABEL {PROJECT}=yes\n")
    return place


def ours(root: Path, way: str, name: str, *, start_first: bool) -> Way:
    """Create the service for d."""
    source, port, d = copy_example(root / "src" / name), free_port(), str(PROGRAMS / "d")
    settings = source / "settings.yaml"
    text = settings.read_text(encoding="utf-8").replace("8080:8080", f"{port}:8080")
    settings.write_text(text if start_first else text.replace("start_first: true", ""), encoding="utf-8")
    return Way(way, source, port, (d, "upgrade", name), (d, "down", name))


def composed(root: Path, name: str, project: str, **more: str) -> Way:
    """Create the same service for compose."""
    source, port = copy_example(root / project), free_port()
    service = {
        "build": str(source),
        "ports": [f"{port}:8080"],
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "mem_limit": "32m",
        "pids_limit": 20,
        **more,
    }
    file = root / f"{project}.yaml"
    neighbour = {"image": "ktools/base:latest", "command": ["sleep", "3600"], "stop_grace_period": "0s", **more}
    file.write_text(json.dumps({"services": {"web": service, "neighbour": neighbour}}), encoding="utf-8")
    argv = (*compose.COMPOSE, "--project-name", project, "--file", str(file))
    return Way(name, source, port, (*argv, "up", "--detach", "--build"), (*argv, "down"))


def by_hand(root: Path, port: int, text: str) -> dict[str, float]:
    """Stop and start our container directly; returns the milliseconds of each."""
    took = {}
    for verb in ("stop", "start"):
        began = time.perf_counter()
        run(DOCKER, verb, NAME, root=root)
        took[f"docker {verb}"] = (time.perf_counter() - began) * 1000
    await_page(port, text)
    return took


def clear(root: Path, ways: list[Way]) -> None:
    """Remove the containers and images of the bench."""
    for way in ways:
        run(*way.end, root=root, check=False)
    run(DOCKER, "rm", "--force", NAME, NAME_STOP_FIRST, root=root, check=False)
    images = run(DOCKER, "images", "--quiet", "--all", "--filter", f"label={PROJECT}", root=root).split()
    if images:
        run(DOCKER, "rmi", "--force", *dict.fromkeys(images), root=root, check=False)


def measured(root: Path, ways: list[Way], rounds: int) -> dict[str, list[float]]:
    """Measure in turns, so that noise affects all alike; the first round launches them, and does not count."""
    found: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        for way in ways:
            text = f"round {number}"
            way.change(text)
            times: list[float] = []
            with outage(way.port, text, times):
                run(*way.upgrade, root=root)
            if number:
                found.setdefault(way.name, []).extend(times)
            if number and way.name == US:
                for what, took in by_hand(root, way.port, text).items():
                    found.setdefault(what, []).append(took)
        ways = [*ways[1:], ways[0]]
    return found


def tell(found: dict[str, list[float]]) -> None:
    """Print the table, then each ratio with its limit."""
    medians = {name: statistics.median(times) for name, times in found.items()}
    for name, times in found.items():
        print(f"{name:17} {medians[name]:6.0f} ms  ({min(times):.0f} to {max(times):.0f})")
    itself = medians["docker stop"] + medians["docker start"]
    print(f"the container's own stop and start, and {MARGIN} ms: {itself + MARGIN:.0f} ms")
    report("outage", medians[US] / (itself + MARGIN), f"stop + start + {MARGIN} ms", 1.0)
    report("outage", medians[US_STOP_FIRST] / medians[THEM], f"{THEM}, without start_first")
    report("outage", medians[US] / medians[THEM_ON_BRIDGE], THEM_ON_BRIDGE)
    report("outage", medians[US] / medians[THEM], THEM, BAR)


def main(rounds: int) -> None:
    """Measure and print."""
    version = compose.ready()
    with tempfile.TemporaryDirectory(prefix="dybench-") as directory:
        root = Path(directory)
        prepare(root)
        plain = composed(root, THEM, PROJECT)
        bridge = composed(root, THEM_ON_BRIDGE, f"{PROJECT}-bridge", network_mode="bridge")
        mine = ours(root, US, NAME, start_first=True)
        ways = [mine, ours(root, US_STOP_FIRST, NAME_STOP_FIRST, start_first=False), plain, bridge]
        print(f"{rounds} rounds, compose {version}")
        try:
            found = measured(root, ways, rounds)
        finally:
            clear(root, ways)
    tell(found)


if __name__ == "__main__":
    with_own_state()
    main(int(sys.argv[1]) if sys.argv[1:] else 9)
