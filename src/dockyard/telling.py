"""What goes on, told from anywhere below the programs; where it is shown is for the programs to decide."""

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from dockyard.masking import known

Listener = Callable[[str], None]


def _nobody(_text: str) -> None:
    """Tell nobody: a library is silent."""


listener: Listener = _nobody
"""Who is told; the printer of the programs sets it."""


def say(text: str) -> None:
    """Tell what goes on."""
    listener(text)


def warn(text: str) -> None:
    """Tell what the user should know."""
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
