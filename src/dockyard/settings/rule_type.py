"""Rules of what d-cowscan expects: what one says, and how it is read, in a service's settings and in files alike."""

import datetime as dt
import re
from typing import Any, NamedTuple

from dockyard.errors import Problem, SettingsError
from dockyard.settings import json_schema
from dockyard.settings.json_schema import Schema
from dockyard.settings.nodes import Mapping, Node, Scalar, Sequence
from dockyard.settings.rule_pattern import PatternError, read
from dockyard.settings.types import Boolean, Integer, Text, Type, UnfitError, unfit
from dockyard.text import did_you_mean, listed

WHAT = ("new", "replaced", "edited", "metadata", "deleted", "type", "runs", "undeclared")
"""What may be expected: the changes of a layer, what processes run, and what settings do not declare."""
KINDS = ("file", "directory", "link", "pipe", "socket", "device", "process", "mount", "image", "container")
EXAMPLE = "such as `- {path: /var/log/web/*.log, reason: its logs}`"

_MOST_HELD = 10_000  # a scan holds back that many entries before it tells them
_LARGEST_ID = 2**32 - 1


class Rule(NamedTuple):
    """One expectation: a pattern (see rule_pattern.py), and what a change has to be besides; `where` names its line.

    `executable` allows files that can be run, and programs by their first bytes; nothing allows what gives rights.
    `append_only`: of files of the image only those that still begin with what the image has. `max_count` is for each
    container. `until` is the last day on which it counts. `only` are names of containers, where a service's settings
    hold the rule; owners are as the container sees them.
    """

    path: str
    where: str
    containers: tuple[str, ...] = ("*",)
    what: tuple[str, ...] = ("new", "edited", "replaced")
    kinds: tuple[str, ...] = ("file", "directory")
    owner: int | None = None
    group: int | None = None
    executable: bool = False
    append_only: bool = False
    max_size: int | None = None
    max_count: int | None = None
    reason: str = ""
    by: str = ""
    until: dt.date | None = None
    only: frozenset[str] | None = None


class Words(Type[tuple[str, ...]]):
    """One word, or a list of some; of the `known` ones, where there are any."""

    def __init__(self, expected: str, known: tuple[str, ...] = ()) -> None:
        self.expected = expected
        self._known = known

    def read(self, node: Node) -> tuple[str, ...]:
        items = node.items if isinstance(node, Sequence) else (node,)
        if not items:
            unfit(node, self.expected)
        for item in items:
            if not self.text(item) or (self._known and self.text(item) not in self._known):
                unfit(item, self.expected)
        return tuple(self.text(item) for item in items)

    def schema(self) -> Schema:
        item = {"enum": list(self._known)} if self._known else json_schema.SCALAR
        return json_schema.either(item, {"type": "array", "minItems": 1, "items": item})


class Size(Type[int]):
    expected = "a number of bytes"

    def read(self, node: Node) -> int:
        text = self.text(node)
        if not re.fullmatch(r"[0-9]{1,19}", text, re.ASCII):
            unfit(node, self.expected)
        return int(text)

    def schema(self) -> Schema:
        return json_schema.either({"type": "integer", "minimum": 0}, json_schema.string("[0-9]{1,19}"))


class Day(Type[dt.date]):
    expected = "a day such as `2027-01-31`"

    def read(self, node: Node) -> dt.date:
        text = self.text(node)
        if not re.fullmatch(r"\d{4}-\d{2}-\d{2}", text, re.ASCII):
            unfit(node, self.expected)
        try:
            return dt.date.fromisoformat(text)
        except ValueError:
            unfit(node, self.expected)

    def schema(self) -> Schema:
        return json_schema.string(r"\d{4}-\d{2}-\d{2}")


class Field(NamedTuple):
    """One key of a rule; `needed`: why no rule is without it."""

    type: Type[Any]
    help: str
    needed: str = ""


