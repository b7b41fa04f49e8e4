"""How many starts, stops and removals an engine has under way at a time: no more than it survives.

Each of them holds one of the engine's slots. These are lock files that all dockyard processes of a user share: the
workers of a fleet command, and separate commands. The slot of a process that dies is free.
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from dockyard.errors import DockyardError

if TYPE_CHECKING:
    from dockyard.process import Silence

CHANGES = frozenset({"run", "create", "start", "stop", "restart", "kill", "rm"})
"""The verbs of commands that start, stop or remove a container."""
CHANGES_OF_NETWORKS = frozenset({"create", "connect", "disconnect", "rm"})

STOP_SECONDS = 3.0
"""For how long a stop holds its slot: a container that takes longer to end is no work for its engine meanwhile."""
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
def hold_slot(slots: Slots, argv: tuple[str, ...], silence: "Silence") -> Iterator[None]:
    """Hold one of an engine's slots for a command; does nothing for one that takes none.

    `silence` is what to do about an engine that keeps us waiting. Raises DockyardError if slots cannot be used.
    """
    if not is_change(argv):
        yield
        return
    with ExitStack() as stack:
        slot = _take_slot(slots, stack, silence)
        if argv[0] == "stop":
            timer = threading.Timer(STOP_SECONDS, fcntl.flock, (slot, fcntl.LOCK_UN))
            timer.daemon = True
            timer.start()
            stack.callback(timer.join)
            stack.callback(timer.cancel)
        yield


def _take_slot(slots: Slots, stack: ExitStack, silence: "Silence") -> int:
    """Wait until a slot is free, and return its descriptor; the stack closes it."""
    opened = [_open_slot(slots.engine, number, stack) for number in range(slots.at_least)]
    if (slot := _try_slots(opened)) is not None:
        return slot
    opened += [_open_slot(slots.engine, number, stack) for number in range(slots.at_least, slots.read_bound())]
    heard = time.monotonic()
    while (slot := _try_slots(opened)) is None:
        if time.monotonic() > heard + silence.seconds:
            silence.ask(os.getpid())
            heard = time.monotonic()
        time.sleep(POLL_SECONDS)
    return slot


def _try_slots(slots: list[int]) -> int | None:
    """Take the first free slot, if one is."""
    for slot in slots:
        try:
            fcntl.flock(slot, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        return slot
    return None


def _open_slot(engine: str, number: int, stack: ExitStack) -> int:
    from dockyard import lock  # start-up: questions take no slot

    path = lock.directory() / f"{engine}-slot-{number}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        slot = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DockyardError(f"{error.filename}: {error.strerror}", hint="locks are kept there") from None
    stack.callback(os.close, slot)
    return slot
