"""A command that gets no answer: whether its engine still works, and what becomes of the command if it does not.

Docker 20.10 was seen to wait for itself for ever: lists were answered, `info` and every start were not.
"""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard import process
from dockyard.errors import EngineSilentError
from dockyard.telling import warn

if TYPE_CHECKING:
    from dockyard.engine.dialect import Dialect

SILENCE_SECONDS = 15.0
"""Seconds without a word from the engine until it is asked whether it works."""
PROBE_SECONDS = 15.0
"""Seconds in which it has to answer that; if it does not, the user reads so."""
LAST_PROBE_SECONDS = 30.0
"""Seconds in which it has to answer the same question once more: a host under load is slow, and not stuck."""

_why_waiting = ContextVar("_why_waiting", default="")
PRODUCTION_CHANGES = "waiting for it, as production has begun to change"


@contextlib.contextmanager
def waiting(why: str = PRODUCTION_CHANGES) -> Iterator[None]:
    """Wait for an engine that does not answer during the block: what has begun there must not end half-way."""
    before = _why_waiting.set(why)
    try:
        yield
    finally:
        _why_waiting.reset(before)


def is_waiting() -> bool:
    """Return whether an engine that does not answer is waited for."""
    return bool(_why_waiting.get())


class Watchdog:
    """What is done about one command that is silent. `ask` is for process.Silence."""

    def __init__(self, program: str, dialect: "Dialect", argv: tuple[str, ...]) -> None:
        self._program = program
        self._dialect = dialect
        words = 2 if argv[0] in _GROUPS else 1
        self._what = " ".join((dialect.name, *argv[:words]))

    def silence(self) -> process.Silence:
        """Return this as what a child is run with."""
        return process.Silence(SILENCE_SECONDS, self.ask)

    def ask(self, pid: int) -> None:
        """See that the engine still works, or that the client, which is a child of ours, does.

        Raises EngineSilentError if neither does, unless the engine is waited for.
        """
        seconds = SILENCE_SECONDS + PROBE_SECONDS
        if self._works(pid, PROBE_SECONDS):
            return
        warn(f"{self._message(seconds)}; {_why_waiting.get() or 'asking it once more'}")
        if is_waiting() or self._works(pid, LAST_PROBE_SECONDS):
            return
        raise EngineSilentError(self._message(seconds + LAST_PROBE_SECONDS), hint=self._dialect.when_stuck)

    def _message(self, seconds: float) -> str:
        return f"{self._dialect.name} does not answer: `{self._what}` has not been answered for {seconds:g} s"

    def _works(self, pid: int, seconds: float) -> bool:
        """Return whether the engine answers within some seconds, or its client completes in the meantime."""
        before = activity_of(pid)
        return self._answers(seconds) or (self._dialect.works_in_client and activity_of(pid) > before)

    def _answers(self, seconds: float) -> bool:
        try:
            process.capture((self._program, *self._dialect.probe), timeout=seconds)
        except TimeoutError:
            return False
        except OSError:
            return True  # the command itself will report the failure
        return True


def activity_of(pid: int) -> int:
    """Return a number that grows while a process or any of its children runs, reads or writes; 0 if there is none."""
    with contextlib.suppress(OSError, ValueError):
        place = Path(f"/proc/{pid}")
        fields = (place / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        transferred = (line.split() for line in (place / "io").read_text(encoding="ascii").splitlines())
        own = int(fields[11]) + int(fields[12]) + sum(int(value) for name, value in transferred if name in _COUNTED)
        children = (file.read_text(encoding="ascii").split() for file in place.glob("task/*/children"))
        return own + sum(activity_of(int(child)) for found in children for child in found)
    return 0


_COUNTED = {"rchar:", "wchar:"}
_GROUPS = {"container", "image", "network", "builder"}  # whose command is the word after
