"""Freezes a container's cgroup while its layer is read, never for longer than a cap.

A separate process, the guard, does it: even if the scan is killed or hangs on a disk, the guard thaws the container
when the cap is over, or as soon as the scan has ended.
"""

import errno
import os
import select
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple, Self

from dockyard.errors import DockyardError

CAP = 0.1  # seconds for which a container may be frozen
PATIENCE = 0.05  # seconds for all of its processes to freeze
SWITCHES = (
    ("freezer", Path("/sys/fs/cgroup/freezer"), "freezer.state", b"FROZEN", b"THAWED", "freezer.state", b"FROZEN"),
    ("", Path("/sys/fs/cgroup"), "cgroup.freeze", b"1", b"0", "cgroup.events", b"frozen 1"),
    ("", Path("/sys/fs/cgroup/unified"), "cgroup.freeze", b"1", b"0", "cgroup.events", b"frozen 1"),
)
"""Version 1 of control groups, version 2, and both side by side: controller, where they are, how one is frozen and
thawed, and where it is told that nothing moves any more (Documentation/admin-guide/cgroup-{v1,v2} of Linux)."""


class Group(NamedTuple):
    """A container's control group, and how it is frozen."""

    path: Path
    switch: str
    on: bytes
    off: bytes
    state: str
    still: bytes

    def is_still(self) -> bool:
        """Return whether nothing in it moves."""
        return self.still in (self.path / self.state).read_bytes()

    def set(self, value: bytes) -> None:
        """Freeze or thaw it."""
        (self.path / self.switch).write_bytes(value)

    def thaw(self) -> None:
        """Thaw it; one that no longer exists needs nothing."""
        try:
            self.set(self.off)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENODEV}:
                raise

    def processes(self) -> list[int]:
        """Return the processes in it and in all groups below it, as the host numbers them."""
        found = (file.read_text(encoding="ascii").split() for file in self.path.rglob("cgroup.procs"))
        return sorted({int(pid) for pids in found for pid in pids})


def group_of(identifier: str, pid: int) -> Group:
    """Return the control group of a container: the one that is called after it, however deep its processes are in it.

    Raises DockyardError where there is none that can be frozen.
    """
    try:
        table = Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise DockyardError(f"its control group cannot be determined: {error.strerror}") from None
    for controller, top, *how in SWITCHES:
        for line in table.splitlines():
            _, controllers, path = line.split(":", 2)
            own = _own(path, identifier)
            if controller in controllers.split(",") and own and (top / own / str(how[0])).exists():
                return Group(top / own, *how)  # type: ignore[arg-type]
    raise DockyardError("its control group cannot be frozen here")


def _own(path: str, identifier: str) -> str:
    """Return the part of a path that ends with the group of a container."""
    parts = path.strip("/").split("/")
    places = [place for place, part in enumerate(parts) if identifier in part]
    return "/".join(parts[: places[0] + 1]) if places else ""


class Pause:
    """How long a container was frozen, in seconds, and whether until everything was read."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.was_whole = False


class Freezer:
    """Freezes one container at a time, through a guard that it starts at the first; `close` ends the guard.

    `guard` is the number of its process.
    """

    def __init__(self, cap: float = CAP) -> None:
        self.cap = cap
        self._guard: socket.socket | None = None
        self.guard = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def frozen(self, group: Group) -> Iterator[Pause]:
        """Freeze a container during the block; the result says whether it stayed frozen.

        Raises DockyardError if it cannot be frozen, or is already frozen.
        """
        answer = self._asked(group, os.fsencode(f"{group.path}\0{self.cap}\0") + _packed(group))
        if answer != "frozen":
            raise DockyardError(f"it could not be frozen: {answer or 'its guard process has ended'}")
        pause = Pause()
        try:
            yield pause
        finally:
            seconds, _, how = self._asked(group, b"thaw").partition(" ")
            pause.seconds, pause.was_whole = float(seconds or 0), how == "whole"

    def close(self) -> None:
        """End the guard."""
        if self._guard is None:
            return
        self._guard.close()
        self._guard = None
        with suppress(ChildProcessError):
            os.waitpid(self.guard, 0)

    def _asked(self, group: Group, message: bytes) -> str:
        """Return the guard's answer; empty if the guard has ended, and then the group is thawed."""
        guard = self._guard or self._start()
        answer = b""
        with suppress(OSError):
            guard.send(message)
            answer = guard.recv(4096)
        if not answer:
            self.close()
            group.thaw()
        return answer.decode()

    def _start(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.guard = os.fork()
        if self.guard:
            theirs.close()
            self._guard = ours
            return ours
        try:
            ours.close()
            _be_a_guard(theirs)
        finally:
            os._exit(0)


def _packed(group: Group) -> bytes:
    return b"\0".join((group.switch.encode(), group.on, group.off, group.state.encode(), group.still))


def _unpacked(message: bytes) -> tuple[Group, float]:
    path, cap, switch, on, off, state, still = message.split(b"\0")
    return Group(Path(os.fsdecode(path)), switch.decode(), on, off, state.decode(), still), float(cap)


def _be_a_guard(asker: socket.socket) -> None:
    """Freeze and thaw on request, until the scan has ended. An interrupt is for the scan, not for its guard."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    while message := asker.recv(4096):
        group, cap = _unpacked(message)
        try:
            _freeze(group)
        except OSError as error:
            asker.send(str(error.strerror or error).encode())
            continue
        began = time.monotonic()
        try:
            asker.send(b"frozen")
            in_time, _, _ = select.select([asker], [], [], cap)
            is_whole = in_time and _is_still(group)
        finally:
            group.thaw()
        seconds = time.monotonic() - began
        if not asker.recv(4096):
            return
        asker.send(f"{seconds} {'whole' if is_whole else 'cut'}".encode())


def _is_still(group: Group) -> bool:
    """Return whether it is still frozen."""
    try:
        return group.is_still()
    except OSError:
        return False


def _freeze(group: Group) -> None:
    """Freeze a group and wait until it is frozen; if that takes too long, thaws it and raises OSError.

    A group that is already frozen is not touched: it was paused on purpose.
    """
    if group.is_still():
        raise OSError(errno.EBUSY, "it is frozen already")
    deadline = time.monotonic() + PATIENCE
    try:
        group.set(group.on)
        while not group.is_still():
            _check_time(deadline)
            time.sleep(0.0005)
    except BaseException:
        with suppress(OSError):
            group.set(group.off)
        raise


def _check_time(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError(f"its processes did not freeze within {PATIENCE * 1000:.0f} ms")
