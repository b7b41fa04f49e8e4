"""Watches containers: scans them when their layers change, when they start and end, and on a schedule.

There is no polling: only the kernel's journal, the engine's events and one timer wake this process. If the journal is
not certain what changed, everything is scanned, and so it is on SIGHUP.
"""

import os
import select
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from math import ceil
from typing import NamedTuple, NoReturn

from dockyard.errors import DockyardError
from dockyard.overlay import at
from dockyard.scan.engine_events import CHANGES, DIE, GONE, START, EngineEvent, EngineEvents
from dockyard.scan.fanotify import Journal, blind_spot
from dockyard.scan.schedule import EVERYTHING, Moved, Schedule
from dockyard.text import escaped

EVERY = 3600.0  # seconds between two scans of everything: what is written through a mapping of memory makes no event
DAY = 86400.0  # the longest that is waited at once: poll(2) takes milliseconds in an int
SHOWN = 10  # paths that a message names


class Tasks(NamedTuple):
    """The callbacks of watching; the first three may raise DockyardError or OSError, which is reported."""

    uppers: Callable[[], Mapping[str, str]]
    """Return the upper directories of the containers to watch, by id, without those of which none is known."""
    scan: Callable[[Mapping[str, Moved], bool], Collection[str]]
    """Scan containers by id, given what moved in each, or with True everything, of which that moved; return the ids
    that had news. What it does in a layer has to be done by this process: whatever another does there, a child of ours
    too, is a change and wakes us."""
    capture: Callable[[str, str, Moved], None]
    """Scan a container that has ended, by id, through a path by which its upper directory is found for now."""
    lost: Callable[[str, str, str], None]
    """Note that a container, by id and name, could not be judged, and why: this is INCOMPLETE."""
    tell: Callable[[str], None]
    """Report something about the watching itself."""


def watch(tasks: Tasks, program: str, *, every: float = EVERY) -> None:
    """Watch until SIGTERM, and return; SIGINT raises KeyboardInterrupt as ever. `program` is the engine's client.

    Raises DockyardError where the kernel, or our rights, do not allow it. To be called in the main thread.
    """
    with Journal() as journal, _signals() as hangups:
        engine = EngineEvents(program, time.time())
        watcher = Watcher(tasks, journal, engine, hangups, every)
        try:
            if blind_spot():
                tasks.tell(blind_spot())
            while True:
                watcher.turn()
        except _Ended:
            return
        finally:
            engine.close()


