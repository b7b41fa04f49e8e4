"""YAML as written: scalars keep their text and every item its position, so that a key's type decides what a text means.

YAML 1.1 would make 80022 of `2222:22`, and YAML 1.2 makes 755 of `0755`. Here both stay what the user wrote until a
type reads them.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias

from dockyard.errors import Problem, SettingsError


@dataclass(frozen=True)
class Scalar:
    """A text; `plain` where it stood without quotes, so that an empty one, `~` and `null` mean nothing."""

    text: str
    where: str = ""
    plain: bool = False

    @property
    def empty(self) -> bool:
        """Whether the user wrote no value at all."""
        return self.plain and self.text in {"", "~", "null", "Null", "NULL"}


@dataclass(frozen=True)
class Sequence:
    items: "tuple[Node, ...]"
    where: str = ""


@dataclass(frozen=True)
class Mapping:
    pairs: "tuple[tuple[Scalar, Node], ...]"
    where: str = ""


Node: TypeAlias = Scalar | Sequence | Mapping

# Deeper than any key needs; an alias bomb or ten thousand brackets end here.
DEEPEST = 8


def parse(text: str, name: str) -> Mapping:
    """Parse the text of a settings file; `name` is what positions call it.

    Raises SettingsError where the text is not YAML or not a mapping of keys.
    """
    import ruamel.yaml
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    reader = ruamel.yaml.YAML(typ="rt", pure=True)
    try:
        root = reader.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        reason = " ".join(part for part in (error.context, error.problem) if part)
        raise SettingsError([Problem(where, f"not valid YAML: {reason}")]) from None
    except RecursionError:
        raise SettingsError([Problem(name, "nested too deeply")]) from None
    except YAMLError as error:  # a character that no YAML file may hold
        raise SettingsError([Problem(name, f"not valid YAML: {_first_line(error)}")]) from None
    if root is None:
        return Mapping((), name)
    node = _convert(root, name, 0)
    if isinstance(node, Scalar) and node.empty:
        return Mapping((), name)
    if not isinstance(node, Mapping):
        raise SettingsError([Problem(node.where, "expected `key: value` lines")])
    return node


def _first_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error)).split(" in ")[0]


def _convert(raw: object, name: str, depth: int) -> Node:
    from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

    mark = raw.start_mark  # type: ignore[attr-defined]
    where = f"{name}:{mark.line + 1}:{mark.column + 1}"
    if depth > DEEPEST:
        raise SettingsError([Problem(where, "nested too deeply")])
    if isinstance(raw, ScalarNode):
        return Scalar(raw.value, where, plain=raw.style is None or raw.style == "")
    if isinstance(raw, SequenceNode):
        return Sequence(tuple(_convert(item, name, depth + 1) for item in raw.value), where)
    if isinstance(raw, MappingNode):
        return Mapping(tuple((_key(k, name, depth), _convert(v, name, depth + 1)) for k, v in raw.value), where)
    raise SettingsError([Problem(where, "expected a value")])


def _key(raw: object, name: str, depth: int) -> Scalar:
    node = _convert(raw, name, depth + 1)
    if isinstance(node, Scalar):
        return node
    raise SettingsError([Problem(node.where, "a key must be a word, not a list or a map")])
