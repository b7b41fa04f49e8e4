"""Rules of changes that d-cowscan expects: their keys, and how to read them, in a service's settings and in files."""

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
"""What a rule may expect: changes of a layer, running programs, and what settings do not declare."""
KINDS = ("file", "directory", "link", "pipe", "socket", "device", "process", "mount", "image", "container")

_MOST_HELD = 10_000  # a scan holds back that many entries before it reports them
_LARGEST_ID = 2**32 - 1


class Rule(NamedTuple):
    """One rule: a pattern (see rule_pattern.py), and conditions that a change must also meet; `where` names its line.

    `executable` allows executable files, and programs by their first bytes; no rule allows files that grant privileges.
    `append_only`: files of the image must still begin with their content in the image. `max_count` applies to each
    container. `until` is the last day on which the rule applies. `only` are names of containers, if the rule is in a
    service's settings; owners are as the container sees them.
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
    """A pattern of paths. Raises SettingsError with a hint, instead of UnfitError, for an invalid one."""

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
    "path": Field(PathPattern(), "the paths that it covers", "add the paths that the rule covers"),
    "containers": Field(Words("a name, optionally with `*`, or a list of names"), "the containers to which it applies"),
    "what": Field(Words(f"one or more of {listed(WHAT)}", WHAT), "the changes that it expects"),
    "kinds": Field(Words(f"one or more of {listed(KINDS)}", KINDS), "the kinds of entries that it covers"),
    "owner": Field(Integer(0, _LARGEST_ID), "the owner's UID, as the container sees it"),
    "group": Field(Integer(0, _LARGEST_ID), "the group's GID, as the container sees it"),
    "executable": Field(Boolean(), "whether entries may be programs"),
    "append_only": Field(Boolean(), "cover a file of the image only if it still begins with its content in the image"),
    "max_size": Field(Size(), "maximum size of an entry in bytes"),
    "max_count": Field(
        Integer(1, _MOST_HELD), "maximum number of entries in one container; if there are more, all are reported"
    ),
    **account("rule"),
}
"""Every key of a rule; reading, errors and docs/reference/cowscan-rules.md use this table."""

_FORM = Form("rule", FIELDS, "write it like `- {path: /var/log/web/*.log, reason: its logs}`")


class Rules(Type[tuple[Rule, ...]]):
    """A list of rules, or one. Raises SettingsError, with all errors and hints, instead of UnfitError."""

    expected = "a list of rules"
    nothing = ()

    def read(self, node: Node) -> tuple[Rule, ...]:
        return tuple(read_rules(one_or_more(node)))

    def schema(self) -> Schema:
        return _FORM.schema()


def read_rules(node: Node) -> list[Rule]:
    """Return the rules of a list. Raises SettingsError with all errors."""
    return [Rule(where=where, **values) for where, values in read_records(node, _FORM)]
