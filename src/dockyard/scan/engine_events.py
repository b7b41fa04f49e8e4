"""What an engine tells of its containers while they come and go: the output of its `events`, line by line."""

import os
from collections import deque
from typing import NamedTuple

from dockyard import process

START, DIE, GONE = "start", "die", "destroy"
CHANGES = frozenset({"rename", "commit", "tag", "untag"})
_SAME = {"died": DIE, "remove": GONE}
"""Podman's words."""

WATCHED = (START, DIE, GONE, *_SAME, *sorted(CHANGES))
"""All else is left out by the engine itself: health checks alone would wake us all the time."""

LONGEST = 1024 * 1024  # bytes of one line
REMEMBERED = 256  # lines that are known again when they are told twice, as after a new start
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 60.0  # seconds before the client is started again


class EngineEvent(NamedTuple):
    """One thing that happened; an empty action is one that could not be read."""

    action: str
    id: str = ""
    name: str = ""
    kind: str = "container"


def event_from(line: bytes) -> EngineEvent:
    """Return what one line tells, as docker or podman writes it."""
    import json

    try:
        told = json.loads(line)
        actor = told.get("Actor") or {}
        action = str(told.get("Action") or told.get("Status") or "")
        name = (actor.get("Attributes") or {}).get("name") or told.get("Name") or ""
        identifier = actor.get("ID") or told.get("ID") or ""
        kind = str(told.get("Type") or "container")
    except (ValueError, AttributeError):
        return EngineEvent("")
    return EngineEvent(_SAME.get(action, action), str(identifier), str(name), kind)


def events_argv(program: str, since: float) -> tuple[str, ...]:
    """Return the command; what happened after `since`, in seconds of the epoch, is told as well."""
    filters = (word for action in WATCHED for word in ("--filter", f"event={action}"))
    return (program, "events", "--since", f"{since:.6f}", *filters, "--format", "{{json .}}")


class EngineEvents:
    """The engine's client that tells events, started anew whenever it ends: the engine may be restarted at any time."""

    def __init__(self, program: str, since: float) -> None:
        self._program, self._since = program, since
        self._child: process.Child | None = None
        self._rest = b""
        self._heard: deque[bytes] = deque(maxlen=REMEMBERED)
        self._pause = FIRST_PAUSE
        self.begins = float("-inf")
        """When to start it, in seconds of the caller's clock; infinity while it runs."""

    @property
    def fileno(self) -> int | None:
        """The descriptor that is readable when there is something to read; None while nothing runs."""
        return self._child.stdout.fileno() if self._child and self._child.stdout else None

    def start(self, now: float) -> bool:
        """Start the client, and return whether that went well."""
        try:
            self._child = process.start_piped(events_argv(self._program, self._since))
        except OSError:
            self._ended(now)
            return False
        self._rest, self.begins = b"", float("inf")
        return True

    def read(self, now: float, clock: float) -> list[EngineEvent] | None:
        """Return what there is to read; None where the client has ended. `clock` is in seconds of the epoch."""
        assert self.fileno is not None  # noqa: S101 - the caller waited for it
        chunk = os.read(self.fileno, LONGEST)
        if not chunk:
            self.close()
            self._ended(now)
            return None
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        self._pause, self._since = FIRST_PAUSE, clock
        if len(self._rest) > LONGEST:
            self._rest = b""
            lines.append(b"too long")
        lines = [line for line in lines if line.strip() and line not in self._heard]
        self._heard += lines
        return [event_from(line) for line in lines]

    def _ended(self, now: float) -> None:
        self.begins = now + self._pause
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

    def close(self) -> None:
        """End the client."""
        if self._child:
            process.end(self._child)
        self._child = None
