"""Environment variables by which dockyard directs the programs that it starts, and how these know that they may obey.

Anyone may set a variable, and an old one stays in a shell for long. So a directive counts only with a token: the id and
the start time of the process that gave it. Only what that process has started, itself or through others, obeys it.

A Test in another language cannot do all that. It compares one variable with its parent's process id, in its first line.
"""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from dockyard.errors import UsageError

UNDER_TEST = "DOCKYARD_UNDER_TEST"
"""`SERVICE=IMAGE-ID`: what a Test is to launch; an id, as tags may move."""

RUN = "DOCKYARD_RUN"
"""Marks what one run of a Test launches: that, and nothing else, is removed after it."""

UNTIL_HEALTHY = "DOCKYARD_UNTIL_HEALTHY"
"""A Test passes only if its instance becomes healthy, if anything checks that."""

RECORD = "DOCKYARD_RECORD"
"""The socket at which a launch is reported before it starts: surface/recorder.py."""

EVIDENCE = "DOCKYARD_EVIDENCE"
"""The directory in which a Test that fails saves what explains its instance: evidence.py."""

TOKEN = "DOCKYARD_TOKEN"  # noqa: S105 - a variable's name
"""Which process gave the directives: its id and its start time."""

TESTER = "DOCKYARD_TESTER"
"""`process PID`: which process has launched the instance for a Test, and runs it."""

FIRST_LINE = f'[ "${{{TESTER}-}}" = "process $PPID" ] || exec dockyard-python -m dockyard.testing "$0" "$@"'
"""How a Test in shell begins."""

_STARTS_TESTING = re.compile(r"^[^#\n]*-m dockyard\.testing\b", re.MULTILINE)
_FACT = re.compile(r"CONTAINER_(NAME|ID|IMAGE|IP|ENGINE|MODE|PORT_.+|VOLUME_.+)")


def directing(directives: Mapping[str, str]) -> dict[str, str]:
    """Return directives for a program that this process starts."""
    return {**directives, TOKEN: _token(os.getpid())}


def directive(name: str) -> str:
    """Return what a directive says; empty without one. Raises UsageError if it is not for this process."""
    value = os.environ.get(name, "")
    if value and os.environ.get(TOKEN, "") not in map(_token, _ancestors()):
        raise UsageError(
            f"{name} is set in the environment, but not by the dockyard that started this program", hint=f"unset {name}"
        )
    return value


def environment_of_script(facts: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of a Test in another language: facts of its instance, no others, and who runs it."""
    inherited = {name: value for name, value in os.environ.items() if not _FACT.fullmatch(name)}
    return {**inherited, **facts, TESTER: f"process {os.getpid()}"}


def refuse_old_script(script: Path) -> None:
    """Raise UsageError for a Test that takes any CONTAINER_NAME in its environment for an instance of ours."""
    try:
        text = script.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return  # running it reports that
    found = _STARTS_TESTING.search(text)
    if found and TESTER not in text:
        number = text.count("\n", 0, found.end()) + 1
        raise UsageError(
            f"{script}:{number}: this line tests a variable that other programs also set",
            hint=f"replace it with: {FIRST_LINE}",
        )


def _token(process: int) -> str:
    """Return the token of a process: ids are used again, so its start time is part of it."""
    return f"{process} {_status(process)[1]}"


def _ancestors() -> Iterator[int]:
    process = os.getppid()
    while process:
        yield process
        process = _status(process)[0]


def _status(process: int) -> tuple[int, str]:
    """Return the parent of a process, and when it started; 0 for one that is gone."""
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0, ""
    fields = text.rpartition(")")[2].split()  # its name is before that
    return int(fields[1]), fields[19]
