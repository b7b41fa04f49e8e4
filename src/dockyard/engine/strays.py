"""Processes that an engine no longer knows of, and that keep one of its containers from starting.

If podman's client is killed while it starts a container, a monitor of a container that never ran is left. It waits
for ever, has the container's ports, and podman does not know of it: neither `stop` nor `rm --force` ends it. The
runtime that it names, runc or crun, does.

If dockerd and containerd are killed while they stop a container, its shim may be left. Docker says that the container
has exited, and containerd refuses to start it, as its task exists already, until the shim has ended.
"""

import os
import signal
import time
from collections.abc import Callable, Collection, Iterator
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
    for pid in _process_ids():
        try:
            found = _stray(pid, monitor)
        except (OSError, ValueError):  # it has ended, or may not be inspected
            continue
        if found and found.container in containers:
            yield found


def _stray(pid: int, monitor: str) -> Stray | None:
    """Return a process as a monitor, if it is one, and of this host: one in a container could name any program."""
    words = _words_of_program(pid, monitor)
    if not words:
        return None
    return Stray(pid, words[words.index("-c") + 1], (words[words.index("-r") + 1], *_runtime_flags(words)))


def _words_of_program(pid: int, program: str) -> list[str]:
    """Return the command line of a process that runs a program of this name in our namespaces; empty for another."""
    place = Path(f"/proc/{pid}")
    words = place.joinpath("cmdline").read_bytes().decode("utf-8", "surrogateescape").split("\0")[:-1]
    if not words or Path(words[0]).name != program or (place / "exe").readlink().name != program:
        return []
    spaces = ("mnt", "pid", "user")
    is_ours = all((place / "ns" / kind).readlink() == Path("/proc/self/ns", kind).readlink() for kind in spaces)
    return words if is_ours else []


def _runtime_flags(words: list[str]) -> Iterator[str]:
    for number, word in enumerate(words):
        if word == "--runtime-arg":
            yield words[number + 1]
        elif word.startswith("--runtime-arg="):
            yield word.partition("=")[2]


def end(stray: Stray) -> None:
    """End what a monitor watches, and wait until it has ended itself. Raises OSError if the runtime cannot start."""
    process.capture((*stray.runtime, "delete", "--force", stray.container), timeout=PATIENCE)
    deadline = time.monotonic() + PATIENCE
    while _is_there(stray.pid) and time.monotonic() < deadline:
        time.sleep(PAUSE)


def end_shim(program: str, container: str) -> list[int]:
    """End the shim of a container, by full id, and what still runs below it; returns the ids of the shims.

    Only for a container that the engine says is down: what runs below its shim then is what was to be stopped.
    """
    shims = [pid for pid in _process_ids() if _is_shim(pid, program, container)]
    for shim in shims:
        for child in _children(shim):
            _kill(child, lambda child=child, shim=shim: child in _children(shim))  # type: ignore[misc]
        _kill(shim, lambda shim=shim: _is_shim(shim, program, container))  # type: ignore[misc]
    deadline = time.monotonic() + PATIENCE
    while any(map(_is_there, shims)) and time.monotonic() < deadline:
        time.sleep(PAUSE)
    return shims


def _process_ids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _is_shim(pid: int, program: str, container: str) -> bool:
    try:
        words = _words_of_program(pid, program)
        return bool(words) and words[words.index("-id") + 1] == container
    except (OSError, ValueError, IndexError):  # it has ended, or is another's
        return False


def _children(pid: int) -> list[int]:
    try:
        lists = Path(f"/proc/{pid}/task").glob("*/children")
        return [int(word) for file in lists for word in file.read_text(encoding="ascii").split()]
    except OSError:
        return []


def _kill(pid: int, is_right: Callable[[], bool]) -> None:
    """Kill a process if it still is the right one: its descriptor stays valid if another process gets its id."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        if is_right():
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        os.close(descriptor)


def _is_there(pid: int) -> bool:
    try:
        Path(f"/proc/{pid}/exe").readlink()  # a zombie has none
    except OSError:
        return False
    return True
