"""One kernel lock for each container of a host. A holder that dies frees it; dry runs and lists never wait for one.

What the engine still does for a holder that was killed is waited for: the lock's file names the client that it started.
The client does not inherit the lock: what podman starts lives as long as the container, and would hold it.
"""

import errno
import fcntl
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard import process
from dockyard.errors import DockyardError, LockedError
from dockyard.privilege import is_hosts_root
from dockyard.telling import say

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine

PAUSE = 0.05  # seconds between two tries
LINGERING = 90  # seconds in which a client that a killed run left behind has to end: longer than it takes to stop most


class Holder(NamedTuple):
    """Who holds a lock: `born` is the process's start in clock ticks since boot, `since` in seconds of the epoch.

    `clients` are the engine's clients that it has started and that still work, by their start.
    """

    pid: int
    born: int
    user: str
    command: str
    since: float
    doing: str = ""
    clients: Mapping[str, int] = {}

    @property
    def lingers(self) -> bool:
        """Whether it is dead, and what it had the engine do is not done."""
        return not self.is_alive and bool(_alive(self.clients))

    @property
    def is_alive(self) -> bool:
        """Whether that process is still there, and not another one of its number."""
        return self.born == born(self.pid)

    def __str__(self) -> str:
        """Return who it is, doing what, since when."""
        clock = time.strftime("%H:%M:%S", time.localtime(self.since))
        doing = f" ({self.doing})" if self.doing else ""
        return (
            f"pid {self.pid}, {self.user}: {self.command}{doing}, since {clock}, {time.time() - self.since:.0f} s ago"
        )


Tell = Callable[[str], None]
"""Says what the holder is doing."""


def directory() -> Path:
    """Return where locks and launches under way are kept: the host's, or those of one user."""
    if is_hosts_root():
        return Path("/run/dockyard")
    return Path(os.environ.get("XDG_RUNTIME_DIR") or Path.home() / ".local/state") / "dockyard"


@contextmanager
def held(engine: "Engine", container: str, wait: float = 0) -> Iterator[Tell]:
    """Hold a container's lock for the block; yields a function that publishes what the run is doing.

    `wait` is how many seconds to wait for another run. Raises LockedError, with the holder, after that.
    """
    descriptor = _open(engine, container)
    try:
        _take(descriptor, container, wait)
        holder = Holder(os.getpid(), born(os.getpid()), user_name(), command_line(), time.time())

        def note(**news: Any) -> None:  # noqa: ANN401 - the holder's fields
            nonlocal holder
            holder = holder._replace(**news)
            _write(descriptor, holder)

        def started(client: int) -> None:
            note(clients=_alive({**holder.clients, str(client): born(client)}))

        note()
        process.STARTED.append(started)
        try:
            yield lambda doing: note(doing=doing)
        finally:
            process.STARTED.remove(started)
            os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def lingering(engine: "Engine") -> list[str]:
    """Return the containers for which a client of the engine still works that a dead run has started."""
    begin, end = f"{engine.dialect.name}-", ".lock"
    try:
        with os.scandir(directory()) as entries:
            locks = [entry for entry in entries if entry.name.startswith(begin) and entry.name.endswith(end)]
            names = [entry.name for entry in locks if entry.stat().st_size and _lingers(entry.path)]
    except FileNotFoundError:
        return []
    return sorted(name.removeprefix(begin).removesuffix(end) for name in names)


def _lingers(path: str) -> bool:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        holder = _holder(descriptor)
        return bool(holder and holder.lingers)
    finally:
        os.close(descriptor)


def _open(engine: "Engine", container: str) -> int:
    path = directory() / f"{engine.dialect.name}-{container}.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise DockyardError(
            f"{path}: {error.strerror}", hint="dockyard stores locks there; check its permissions"
        ) from None


def _take(descriptor: int, container: str, wait: float) -> None:
    began = time.monotonic()
    told = False
    while True:
        is_ours = _try(descriptor)
        holder = _holder(descriptor)
        lingers = bool(holder and holder.lingers)
        if is_ours and not lingers:
            return
        if time.monotonic() - began > (LINGERING if lingers else wait):
            who = holder or "another run"
            raise LockedError(f"`{container}` is locked by {who}", hint="wait for it with --wait") from None
        if not told:
            what = "the engine to finish the work of " if lingers else ""
            say(f"{container}: waiting for {what}{holder or 'another run'}")
            told = True
        time.sleep(PAUSE)


def _try(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write(descriptor: int, holder: Holder) -> None:
    import json

    text = json.dumps(holder._asdict()).encode()
    with suppress(OSError):  # who has it is a courtesy; that it is held is the kernel's word
        os.pwrite(descriptor, text, 0)
        os.ftruncate(descriptor, len(text))


def _holder(descriptor: int) -> Holder | None:
    import json

    try:
        return Holder(**json.loads(os.pread(descriptor, 4096, 0)))
    except (ValueError, TypeError):  # it is being written just now
        return None


def born(pid: int) -> int:
    """Return when a process started, in clock ticks since boot; 0 if there is none."""
    try:
        state, *fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ESRCH}:
            raise
        return 0
    return 0 if state in "ZX" else int(fields[18])  # one that ended and is not yet waited for holds nothing


def _alive(processes: Mapping[str, int]) -> dict[str, int]:
    """Return those processes, each with its start, that are still there."""
    return {pid: start for pid, start in processes.items() if start and start == born(int(pid))}


def user_name() -> str:
    import pwd

    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        name = str(os.getuid())
    return f"{os.environ['SUDO_USER']} as {name}" if "SUDO_USER" in os.environ else name


def command_line() -> str:
    """Return the program and its first words, which name the verb and the service; one with `=` may hold a secret."""
    return shlex.join([Path(sys.argv[0]).name, *(word for word in sys.argv[1:3] if "=" not in word)])
