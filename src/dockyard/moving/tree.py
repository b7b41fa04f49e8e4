"""A compose file as a tree of parts, each with its path of keys and its position."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from dockyard.errors import DockyardError
from dockyard.settings.nodes import Mapping, Node, Scalar, Sequence

MOST_LEAVES = 100_000  # more than any project has: a limit for nested aliases
TRUE = {"true", "1", "t", "y", "yes", "on"}


class Part(NamedTuple):
    """A part of a compose file: its path of keys, and its node."""

    path: tuple[str, ...]
    node: Node

    @property
    def where(self) -> str:
        """Its file and line."""
        return self.node.where.rpartition(":")[0]

    @property
    def key(self) -> str:
        """Its path with dots."""
        return ".".join(self.path)

    @property
    def text(self) -> str:
        """Its value; empty for a list, a map, and an empty value."""
        return self.node.text if isinstance(self.node, Scalar) and not self.node.empty else ""

    @property
    def is_set(self) -> bool:
        """Whether it is a switch that is on."""
        return self.text.lower() in TRUE

    @property
    def is_empty(self) -> bool:
        """Whether it has no value."""
        return isinstance(self.node, Scalar) and self.node.empty

    def pairs(self) -> dict[str, "Part"]:
        """Return the parts of a map by their keys; empty for anything else."""
        if not isinstance(self.node, Mapping):
            return {}
        return {key.text: Part((*self.path, key.text), value) for key, value in self.node.pairs}

    def items(self) -> list["Part"]:
        """Return the parts of a list; a text counts as a list of one, a map as an empty one."""
        if isinstance(self.node, Sequence):
            return [Part((*self.path, str(number)), item) for number, item in enumerate(self.node.items)]
        return [self] if self.text else []

    def at(self, *path: str) -> "Part | None":
        """Return the part at a path of keys below this one."""
        found: Part | None = self
        for key in path:
            found = found.pairs().get(key) if found else None
        return found

    def leaves(self) -> tuple["Part", ...]:
        """Return all values in it; an empty list or map is one. Raises DockyardError if there are too many."""
        found: list[Part] = []
        for leaf in self._leaves():
            found.append(leaf)
            if len(found) > MOST_LEAVES:
                raise DockyardError(f"{self.where}: more than {MOST_LEAVES} values", hint="look for nested aliases")
        return tuple(found)

    def _leaves(self) -> Iterator["Part"]:
        inner = [*self.pairs().values()] if isinstance(self.node, Mapping) else self.items()
        if not inner or isinstance(self.node, Scalar):
            yield self
        else:
            for part in inner:
                yield from part._leaves()  # noqa: SLF001 - of its own kind


def size(text: str) -> str:
    """Return a size of compose in the form of the engine's flags: `1.5GB` and `1.5 GiB` are `1.5g`."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmg]?)(?:i?b)?", text.strip().lower())
    return found[1] + found[2] if found else text


def seconds(text: str) -> float | None:
    """Return the seconds of a duration such as `1m30s`; None for anything else."""
    units = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
    found = re.findall(r"(\d+(?:\.\d+)?)(us|ms|s|m|h)", text)
    whole = "".join(number + unit for number, unit in found)
    return sum(float(number) * units[unit] for number, unit in found) if found and whole == text.strip() else None
