"""What a walk may cost, and what it could not judge: it is complete, or says that it is not."""

import time
from collections import Counter
from collections.abc import Set as AbstractSet
from typing import NamedTuple

REMEMBERED = 1024  # entries that could not be judged, and may yet be


class Budget(NamedTuple):
    """How much a walk may cost, before it is told as not complete; `compared` is in bytes."""

    entries: int = 2_000_000
    seconds: float = 120.0
    compared: int = 16 * 1024**3


BUDGET = Budget()


class StoppedError(Exception):
    """The budget is used up."""


class Tally:
    """What a walk has cost so far; `unjudged` has reasons with counts, `example` one path of each.

    `failed` has the reason of each path that a second look may settle, as many as are remembered.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.entries = 0
        self.compared = 0
        self.unjudged: Counter[str] = Counter()
        self.example: dict[str, str] = {}
        self.failed: dict[str, str] = {}
        self._deadline = time.monotonic() + budget.seconds

    def count(self) -> None:
        """Count an entry. Raises StoppedError where it is one too many, or too late."""
        self.entries += 1
        if self.entries > self.budget.entries:
            self.stop(f"more than {self.budget.entries} entries")
        if not self.entries & 1023:
            self.check_time()

    def check_time(self) -> None:
        """Raise StoppedError where it is too late."""
        if time.monotonic() > self._deadline:
            self.stop(f"not finished within {self.budget.seconds:g} s")

    def stop(self, reason: str) -> None:
        """Tell that the walk ended before it was through, once."""
        self.unjudged[reason] = 1
        raise StoppedError

    def fail(self, path: str, error: OSError) -> None:
        """Tell that an entry could not be judged, and why."""
        reason = error.strerror or str(error)
        self.unjudged[reason] += 1
        self.example.setdefault(reason, path)
        if len(self.failed) < REMEMBERED and path not in self.failed:
            self.failed[path] = reason

    def forget(self, paths: AbstractSet[str]) -> None:
        """Take back what is told of these paths and all below them: they are looked at anew."""
        for path, reason in [item for item in self.failed.items() if is_within(item[0], paths)]:
            del self.failed[path]
            self.unjudged[reason] -= 1
            if not self.unjudged[reason]:
                del self.unjudged[reason], self.example[reason]


def is_within(path: str, paths: AbstractSet[str]) -> bool:
    """Return whether a path is one of these, or below one."""
    while path not in paths:
        if not path:
            return False
        path = path.rpartition("/")[0]
    return True
