"""Accepted findings of `d check`: their keys, and how to read them, in settings and in a file for all services."""

import datetime as dt
from fnmatch import fnmatchcase
from typing import NamedTuple

from dockyard.settings.json_schema import Schema
from dockyard.settings.nodes import Node
from dockyard.settings.record_type import Field, Form, Words, account, one_or_more, read_records
from dockyard.settings.types import Text, Type


class Acceptance(NamedTuple):
    """One accepted finding; `until` is the last day on which it applies, if there is one; `where` names its line.

    `about` is a part of the finding's message, if not every finding of that id is accepted.
    """

    id: str
    where: str
    about: str = ""
    services: tuple[str, ...] = ("*",)
    reason: str = ""
    by: str = ""
    until: dt.date | None = None

    def covers(self, id_: str, service: str, message: str) -> bool:
        """Return whether it covers a finding, regardless of the date."""
        is_for = any(fnmatchcase(service, pattern) for pattern in self.services)
        return self.id == id_ and is_for and self.about in message

    def is_past(self, today: dt.date) -> bool:
        """Return whether it has expired."""
        return self.until is not None and self.until < today


_OF_WHAT = "add the finding's name, which `d check` prints in brackets"
_OWN = Form(
    "acceptance",
    {
        "id": Field(Text("a check's name such as `no-memory-limit`", "[a-z0-9-]+"), "the finding", _OF_WHAT),
        "about": Field(Text("a part of the finding's text"), "the findings of that name that are accepted, if not all"),
        **account("acceptance"),
    },
    "write it like `- {id: no-health-check, reason: it answers only now and then}`",
)
_SERVICES = Field(Words("a name, optionally with `*`, or a list of names"), "the services to which it applies")
_OF_HOST = _OWN._replace(fields={**_OWN.fields, "services": _SERVICES})


class Acceptances(Type[tuple[Acceptance, ...]]):
    """A list of acceptances, or one. Raises SettingsError, with all errors and hints, instead of UnfitError."""

    expected = "a list of acceptances"
    nothing = ()

    def read(self, node: Node) -> tuple[Acceptance, ...]:
        return tuple(_read(one_or_more(node), _OWN))

    def schema(self) -> Schema:
        return _OWN.schema()


def read_acceptances(node: Node) -> list[Acceptance]:
    """Return the acceptances of a file for all services. Raises SettingsError with all errors."""
    return _read(node, _OF_HOST)


def _read(node: Node, form: Form) -> list[Acceptance]:
    return [Acceptance(where=where, **values) for where, values in read_records(node, form)]
