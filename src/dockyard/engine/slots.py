"""How many starts, stops and removals an engine has under way at a time: no more than it survives.

Each container that is changed holds one of the engine's slots. These are lock files that all dockyard processes of a
user share: the workers of a fleet command, and separate commands. The slots of a process that dies are free.
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from dockyard.errors import DockyardError
from dockyard.telling import say

if TYPE_CHECKING:
    from dockyard.process import Silence

CHANGES = frozenset({"run", "create", "start", "stop", "restart", "kill", "rm"})
"""The verbs of commands that start, stop or remove a container."""
CHANGES_OF_NETWORKS = frozenset({"create", "connect", "disconnect", "rm"})

STOP_SECONDS = 3.0
"""For how long a stop holds its slot: while a container takes longer to end, its engine only waits."""
POLL_SECONDS = 0.02


def is_change(argv: tuple[str, ...]) -> bool:
    """Return whether a command is one of those that take a slot."""
    return argv[0] in CHANGES or (argv[0] == "network" and argv[1] in CHANGES_OF_NETWORKS)


class Slots(NamedTuple):
    """An engine's slots: how many it has at least, and what returns how many it has, which may ask for its version."""

    engine: str
    at_least: int
    read_bound: Callable[[], int]


@contextmanager
def hold_slots(slots: Slots, argv: tuple[str, ...], silence: "Silence") -> Iterator[None]:
    """Hold an engine's slots for a command: one, or one for each container that it stops; none for a question.

    `silence` is what to do about an engine that keeps us waiting. Raises DockyardError if slots cannot be used.
    """
    if not is_change(argv):
        yield
        return
    with ExitStack() as stack:
        is_stop = argv[0] == "stop"
        taken = _take_slots(slots, min(len(argv) - 1, slots.at_least) if is_stop else 1, stack, silence)
        if is_stop:
            timer = threading.Timer(STOP_SECONDS, _release_slots, (taken,))
            timer.daemon = True
            timer.start()
            stack.callback(timer.join)
            stack.callback(timer.cancel)
        yield


def _take_slots(slots: Slots, count: int, stack: ExitStack, silence: "Silence") -> list[int]:
    """Wait until so many slots are free, and return their descriptors; the stack closes them."""
    opened = [_open_slot(slots.engine, number, stack) for number in range(slots.at_least)]
    if taken := _try_slots(opened, count):
        return taken
    opened += [_open_slot(slots.engine, number, stack) for number in range(slots.at_least, slots.read_bound())]
    heard, is_reported = time.monotonic(), False
    while not (taken := _try_slots(opened, count)):
        if time.monotonic() > heard + silence.seconds:
            silence.ask(os.getpid())
            heard = time.monotonic()
            if not is_reported:
                say(f"waiting for other starts, stops and removals: {slots.engine} gets {len(opened)} at a time")
                is_reported = True
        time.sleep(POLL_SECONDS)
    return taken


def _try_slots(slots: list[int], count: int) -> list[int]:
    """Take so many free slots; returns none if there are fewer."""
    taken: list[int] = []
    for slot in slots:
        with suppress(BlockingIOError):
            fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
            taken.append(slot)
        if len(taken) == count:
            return taken
    _release_slots(taken)
    return []


def _release_slots(slots: list[int]) -> None:
    for slot in slots:
        fcntl.flock(slot, fcntl.LOCK_UN)


def _open_slot(engine: str, number: int, stack: ExitStack) -> int:
    from dockyard import lock  # start-up: questions take no slot

    path = lock.directory() / f"{engine}-slot-{number}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        slot = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DockyardError(
            f"{error.filename}: {error.strerror}", hint="dockyard stores locks there; check its permissions"
        ) from None
    stack.callback(os.close, slot)
    return slot
