"""`.env` and `env_file` as compose reads them."""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from dockyard.errors import Problem, SettingsError
from dockyard.moving.interpolation import interpolate

_LINE = re.compile(r"\s*(?:export\s+)?(?P<name>[A-Za-z_][A-Za-z0-9_.\-]*)[ \t]*(?:[=:][ \t]*|(?=\r?\n|$))")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$$"}


class Assignment(NamedTuple):
    """A variable of such a file: its value, its line, and the variables that its value uses.

    The value is None if the file names the variable without a `=`: it is taken from the environment, if set there.
    """

    name: str
    value: str | None
    where: str
    used: tuple[str, ...] = ()


def read_assignments(text: str, name: str, variables: Mapping[str, str], *, raw: bool = False) -> list[Assignment]:
    """Return the variables of a file called `name`, in order; `variables` are known already and take precedence.

    `raw`: values are taken literally. Raises SettingsError for a line that is not an assignment.
    """
    found: list[Assignment] = []
    for line, key, value, quote in _entries(text, name):
        known = {one.name: one.value for one in found if one.value is not None} | dict(variables)
        where = f"{name}:{line}"
        if value is None or raw or quote == "'":
            found.append(Assignment(key, value, where))
            continue
        done = interpolate(value, known)
        if done.problem:
            raise SettingsError([Problem(where, done.problem)])
        found.append(Assignment(key, done.text, where, done.used))
    return found


def _entries(text: str, name: str) -> Iterator[tuple[int, str, str | None, str]]:
    """Yield line, name, value and kind of quotes of each assignment."""
    position = 0
    while position < len(text):
        blank = re.compile(r"[ \t]*(?:#[^\n]*)?(?:\r?\n|$)").match(text, position)
        if blank and blank.end() > position:
            position = blank.end()
            continue
        line = text.count("\n", 0, position) + 1
        begin = _LINE.match(text, position)
        if not begin:
            raise SettingsError([Problem(f"{name}:{line}", "this is not an assignment `NAME=VALUE`")])
        if not begin[0].rstrip(" \t").endswith(("=", ":")):
            yield line, begin["name"], None, ""
            position = begin.end()
            continue
        value, quote, position = _value(text, begin.end(), f"{name}:{line}")
        yield line, begin["name"], value, quote


def _value(text: str, start: int, where: str) -> tuple[str, str, int]:
    """Return a value, its quotes, and where it ends."""
    quote = text[start : start + 1]
    if quote not in {"'", '"'}:
        end = next((at for at in (text.find("\n", start),) if at >= 0), len(text))
        return re.split(r"(?:^|\s+)#", text[start:end].rstrip("\r"), maxsplit=1)[0].strip(), "", end
    closed = re.compile(r"'([^']*)'" if quote == "'" else r'"((?:[^"\\]|\\.)*)"', re.DOTALL).match(text, start)
    if not closed:
        raise SettingsError([Problem(where, f"the value has no closing {quote}")])
    if quote == "'":
        return closed[1], quote, closed.end()
    escaped = re.sub(r"(?s)\\(.)", lambda found: _ESCAPES.get(found[1], found[0]), closed[1])
    return escaped, quote, closed.end()
