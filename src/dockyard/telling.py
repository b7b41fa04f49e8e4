"""What goes on, told from anywhere below the programs; where it is shown is for the programs to decide."""

from collections.abc import Callable

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
