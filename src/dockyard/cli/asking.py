"""Ask the user on a terminal. Questions go to stderr, like everything that is not data."""

import sys
from collections.abc import Callable

from dockyard.cli.output import say
from dockyard.errors import DockyardError, UsageError


def can_ask() -> bool:
    """Return whether a user can be asked: stdin and stderr are a terminal."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str, default: str, check: Callable[[str], None]) -> str:
    """Return the answer, or the default where it is empty; one that `check` raises DockyardError for is asked again.

    Raises UsageError if there is no more to read, and what is wrong with the default.
    """
    while True:
        answer = _answer(question, default)
        try:
            check(answer)
        except DockyardError as error:
            if answer == default:
                raise
            for line in error.lines():
                say(line)
        else:
            return answer


def _answer(question: str, default: str) -> str:
    say(f"{question} [{default}]" if default else question)
    line = sys.stdin.readline()
    if not line:
        raise UsageError("no answer: nothing was changed")
    return line.strip() or default
