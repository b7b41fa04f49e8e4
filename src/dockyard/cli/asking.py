"""Asking the user, on a terminal; questions go to stderr, as everything does that is no data."""

import sys

from dockyard.cli.output import say
from dockyard.errors import UsageError


def can_ask() -> bool:
    """Return whether there is somebody to ask."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str, default: str) -> str:
    """Return the answer, or the default where it is empty. Raises UsageError where there is no more to read."""
    say(f"{question} [{default}]" if default else question)
    line = sys.stdin.readline()
    if not line:
        raise UsageError("no answer: nothing was changed")
    return line.strip() or default
