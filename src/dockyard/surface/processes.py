"""Whose a process is: the service's, the Test's, or nobody's inside. Looked at while the process waits for us."""

from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

SERVICE, TEST = "service", "test"


class _Status(NamedTuple):
    """What the kernel tells of a process; `numbers` are its ids, the host's first, its own container's last."""

    pid: int
    parent: int
    numbers: tuple[int, ...]
    started: str


class Processes:
    """The processes of one container.

    Its first process and what that starts are the service's. What an engine runs inside beside that (`docker exec`) has
    no parent inside: it is the Test's, unless it is the health check. Both kinds are in the container's control group,
    and nothing else is: neither the engine that reads a file out, nor a shell in the merged directory.
    """

    def __init__(self, container: str, check: tuple[str, ...]) -> None:
        self._container = container
        self._check = check[1:] if check[:1] in {("CMD",), ("CMD-SHELL",)} else ()
        self._known: dict[tuple[int, str], str] = {}
        self._first: tuple[int, str] | None = None

    def owner(self, thread: int) -> str:
        """Return whose a thread is; empty for one outside, or that is gone."""
        with suppress(OSError, ValueError, StopIteration):
            return self._owner(_status(thread))
        return ""

    def runs(self, thread: int, words: tuple[str, ...]) -> None:
        """Note that a thread is about to run a program with these arguments: the health check is the service's."""
        with suppress(OSError, ValueError, StopIteration):
            status = _status(thread)
            if self._check and words[-len(self._check) :] == self._check:
                self._known[status.pid, status.started] = SERVICE

    def _owner(self, status: _Status) -> str:
        key = (status.pid, status.started)
        if key in self._known:
            return self._known[key]
        if not self._is_inside(status.pid):
            return ""
        above = self._above(status.parent)
        found = above or (SERVICE if self._is_first(key, status) else TEST)
        self._known[key] = found
        return found

    def _above(self, parent: int) -> str:
        """Return whose a parent is; empty for one outside."""
        with suppress(OSError, ValueError, StopIteration):
            return self._owner(_status(parent)) if parent else ""
        return ""

    def _is_first(self, key: tuple[int, str], status: _Status) -> bool:
        """Return whether it is process 1 inside; with the host's numbers, the first one that was seen."""
        if len(status.numbers) > 1:
            return status.numbers[-1] == 1
        self._first = self._first or key
        return key == self._first

    def _is_inside(self, pid: int) -> bool:
        return self._container in Path(f"/proc/{pid}/cgroup").read_text(encoding="utf-8", errors="replace")


def _status(thread: int) -> _Status:
    lines = Path(f"/proc/{thread}/status").read_text(encoding="utf-8", errors="replace").splitlines()
    facts = dict(line.partition(":\t")[::2] for line in lines)
    pid = int(facts["Tgid"]) if "Tgid" in facts else thread
    started = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    numbers = tuple(int(word) for word in facts.get("NSpid", "").split())
    return _Status(pid, int(facts["PPid"]), numbers, started)
