"""Reads command lines, by argparse, which starts many times faster than the rest of its field.

Why, with figures: docs/decisions/command-lines.md. Imported where there is something to read: `d ls` has nothing.
"""

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from dockyard.cli.command import SHOW_VERSION, Option
from dockyard.errors import UsageError
from dockyard.text import did_you_mean


class Parser(argparse.ArgumentParser):
    """A parser whose complaints are UsageErrors, each with a hint."""

    def __init__(self, name: str, description: str, options: Sequence[Option], **more: Any) -> None:  # noqa: ANN401
        super().__init__(prog=name, description=description, allow_abbrev=False, formatter_class=_wide_help, **more)
        self.register("action", SHOW_VERSION, ShowVersion)
        self._takes_flags = {name for entry in options if entry.takes_flags for name in entry.names}
        for entry in options:
            self.add_argument(*entry.names, help=entry.help, **entry.more)

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(message, hint=f"`{self.prog} --help` shows what there is")

    def read(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Return the options by keyword. Raises UsageError."""
        found, rest = self.parse_known_args(self._joined(arguments))
        if rest:
            known = [name for action in self._actions for name in action.option_strings]
            hint = did_you_mean(rest[0], known) or f"`{self.prog} --help` shows what there is"
            raise UsageError(f"{'no option' if rest[0].startswith('-') else 'not expected:'} `{rest[0]}`", hint)
        return vars(found)

    def _joined(self, arguments: Sequence[str]) -> list[str]:
        """Return the arguments with `--option=value` for options whose value may begin with `-`.

        A value that is another option of this parser, to the letter, is one: then the value is missing.
        """
        joined: list[str] = []
        for word in arguments:
            is_value = joined and joined[-1] in self._takes_flags and word.startswith("-")
            if is_value and word not in self._option_string_actions:
                joined[-1] = f"{joined[-1]}={word}"
            else:
                joined.append(word)
        return joined


def _wide_help(prog: str) -> argparse.HelpFormatter:
    return argparse.HelpFormatter(prog, max_help_position=32, width=110)


class ShowVersion(argparse.Action):
    """`--version`: looks the version up only when asked for."""

    def __init__(self, option_strings: Sequence[str], dest: str, **more: Any) -> None:  # noqa: ANN401
        super().__init__(option_strings, dest, nargs=0, default=argparse.SUPPRESS, **more)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        """Print it and end."""
        from importlib.metadata import version

        parser.exit(message=f"{parser.prog} (dockyard {version('dockyard')})\n")
