"""What becomes of the values of a compose file: a setting, a file, something else that is told, or nothing, and why."""

from pathlib import Path
from typing import NamedTuple

from dockyard.moving.tree import Part
from dockyard.settings.nodes import Mapping, Node, Scalar


class Carried(NamedTuple):
    """Values that are carried: by a setting, `key` and an item of its; or, without a key, by what `how` says.

    `parts` are empty for what compose does without being told.
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
    """A file or directory that a service gets: below its directory, with a text or copied from a source."""

    path: str
    text: str = ""
    source: Path | None = None
    mode: int = 0o644


class Line(NamedTuple):
    """A line for the Dockerfile."""

    text: str


class Command(NamedTuple):
    """A command to run before the first launch, for whom it is meant and why."""

    text: str
    why: str
    network: str = ""
    """The network that it creates, if it does."""


class Secret(NamedTuple):
    """A value that is not written anywhere: by what name it is asked for, and where it stands now."""

    name: str
    value: str
    where: str

    def __repr__(self) -> str:
        """Return what may be shown."""
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
