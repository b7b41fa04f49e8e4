"""Command lines: options as data; parser.py reads them."""

from typing import Any, NamedTuple


class Option(NamedTuple):
    """A flag or an argument: its names, the keyword that it sets, and further arguments of argparse."""

    names: tuple[str, ...]
    help: str
    more: dict[str, Any]
    takes_flags: bool = False
    """Whether its value may begin with `-`, such as flags of another program."""

    @property
    def is_switch(self) -> bool:
        """Whether it has no value, and sets the keyword of its own name."""
        return self.more == {"action": "store_true"}


def flag(*names: str, help: str, **more: Any) -> Option:  # noqa: A002, ANN401 - argparse's words
    """Return a flag without a value."""
    return Option(names, help, {"action": "store_true", **more})


def option(*names: str, help: str, **more: Any) -> Option:  # noqa: A002, ANN401
    """Return an option with a value; the default is an empty string."""
    return Option(names, help, {"default": "", **more})


def argument(name: str, **more: Any) -> Option:  # noqa: ANN401
    """Return a positional argument."""
    return Option((name,), "", more)


SHOW_VERSION = "show_version"
"""The action of `--version`, which parser.py implements."""

REST = "..."
"""The `nargs` of an argument that takes all remaining values."""

VERSION = Option(("--version",), "show the version and exit", {"action": SHOW_VERSION})
