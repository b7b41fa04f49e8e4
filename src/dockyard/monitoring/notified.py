"""Of which problems people were notified: a file in the state directory, and the sending that it is about."""

import json
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from dockyard.monitoring.notices import Message, Notified, after, messages
from dockyard.monitoring.problems import Findings, Problem
from dockyard.secrets import state_directory
from dockyard.state_file import locked_file, write_file
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
    with locked_file(path().with_suffix(".lock")):  # no two commands send the same
        known = read()
        reached = True
        for message in messages(host or socket.gethostname(), find(known), known, now, is_covered):
            if not message.title or send(message):
                known = after(known, message, now)
                _write(known)
            else:
                reached = False
    return reached


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
    write_file(path(), json.dumps(rows, indent=1))
