"""What is left where podman's client is killed while it starts a container: a monitor of a container that never ran.

It waits for ever, has the container's ports, and podman does not know of it: neither `stop` nor `rm --force` ends it.
The runtime that it names, runc or crun, does.
"""

import os
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from dockyard import process

PATIENCE = 5.0  # seconds for a monitor to end after what it watches
PAUSE = 0.02


class Stray(NamedTuple):
    """A monitor, the container that it is of, and what begins a command of its runtime."""

    pid: int
    container: str
    runtime: tuple[str, ...]


def strays(monitor: str, containers: Collection[str]) -> Iterator[Stray]:
    """Yield the monitors, processes of a program called so, of containers that are known not to be up, by full id."""
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                found = _stray(int(entry.name), monitor)
            except (OSError, ValueError):  # it has ended, or is not ours to look at
                continue
            if found and found.container in containers:
                yield found


def _stray(pid: int, monitor: str) -> Stray | None:
    """Return a process as a monitor, if it is one, and of this host: one in a container could name any program."""
    place = Path(f"/proc/{pid}")
    words = place.joinpath("cmdline").read_bytes().decode("utf-8", "surrogateescape").split("\0")[:-1]
    if not words or Path(words[0]).name != monitor or (place / "exe").readlink().name != monitor:
        return None
    if any(
        (place / "ns" / kind).readlink() != Path("/proc/self/ns", kind).readlink() for kind in ("mnt", "pid", "user")
    ):
        return None
    return Stray(pid, words[words.index("-c") + 1], (words[words.index("-r") + 1], *_runtime_flags(words)))


def _runtime_flags(words: list[str]) -> Iterator[str]:
    for number, word in enumerate(words):
        if word == "--runtime-arg":
            yield words[number + 1]
        elif word.startswith("--runtime-arg="):
            yield word.partition("=")[2]


def end(stray: Stray) -> None:
    """End what a monitor watches, and wait until it has ended itself. Raises OSError where the runtime cannot start."""
    process.capture((*stray.runtime, "delete", "--force", stray.container), timeout=PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while _is_there(stray.pid) and time.monotonic() < deadline:
        time.sleep(PAUSE)


def _is_there(pid: int) -> bool:
    try:
        Path(f"/proc/{pid}/exe").readlink()  # one that has ended, and that nobody has waited for, has none
    except OSError:
        return False
    return True
