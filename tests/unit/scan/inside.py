"""A container without an engine: a process in its own mount namespace, whose root is a real overlay."""

import ctypes
import os
import pickle
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dockyard.scan.layer import TOUCHED, Change, Walk
from dockyard.scan.where import Place, place_in

_LIBRARY = ctypes.CDLL(None, use_errno=True)
_NEW_MOUNTS, _PRIVATE, _RECURSIVE, _EXCHANGE = 0x20000, 1 << 18, 1 << 14, 2


class Container:
    """One that runs; `image` and `later` are its image's layers, `later` the upper one."""

    def __init__(self, top: Path) -> None:
        self.image, self.later, self.upper = top / "image", top / "later", top / "upper"
        self.merged, self.quarantine = top / "merged", top / "quarantine"
        self._work = top / "work"
        for path in (self.image, self.later, self.upper, self.merged, self._work):
            path.mkdir()
        self.pid = 0

    def start(self) -> None:
        """Mount its layers, and start its first process, which does nothing."""
        sides = f"lowerdir={self.later}:{self.image},upperdir={self.upper},workdir={self._work}"
        subprocess.run(("mount", "-t", "overlay", "overlay", "-o", sides, self.merged), check=True)  # noqa: S607
        reader, writer = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            try:
                _enter_own_mounts(self.merged)
                os.write(writer, b".")
                signal.pause()
            finally:
                os._exit(1)
        os.close(writer)
        assert os.read(reader, 1) == b"."
        os.close(reader)

    def stop(self) -> None:
        """End it, and unmount its layers."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        subprocess.run(("umount", "-l", self.merged), check=True)  # noqa: S607

    @property
    def place(self) -> Place:
        """Where its layers are, as the kernel tells."""
        found = place_in(Path(f"/proc/{self.pid}/mountinfo").read_bytes())
        assert found
        return found

    def do(self, work: Callable[[], Any]) -> Any:  # noqa: ANN401 - whatever is asked for
        """Return what a function returns that is called inside."""
        reader, writer = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.chroot(f"/proc/{self.pid}/root")
                os.chdir("/")
                os.write(writer, pickle.dumps(work()))
                os._exit(0)
            finally:
                os._exit(1)
        os.close(writer)
        with os.fdopen(reader, "rb") as file:
            answer = file.read()
        assert os.waitpid(child, 0)[1] == 0
        return pickle.loads(answer)  # noqa: S301 - our own

    @contextmanager
    def swapping(self, *pairs: tuple[str, str]) -> Iterator[None]:
        """Have a process inside exchange the entries of each pair, again and again, during the block."""
        child = os.fork()
        if not child:
            try:
                os.chroot(f"/proc/{self.pid}/root")
                exchange_for_ever(pairs)
            finally:
                os._exit(1)
        try:
            yield
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)

    def changes(self) -> list[Change]:
        """Return what a scan reports."""
        walk = Walk(self.place.upper, self.place.layers)
        found = [change for change in walk.changes() if change.what != TOUCHED]
        assert walk.is_complete, walk.unjudged
        return found


def _enter_own_mounts(root: Path) -> None:
    assert _LIBRARY.unshare(_NEW_MOUNTS) == 0
    assert _LIBRARY.mount(b"none", b"/", None, ctypes.c_ulong(_PRIVATE | _RECURSIVE), None) == 0
    os.chroot(root)
    os.chdir("/")


def exchange_for_ever(pairs: tuple[tuple[str, str], ...]) -> None:
    """Exchange the entries of each pair."""
    names = [(os.fsencode(one), os.fsencode(other)) for one, other in pairs]
    while True:
        for one, other in names:
            _LIBRARY.renameat2(-100, one, -100, other, _EXCHANGE)
