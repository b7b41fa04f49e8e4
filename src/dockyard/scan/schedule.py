"""When which container is scanned next: at once for the first event, seldom for what has told nothing before.

No clock is read here: all times are seconds that the caller gives.
"""

from collections.abc import Collection
from typing import NamedTuple

from dockyard.scan.fanotify import EXECUTED

EVERYTHING = ""
"""Stands for all containers, where an id does."""

PAUSE = 1.0  # seconds between two scans of one container
LONGEST = 10.0  # seconds that a path can wait that has told nothing, however often it moved
SHARE = 4  # a scan rests this many times as long as it took
LONGEST_REST = 60.0
MOST = 4096  # paths of a container that are remembered
PROGRAMS = 1024  # and so many more that were run


class Moved(NamedTuple):
    """What moved in a container since its last scan: kinds of events by path, and how many more there were."""

    kinds: dict[str, frozenset[str]]
    more: int = 0


class _Waiting:
    """One container: what moved, which paths have told nothing so far, and when it was scanned last."""

    def __init__(self) -> None:
        self.is_due = False
        self.moved: dict[str, frozenset[str]] = {}
        self.more = 0
        self.taken = Moved({})
        self.pause = LONGEST
        self.pauses: dict[str, float] = {}
        self.ended = float("-inf")
        self.rest = 0.0

    @property
    def at(self) -> float:
        return self.ended + max(self.pause, self.rest)

    def remember(self, path: str, kinds: Collection[str]) -> None:
        if path in self.moved or len(self.moved) < (MOST + PROGRAMS if EXECUTED in kinds else MOST):
            self.moved[path] = self.moved.get(path, frozenset()) | frozenset(kinds)
        else:
            self.more += 1


class Schedule:
    """What is still to be scanned."""

    def __init__(self) -> None:
        self._all: dict[str, _Waiting] = {}

    def note(self, container: str, path: str = "", kinds: Collection[str] = ()) -> None:
        """Have a container scanned, for something that moved or, with an empty path, for any other reason."""
        one = self._all.setdefault(container, _Waiting())
        one.is_due = True
        one.pause = min(one.pause, one.pauses.get(path, PAUSE))
        if path:
            one.remember(path, kinds)

    def due(self, now: float) -> list[str]:
        """Return which containers to scan now."""
        return [name for name, one in self._all.items() if one.is_due and one.at <= now]

    def until(self) -> float:
        """Return when the next one is due; infinity for none."""
        return min((one.at for one in self._all.values() if one.is_due), default=float("inf"))

    def take(self, container: str) -> Moved:
        """Return what moved, when a scan begins: whatever moves from now on is for the next one.

        The next one is told of both times a path moved: what was made before a scan began, and run and taken away
        before that scan came to it, is a program that neither half alone tells of.
        """
        one = self._all.setdefault(container, _Waiting())
        moved, before = Moved(one.moved, one.more), one.taken
        one.is_due, one.moved, one.more, one.pause, one.taken = False, {}, 0, LONGEST, moved
        kinds = {path: seen | before.kinds.get(path, frozenset()) for path, seen in moved.kinds.items()}
        return Moved(kinds, moved.more + before.more)

    def put_back(self, container: str, moved: Moved) -> None:
        """Remember what was taken for a scan that failed; the next one is the caller's to note."""
        one = self._all.setdefault(container, _Waiting())
        for path, kinds in moved.kinds.items():
            one.remember(path, kinds)
        one.more += moved.more
        one.taken = Moved({})  # it is in what is remembered now

    def done(self, container: str, moved: Moved, *, now: float, took: float, told: bool) -> None:
        """Note how a scan ended: paths wait twice as long each time they `told` nothing, but nothing else waits."""
        one = self._all.setdefault(container, _Waiting())
        one.ended, one.rest = now, min(took * SHARE, LONGEST_REST)
        if told or len(one.pauses) + len(moved.kinds) > MOST:
            one.pauses.clear()
        if not told:
            paths = [*moved.kinds, *([""] if container == EVERYTHING else [])]
            one.pauses |= {path: min(2 * one.pauses.get(path, PAUSE), LONGEST) for path in paths}

    def forget(self, container: str) -> None:
        """Scan a container no more."""
        self._all.pop(container, None)