FIELDS: dict[str, Field] = {
    "path": Field(Text("a pattern that begins with `/`"), "the paths that it covers", "a rule says what it covers"),
    "reason": Field(Text("words that say why"), "why", "a rule says why: whoever reads it next year wants to know"),
    "containers": Field(Words("a name with `*` perhaps, or a list of such"), "the containers that it is for"),
    "what": Field(Words(f"of {listed(WHAT)}", WHAT), "which changes it expects"),
    "kinds": Field(Words(f"of {listed(KINDS)}", KINDS), "of which kinds of entries"),
    "owner": Field(Integer(0, _LARGEST_ID), "the owner's id, as the container sees it"),
    "group": Field(Integer(0, _LARGEST_ID), "the group's id, as the container sees it"),
    "executable": Field(Boolean(), "whether it may be a program"),
    "append_only": Field(Boolean(), "of files of the image, only those that still begin with what the image has"),
    "max_size": Field(Size(), "bytes of the largest"),
    "max_count": Field(
        Integer(1, _MOST_HELD), "how many entries of one container; with one more, all of them are told"
    ),
    "by": Field(Text("who says so"), "who answers for it"),
    "until": Field(Day(), "the last day on which it counts"),
}
"""Every key of a rule: reading, complaints and docs/reference/cowscan-rules.md come from here."""


class Rules(Type[tuple[Rule, ...]]):
    """A list of rules, or one. Raises SettingsError, with all that is wrong and hints, in place of UnfitError."""

    expected = "a list of rules"
    nothing = ()

    def read(self, node: Node) -> tuple[Rule, ...]:
        return tuple(read_rules(Sequence((node,), node.where) if isinstance(node, Mapping) else node))

    def schema(self) -> Schema:
        named = {name: field.type.schema() for name, field in FIELDS.items()}
        patterned = {
            **named,
            "path": json_schema.string(r"/[\s\S]*"),
            "reason": json_schema.scalar(r"[\s\S]*\S[\s\S]*"),
        }
        rule = json_schema.closed(patterned, [name for name, field in FIELDS.items() if field.needed])
        return json_schema.either(rule, {"type": "array", "items": rule})


def read_rules(node: Node) -> list[Rule]:
    """Return the rules that a list holds. Raises SettingsError with everything that is wrong."""
    if not isinstance(node, Sequence):
        raise SettingsError([Problem(node.where, "not a list of rules", EXAMPLE)])
    problems: list[Problem] = []
    rules: list[Rule] = []
    for item in node.items:
        try:
            rules.append(_rule(item))
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return rules


def _rule(node: Node) -> Rule:
    """Return one rule; raises SettingsError."""
    if not isinstance(node, Mapping):
        raise SettingsError([Problem(node.where, "not a rule", EXAMPLE)])
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, value in node.pairs:
        try:
            _refuse_unknown(key, values)
            values[key.text] = None
            values[key.text] = _value(key.text, value)
        except SettingsError as error:
            problems += error.problems
    written = {key.text for key, _ in node.pairs}
    problems += [
        Problem(node.where, f"no `{name}`", field.needed)
        for name, field in FIELDS.items()
        if field.needed and name not in written
    ]
    if problems:
        raise SettingsError(problems)
    return Rule(where=node.where, **values)


def _refuse_unknown(key: Scalar, values: dict[str, Any]) -> None:
    """Raise SettingsError for a word that no rule has, or that stands there again."""
    if key.text not in FIELDS:
        hint = did_you_mean(key.text, FIELDS) or f"there are {listed(FIELDS)}"
        raise SettingsError([Problem(key.where, f"unknown key `{key.text}` of a rule", hint)])
    if key.text in values:
        raise SettingsError([Problem(key.where, f"`{key.text}` stands twice")])


def _value(name: str, node: Node) -> Any:  # noqa: ANN401 - as many types as there are keys
    """Return a value; raises SettingsError."""
    if FIELDS[name].needed and isinstance(node, Scalar) and not node.text.strip():
        raise SettingsError([Problem(node.where, f"no `{name}`", FIELDS[name].needed)])
    try:
        value = FIELDS[name].type.read(node)
        if name == "path":
            read(value)
    except UnfitError as error:
        raise SettingsError([_unfit(name, *fault) for fault in error.faults]) from None
    except PatternError as error:
        raise SettingsError([Problem(node.where, str(error), error.hint)]) from None
    return value


def _unfit(name: str, where: str, expected: str, found: str) -> Problem:
    known = {"what": WHAT, "kinds": KINDS}.get(name, ())
    return Problem(where, f"`{name}` must be {expected}, not {found}", did_you_mean(found.strip("`"), known))
