"""Rules of what d-cowscan expects: what one says, and how it is read, in a service's settings and in files alike."""

import datetime as dt
import re
from typing import NamedTuple

from dockyard.errors import Problem, SettingsError
from dockyard.settings import json_schema
from dockyard.settings.json_schema import Schema
from dockyard.settings.nodes import Node
from dockyard.settings.record_type import Field, Form, Words, account, one_or_more, read_records
from dockyard.settings.rule_pattern import PatternError, read
from dockyard.settings.types import Boolean, Integer, Type, unfit
from dockyard.text import listed

WHAT = ("new", "replaced", "edited", "metadata", "deleted", "type", "runs", "undeclared")
"""What may be expected: the changes of a layer, what processes run, and what settings do not declare."""
KINDS = ("file", "directory", "link", "pipe", "socket", "device", "process", "mount", "image", "container")

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


class Size(Type[int]):
    expected = "a number of bytes"

    def read(self, node: Node) -> int:
        text = self.text(node)
        if not re.fullmatch(r"[0-9]{1,19}", text, re.ASCII):
            unfit(node, self.expected)
        return int(text)

    def schema(self) -> Schema:
        return json_schema.either({"type": "integer", "minimum": 0}, json_schema.string("[0-9]{1,19}"))


class PathPattern(Type[str]):
    """A pattern of paths. Raises SettingsError with a hint, in place of UnfitError, for one that cannot be."""

    expected = "a path or pattern that begins with `/`"

    def read(self, node: Node) -> str:
        text = self.text(node)
        try:
            read(text)
        except PatternError as error:
            raise SettingsError([Problem(node.where, str(error), error.hint)]) from None
        return text

    def schema(self) -> Schema:
        return json_schema.string(r"/[\s\S]*")


FIELDS: dict[str, Field] = {
    "path": Field(PathPattern(), "the paths that it covers", "a rule says what it covers"),
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
    **account("rule"),
}
"""Every key of a rule: reading, complaints and docs/reference/cowscan-rules.md come from here."""

_FORM = Form("rule", FIELDS, "such as `- {path: /var/log/web/*.log, reason: its logs}`")


class Rules(Type[tuple[Rule, ...]]):
    """A list of rules, or one. Raises SettingsError, with all that is wrong and hints, in place of UnfitError."""

    expected = "a list of rules"
    nothing = ()

    def read(self, node: Node) -> tuple[Rule, ...]:
        return tuple(read_rules(one_or_more(node)))

    def schema(self) -> Schema:
        return _FORM.schema()


def read_rules(node: Node) -> list[Rule]:
    """Return the rules that a list holds. Raises SettingsError with everything that is wrong."""
    return [Rule(where=where, **values) for where, values in read_records(node, _FORM)]
