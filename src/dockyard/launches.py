"""Launches under way on this host: what each is about to write to, so that two at the same moment see each other.

An engine lists a container only once it is up. A launch holds this register for the moment in which the
containers are compared and the launch is added; the launch counts until it has ended, or its process is gone.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from dockyard import lock
from dockyard.errors import DockyardError
from dockyard.lock import born, command_line
from dockyard.plan.facts import Location
from dockyard.plan.isolation import Kind
from dockyard.plan.writers import Holder, Use
from dockyard.state_file import lock_file

NANOSECONDS = 1_000_000_000
KEPT_SECONDS = 300
"""For how long the register remembers a launch that has ended: longer than anyone uses a list of containers."""


class Launch(NamedTuple):
    """A launch; `began` and `ended` are of the system's monotonic clock in ns, `born` is when its process started."""

    holder: Holder
    pid: int
    born: int
    began: int
    ended: int = 0

    @property
    def is_under_way(self) -> bool:
        """Whether its process is still at it."""
        return not self.ended and self.born == born(self.pid)


class Register:
    """The launches under way, and those that have ended lately. The host-wide lock is held."""

    def __init__(self, launches: list[Launch]) -> None:
        self.launches = launches

    def holders(self, since: int) -> list[Holder]:
        """Return what launches use that a list of containers from that moment need not show."""
        return [one.holder for one in self.launches if one.is_under_way or one.ended > since]

    def add(self, holder: Holder) -> Launch:
        """Add a launch of this process."""
        pid = os.getpid()
        ours = holder._replace(launch=f"`{command_line()}`, pid {pid},")
        launch = Launch(ours, pid, born(pid), time.monotonic_ns())
        self.launches.append(launch)
        return launch

    def end(self, launch: Launch) -> None:
        """Note that a launch has ended, and forget those that ended long ago or whose process is gone."""
        now = time.monotonic_ns()
        ended = [one._replace(ended=now) if one == launch else one for one in self.launches]
        self.launches = [one for one in ended if one.is_under_way or one.ended > now - KEPT_SECONDS * NANOSECONDS]


@contextmanager
def open_register() -> Iterator[Register]:
    """Hold the host-wide lock for the block, with the register read; what the block has changed is saved.

    Raises DockyardError if the register cannot be used.
    """
    path = lock.directory() / "launches"
    try:
        descriptor = lock_file(path)
    except OSError as error:
        raise DockyardError(
            f"{path}: {error.strerror}", hint="dockyard lists current launches there; check its permissions"
        ) from None
    try:
        register = Register(_read(descriptor))
        before = list(register.launches)
        yield register
        if register.launches != before:
            _write(descriptor, register.launches)
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> list[Launch]:
    """Return the launches; none if the last writer was killed half-way: nothing of its launch has begun then."""
    import json

    text = os.pread(descriptor, os.fstat(descriptor).st_size, 0)
    try:
        return [_launch(row) for row in json.loads(text or b"[]")]
    except (ValueError, TypeError, KeyError):
        return []


def _launch(row: Any) -> Launch:  # noqa: ANN401 - as JSON has it
    holder, *more = row
    engine, name, uses, *others = holder
    found = tuple(Use(Kind(kind), value, tuple(Location(*place) for place in places)) for kind, value, places in uses)
    return Launch(Holder(engine, name, found, *others), *more)


def _write(descriptor: int, launches: list[Launch]) -> None:
    import json

    text = json.dumps(launches, default=lambda kind: kind.value).encode("utf-8", "surrogateescape")
    os.pwrite(descriptor, text, 0)
    os.ftruncate(descriptor, len(text))