class Watcher:
    """The state of watching; `hangups` is a descriptor that is readable after SIGHUP. `turns` counts the wake-ups."""

    def __init__(
        self, tasks: Tasks, journal: Journal, engine: EngineEvents, hangups: int, every: float = EVERY
    ) -> None:
        self._tasks, self._journal, self._engine, self._hangups, self._every = tasks, journal, engine, hangups, every
        self.schedule = Schedule()
        self._containers: dict[str, str] = {}
        self._unwatched: set[str] = set()
        self._captured: set[str] = set()
        self._is_stale = True
        self._full_at = float("-inf")
        self._is_silent = False
        self.turns = 0

    def turn(self) -> None:
        """Wait for the next event, note it, and do what is due."""
        self.turns += 1
        self._wait()
        now = time.monotonic()
        if self._engine.begins <= now:
            self._begin(now)
        if self._full_at <= now:
            self._full_at = now + self._every
            self._is_stale = True
            self.schedule.note(EVERYTHING)
        is_known = not (self._is_stale or EVERYTHING in self.schedule.due(now)) or self._refresh()
        self._scan()
        if not is_known:
            self.schedule.note(EVERYTHING)  # before which it is asked again

    def _begin(self, now: float) -> None:
        """Start the engine's events. What came before is told again, and yet everything is looked at."""
        if self._engine.start(now):
            self._is_stale = True
            self.schedule.note(EVERYTHING)

    def _refresh(self) -> bool:
        """Watch the containers that are there now, and those alone; return whether that is known."""
        try:
            wanted = dict(self._tasks.uppers())
        except (DockyardError, OSError) as error:
            self._tasks.tell(f"the containers are not known: {error}")
            return False
        finally:
            self._is_stale = False
        for container in [known for known, upper in self._containers.items() if wanted.get(known) != upper]:
            self._forget(container)
        for container in self._unwatched - set(wanted):
            self._unwatched.remove(container)
            self.schedule.forget(container)
        self._captured.clear()
        for container in sorted(set(wanted) - set(self._containers) - self._unwatched):
            self._add(container, wanted[container])
        return True

    def _add(self, container: str, upper: str) -> None:
        try:
            self._journal.add(upper)
        except DockyardError as error:
            self._tasks.tell(f"{error}; it is only scanned on a schedule")
            self._unwatched.add(container)
        else:
            self._containers[container] = upper
        self.schedule.note(container)

    def _forget(self, container: str) -> None:
        if container not in self._captured:  # nobody told that it ended
            self._capture(container, "")
        self._journal.remove(self._containers.pop(container))
        self.schedule.forget(container)

    def _scan(self) -> None:
        due = self.schedule.due(time.monotonic())
        if not due:
            return
        if EVERYTHING in due:
            due = [EVERYTHING, *sorted({*due, *self._containers} - {EVERYTHING})]
        moved = {container: self.schedule.take(container) for container in due}
        began = time.monotonic()
        try:
            told = self._tasks.scan(moved, EVERYTHING in due)
        except (DockyardError, OSError) as error:
            self._tasks.tell(f"a scan failed and is repeated: {error}")
            told = ()
            self._is_stale = True
            for container, seen in moved.items():
                self.schedule.put_back(container, seen)
            self.schedule.note(EVERYTHING)
        now = time.monotonic()
        for container, seen in moved.items():
            news = bool(told) if container == EVERYTHING else container in told
            self.schedule.done(container, seen, now=now, took=now - began, told=news)

    def _wait(self) -> None:
        """Wait until something happens, or is due."""
        poll = select.poll()
        for descriptor in (self._journal.fileno(), self._hangups, self._engine.fileno):
            if descriptor is not None:
                poll.register(descriptor, select.POLLIN)
        next_at = min(self.schedule.until(), self._full_at, self._engine.begins)
        seconds = min(max(next_at - time.monotonic(), 0), DAY)
        ready = {descriptor for descriptor, _ in poll.poll(ceil(seconds * 1000))}
        if self._engine.fileno in ready:  # first, as what has died is about to be removed
            self._hear()
        if self._journal.fileno() in ready:
            self._see()
        if self._hangups in ready:
            os.read(self._hangups, 1024)
            self._full_at = float("-inf")

    def _see(self) -> None:
        """Note the kernel's events."""
        batch = self._journal.read(0)
        owners = {upper: container for container, upper in self._containers.items()}
        for event in batch.events:
            if event.upper:
                self.schedule.note(owners[event.upper], event.path, event.kinds)
        if not batch.is_certain:
            self.schedule.note(EVERYTHING)

    def _hear(self) -> None:
        """Note the engine's events."""
        events = self._engine.read(time.monotonic(), time.time())
        if events is None:
            if not self._is_silent:
                self._tasks.tell("the engine no longer reports events; it is asked again until it does")
            self._is_silent = True
            return
        self._is_silent = False
        for event in events:
            self._hear_one(event)

    def _hear_one(self, event: EngineEvent) -> None:
        if event.action == DIE:
            self._died(event)
        if event.action in {START, DIE, GONE} and event.kind == "container":
            self._is_stale = True
        if event.action == START and event.id in self._containers:
            self.schedule.note(event.id)
        if event.action in CHANGES:
            self.schedule.note(event.id if event.id in self._containers else EVERYTHING)
        if not event.action:
            self._is_stale = True
            self.schedule.note(EVERYTHING)

    def _died(self, event: EngineEvent) -> None:
        """Scan a container for the last time: the engine may already be removing it."""
        if event.id in self._captured:  # it was started again in between
            self._is_stale = not self._refresh()
        if event.id in self._unwatched:
            self._tasks.lost(event.id, event.name, "it ended, and could not be watched")
        elif event.id not in self._containers:
            self._tasks.lost(event.id, event.name, "it started and ended before it was scanned")
        else:
            self._captured.add(event.id)
            self._capture(event.id, event.name)

    def _capture(self, container: str, name: str) -> None:
        moved = self.schedule.take(container)
        upper = self._journal.uppers[self._containers[container]]
        try:
            self._tasks.capture(container, at(upper.descriptor), moved)
        except (DockyardError, OSError) as error:
            self._tasks.lost(container, name, f"it was removed during its last scan: {error}{_of(moved)}")


def _of(moved: Moved) -> str:
    """Return what is known to have changed since its last scan."""
    paths = sorted(moved.kinds)
    count = len(paths) + moved.more
    shown = ", ".join(map(escaped, paths[:SHOWN])) + (f" and {count - SHOWN} more" if count > SHOWN else "")
    return f"; changed since its last scan: {shown}" if paths else ""


class _Ended(BaseException):
    """SIGTERM was received: only the end of watching catches it."""


@contextmanager
def _signals() -> Iterator[int]:
    """Have SIGTERM end what is inside, and yield a descriptor that is readable after SIGHUP."""
    reading, writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def hang_up(_number: int, _frame: object) -> None:
        with suppress(BlockingIOError):  # it is full of them
            os.write(writing, b"\0")

    def terminate(_number: int, _frame: object) -> NoReturn:
        raise _Ended

    with ExitStack() as stack:
        for descriptor in (reading, writing):
            stack.callback(os.close, descriptor)
        for number, handler in ((signal.SIGTERM, terminate), (signal.SIGHUP, hang_up)):
            stack.callback(signal.signal, number, signal.getsignal(number))
            signal.signal(number, handler)
        yield reading
