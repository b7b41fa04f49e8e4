"""Progress and warnings from library code; the programs decide where they are shown."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from dockyard.masking import known

Listener = Callable[[str], None]


def _nobody(_text: str) -> None:
    """Ignore the message: a library is silent by default."""


listener: Listener = _nobody
"""The listener; the programs set it to their printer."""


def say(text: str) -> None:
    """Report progress."""
    listener(text)


def warn(text: str) -> None:
    """Report a warning."""
    listener(f"warning: {text}")


@contextmanager
def as_it_comes() -> Iterator[Listener]:
    """Show what a build writes as it comes."""

    def show(text: str) -> None:
        sys.stderr.write(known.hide(text))
        sys.stderr.flush()

    yield show


build_display: Callable[[], AbstractContextManager[Listener]] = as_it_comes
"""Shows the lines of a build while its block lasts; a program on a terminal sets another one, which condenses them."""
