"""Of which problems people were notified: a file in the state directory, and the sending that it is about."""

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dockyard.monitoring.notices import Message, Notified, after, messages
from dockyard.monitoring.problems import Findings, Problem
from dockyard.secrets import state_directory
from dockyard.telling import warn

Find = Callable[[Mapping[str, Notified]], Findings]
Send = Callable[[Message], bool]
Covers = Callable[[str], bool]


def path() -> Path:
    """Return where it is stored."""
    return state_directory() / "notified.json"


def notify_of_changes(
    find: Find,
    send: Send,
    now: float,
    is_covered: Covers = lambda _key: True,
    host: str = "",
) -> bool:
    """Send what has changed since the last time, and return whether all of it reached someone.

    What did not is sent at the next time. `find` is given what is known. Raises OSError if the state cannot be written.
    """
    with _alone():
        known = read()
        reached = True
        for message in messages(host or socket.gethostname(), find(known), known, now, is_covered):
            if send(message):
                known = after(known, message, now)
                _write(known)
            else:
                reached = False
    return reached


@contextmanager
def _alone() -> Iterator[None]:
    """Have no two commands send the same."""
    place = path().with_suffix(".lock")
    place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def read() -> dict[str, Notified]:
    """Return what is known by key; a file that cannot be read is reported, and then everything is news again."""
    try:
        rows = json.loads(path().read_text(encoding="utf-8"))
        return {row["problem"]["key"]: Notified(Problem(**row["problem"]), float(row["since"])) for row in rows}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError) as error:
        warn(f"{path()}: it cannot be read, so problems are reported again: {error}")
        return {}


def _write(known: Mapping[str, Notified]) -> None:
    rows = [{"since": one.since, "problem": one.problem._asdict()} for one in known.values()]
    draft = path().with_name(f".{path().name}.new")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(rows, file, indent=1)
    draft.replace(path())
