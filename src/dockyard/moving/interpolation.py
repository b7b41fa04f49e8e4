"""`$NAME` and `${NAME:-default}` in the values of a compose file, as compose replaces them."""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from dockyard.errors import Problem

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPERATOR = re.compile(r":?[-?+]")


class Interpolated(NamedTuple):
    """A text with its variables replaced: those that were used, those without a value, and what is wrong."""

    text: str
    used: tuple[str, ...] = ()
    unset: tuple[str, ...] = ()
    problem: str = ""


class _WrongError(Exception):
    """A variable that cannot be replaced; the text says why."""


def interpolate(text: str, variables: Mapping[str, str]) -> Interpolated:
    """Replace the variables of a text; `$$` is a dollar."""
    if "$" not in text:
        return Interpolated(text)
    reader = _Reader(variables)
    try:
        return Interpolated(reader.replace(text), tuple(reader.used), tuple(reader.unset))
    except _WrongError as error:
        return Interpolated(text, problem=str(error))


class _Reader:
    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables
        self.used: dict[str, None] = {}
        self.unset: dict[str, None] = {}

    def replace(self, text: str) -> str:
        found: list[str] = []
        position = 0
        while (dollar := text.find("$", position)) >= 0:
            found.append(text[position:dollar])
            value, position = self._variable(text, dollar + 1)
            found.append(value)
        return "".join([*found, text[position:]])

    def _variable(self, text: str, start: int) -> tuple[str, int]:
        """Return the value of the variable that begins after a dollar, and where it ends."""
        if text[start : start + 1] == "$":
            return "$", start + 1
        if name := _NAME.match(text, start):
            return self._plain(name[0]), name.end()
        if text[start : start + 1] != "{":
            raise _WrongError("this `$` does not begin a variable: `$$` is a dollar")
        end = _closing(text, start + 1)
        return self._braced(text[start + 1 : end]), end + 1

    def _plain(self, name: str) -> str:
        self.used[name] = None
        if name not in self._variables:
            self.unset[name] = None
        return self._variables.get(name, "")

    def _braced(self, inner: str) -> str:
        name = _NAME.match(inner)
        operator = _OPERATOR.match(inner, name.end()) if name else None
        if not name or (name.end() != len(inner) and not operator):
            raise _WrongError("this `${…}` is not a variable")
        if not operator:
            return self._plain(name[0])
        self.used[name[0]] = None
        value = self._variables.get(name[0])
        there = bool(value) if operator[0].startswith(":") else value is not None
        rest = inner[operator.end() :]
        choose: Mapping[str, Callable[[], str]] = {
            "-": lambda: (value or "") if there else self.replace(rest),
            "+": lambda: self.replace(rest) if there else "",
            "?": lambda: (value or "") if there else self._required(name[0], rest),
        }
        return choose[operator[0][-1]]()

    def _required(self, name: str, message: str) -> str:
        raise _WrongError(f"`{name}` has no value" + (f": {message}" if message else ""))


def _closing(text: str, start: int) -> int:
    """Return where the brace that was opened before `start` ends."""
    depth = 1
    for position in range(start, len(text)):
        depth += (text.startswith("${", position)) - (text[position] == "}")
        if not depth:
            return position
    raise _WrongError("this `${` has no `}`")


def problem_at(where: str, found: Interpolated) -> list[Problem]:
    """Return what is wrong with an interpolated text, as a problem with its position."""
    return [Problem(where, found.problem, "set it in the environment or in .env")] if found.problem else []
