"""Command lines: options as data; parser.py reads them."""

from typing import Any, NamedTuple


class Option(NamedTuple):
    """A flag or an argument: its names, the keyword that it sets, and what argparse needs to know besides."""

    names: tuple[str, ...]
    help: str
    more: dict[str, Any]
    takes_flags: bool = False
    """Whether its value may begin with `-`, as flags of another program do."""

    @property
    def is_switch(self) -> bool:
        """Whether it is given or not, and sets the keyword of its own name."""
        return self.more == {"action": "store_true"}


def flag(*names: str, help: str, **more: Any) -> Option:  # noqa: A002, ANN401 - argparse's words
    """Return a flag that is given or not."""
    return Option(names, help, {"action": "store_true", **more})


def option(*names: str, help: str, **more: Any) -> Option:  # noqa: A002, ANN401
    """Return an option with a value; an empty string where it is not given."""
    return Option(names, help, {"default": "", **more})


def argument(name: str, **more: Any) -> Option:  # noqa: ANN401
    """Return a positional argument."""
    return Option((name,), "", more)


SHOW_VERSION = "show_version"
"""The action of `--version`, as parser.py knows it."""

REST = "..."
"""How many values an argument takes that takes all that is left."""

VERSION = Option(("--version",), "show the version and exit", {"action": SHOW_VERSION})
