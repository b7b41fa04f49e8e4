"""Outcomes of the values of a compose file: a setting, a file, something else that is reported, or nothing, and why."""

from pathlib import Path
from typing import NamedTuple

from dockyard.moving.tree import Part
from dockyard.settings.nodes import Mapping, Node, Scalar


class Carried(NamedTuple):
    """Values that are carried over: by a setting, `key` with an item; or, without a key, as `how` says.

    `parts` are empty for defaults of compose.
    """

    parts: tuple[Part, ...]
    key: str = ""
    node: Node = Scalar("")
    how: str = ""


class Left(NamedTuple):
    """Values that are left behind: why, and what to do instead."""

    parts: tuple[Part, ...]
    why: str
    instead: str = ""


class File(NamedTuple):
    """A file or directory of a new service: its path below its directory, and its text or the source of a copy."""

    path: str
    text: str = ""
    source: Path | None = None
    mode: int = 0o644


class Line(NamedTuple):
    """A line for the Dockerfile."""

    text: str


class Command(NamedTuple):
    """A command to run before the first launch, and why."""

    text: str
    why: str
    network: str = ""
    """The network that it creates, if any."""


class Secret(NamedTuple):
    """A value that is never written: the name by which it is requested, and its current location."""

    name: str
    value: str
    where: str

    def __repr__(self) -> str:
        """Return it without the value."""
        return f"Secret({self.name!r}, ***, {self.where!r})"


Outcome = Carried | Left | File | Line | Command | Secret


def setting(key: str, text: str, *parts: Part) -> Carried:
    """Return a setting, or one item of a list."""
    return Carried(parts, key, Scalar(text, parts[0].node.where if parts else ""))


def pair(key: str, name: str, text: str, *parts: Part) -> Carried:
    """Return one pair of a setting that is a map, or a list of pairs."""
    where = parts[0].node.where if parts else ""
    return Carried(parts, key, Mapping(((Scalar(name, where), Scalar(text, where)),), where))


def flag(name: str, text: str, *parts: Part) -> Carried:
    """Return a raw flag of the engine."""
    return setting("extra_docker", f"{name}={text}", *parts)
