"""Points of `d check` that somebody accepts: what one says; how it is read, in settings and in a file for all."""

import datetime as dt
from fnmatch import fnmatchcase
from typing import NamedTuple

from dockyard.settings.json_schema import Schema
from dockyard.settings.nodes import Node
from dockyard.settings.record_type import Field, Form, Words, account, one_or_more, read_records
from dockyard.settings.types import Text, Type


class Acceptance(NamedTuple):
    """One point that is accepted, until a day perhaps, the last on which it counts; `where` names its line.

    `about` is a part of the point's message, where not every point of that id is meant.
    """

    id: str
    where: str
    about: str = ""
    services: tuple[str, ...] = ("*",)
    reason: str = ""
    by: str = ""
    until: dt.date | None = None

    def covers(self, id_: str, service: str, message: str) -> bool:
        """Return whether it is about a point, whatever day it is."""
        is_for = any(fnmatchcase(service, pattern) for pattern in self.services)
        return self.id == id_ and is_for and self.about in message

    def is_past(self, today: dt.date) -> bool:
        """Return whether it counts no more."""
        return self.until is not None and self.until < today


_OF_WHAT = "an acceptance says of what: `d check` shows each point's name in brackets"
_OWN = Form(
    "acceptance",
    {
        "id": Field(Text("a check's name such as `no-memory-limit`", "[a-z0-9-]+"), "the point", _OF_WHAT),
        "about": Field(Text("a part of the point's text"), "which of that name, where not all are meant"),
        **account("acceptance"),
    },
    "such as `- {id: no-health-check, reason: it answers only now and then}`",
)
_SERVICES = Field(Words("a name with `*` perhaps, or a list of such"), "the services that it is for")
_OF_HOST = _OWN._replace(fields={**_OWN.fields, "services": _SERVICES})


class Acceptances(Type[tuple[Acceptance, ...]]):
    """A list of acceptances, or one. Raises SettingsError, with all that is wrong and hints, in place of UnfitError."""

    expected = "a list of acceptances"
    nothing = ()

    def read(self, node: Node) -> tuple[Acceptance, ...]:
        return tuple(_read(one_or_more(node), _OWN))

    def schema(self) -> Schema:
        return _OWN.schema()


def read_acceptances(node: Node) -> list[Acceptance]:
    """Return what a file for all services accepts. Raises SettingsError with everything that is wrong."""
    return _read(node, _OF_HOST)


def _read(node: Node, form: Form) -> list[Acceptance]:
    return [Acceptance(where=where, **values) for where, values in read_records(node, form)]
