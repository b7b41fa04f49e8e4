"""Lists of maps that declare what is expected or accepted, why, by whom and until when, and how to read them."""

import datetime as dt
import re
from collections.abc import Mapping as Table
from typing import Any, NamedTuple

from dockyard.errors import Problem, SettingsError
from dockyard.settings import json_schema
from dockyard.settings.json_schema import Schema
from dockyard.settings.nodes import Mapping, Node, Scalar, Sequence
from dockyard.settings.types import Text, Type, UnfitError, unfit
from dockyard.text import did_you_mean, listed


class Words(Type[tuple[str, ...]]):
    """One word or a list of words; only `known` ones, if there are any."""

    def __init__(self, expected: str, known: tuple[str, ...] = ()) -> None:
        self.expected = expected
        self.known = known

    def read(self, node: Node) -> tuple[str, ...]:
        items = node.items if isinstance(node, Sequence) else (node,)
        if not items:
            unfit(node, self.expected)
        for item in items:
            if not self.text(item) or (self.known and self.text(item) not in self.known):
                unfit(item, self.expected)
        return tuple(self.text(item) for item in items)

    def schema(self) -> Schema:
        item = {"enum": list(self.known)} if self.known else json_schema.SCALAR
        return json_schema.either(item, {"type": "array", "minItems": 1, "items": item})


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


class Reason(Text):
    def schema(self) -> Schema:
        return json_schema.scalar(r"[\s\S]*\S[\s\S]*")


class Field(NamedTuple):
    """One key of such a map; `needed` is the hint if a required key is missing."""

    type: Type[Any]
    help: str
    needed: str = ""


class Form(NamedTuple):
    """The keys that one map of a list may have; `noun` is the name of such a map."""

    noun: str
    fields: Table[str, Field]
    example: str

    def schema(self) -> Schema:
        """Return the schema of a list of such maps, or of one."""
        one = self.schema_of_one()
        return json_schema.either(one, {"type": "array", "items": one})

    def schema_of_one(self) -> Schema:
        """Return the schema of one such map."""
        named = {name: field.type.schema() for name, field in self.fields.items()}
        return json_schema.closed(named, [name for name, field in self.fields.items() if field.needed])


def account(noun: str) -> dict[str, Field]:
    """Return the keys that every such map may have."""
    why = f"say why this {noun} is needed"
    return {
        "reason": Field(Reason("text that says why"), f"why this {noun} is needed", why),
        "by": Field(Text("a name"), "the person who is responsible"),
        "until": Field(Day(), f"the last day on which this {noun} applies"),
    }


Record = tuple[str, dict[str, Any]]
"""The position of a map, and its values."""


def read_records(node: Node, form: Form) -> list[Record]:
    """Return the values of the maps of a list. Raises SettingsError with all errors."""
    if not isinstance(node, Sequence):
        raise SettingsError([Problem(node.where, f"expected a list of {form.noun}s", form.example)])
    problems: list[Problem] = []
    records: list[Record] = []
    for item in node.items:
        try:
            records.append((item.where, read_record(item, form)))
        except SettingsError as error:
            problems += error.problems
    if problems:
        raise SettingsError(problems)
    return records


def one_or_more(node: Node) -> Node:
    """Return a list; a single map becomes a list of one."""
    return Sequence((node,), node.where) if isinstance(node, Mapping) else node


def read_record(node: Node, form: Form) -> dict[str, Any]:
    """Return the values of one map; raises SettingsError."""
    if not isinstance(node, Mapping):
        raise SettingsError([Problem(node.where, f"expected {_a(form.noun)}", form.example)])
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, value in node.pairs:
        try:
            _refuse_unknown(key, values, form)
            values[key.text] = None
            values[key.text] = _value(key.text, value, form)
        except SettingsError as error:
            problems += error.problems
    written = {key.text for key, _ in node.pairs}
    problems += [
        Problem(node.where, f"`{name}` is missing", field.needed)
        for name, field in form.fields.items()
        if field.needed and name not in written
    ]
    if problems:
        raise SettingsError(problems)
    return values


def _a(noun: str) -> str:
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"


def _refuse_unknown(key: Scalar, values: dict[str, Any], form: Form) -> None:
    """Raise SettingsError for an unknown or duplicate key."""
    if key.text not in form.fields:
        hint = did_you_mean(key.text, form.fields) or f"choose from {listed(form.fields)}"
        raise SettingsError([Problem(key.where, f"unknown key `{key.text}` in {_a(form.noun)}", hint)])
    if key.text in values:
        raise SettingsError([Problem(key.where, f"duplicate key `{key.text}`")])


def _value(name: str, node: Node, form: Form) -> Any:  # noqa: ANN401 - as many types as there are keys
    """Return a value; raises SettingsError."""
    field = form.fields[name]
    if field.needed and isinstance(node, Scalar) and not node.text.strip():
        raise SettingsError([Problem(node.where, f"`{name}` is missing", field.needed)])
    try:
        return field.type.read(node)
    except UnfitError as error:
        raise SettingsError([_unfit(name, field.type, *fault) for fault in error.faults]) from None


def _unfit(name: str, type_: Type[Any], where: str, expected: str, found: str) -> Problem:
    known = type_.known if isinstance(type_, Words) else ()
    return Problem(where, f"`{name}` must be {expected}, not {found}", did_you_mean(found.strip("`"), known))
