"""YAML as written: scalars keep their text and every item its position, so that a key's type decides what a text means.

YAML 1.1 would make 80022 of `2222:22`, and YAML 1.2 makes 755 of `0755`. Here both stay what the user wrote until a
type reads them.
"""

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

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

# Deeper than any key needs; ten thousand brackets end here.
DEEPEST = 8


def parse(text: str, name: str) -> Mapping:
    """Parse the text of a settings file; `name` is what positions call it.

    Raises SettingsError where the text is not YAML or not a mapping of keys.
    """
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        root = _compose(text, name)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        reason = " ".join(part for part in (error.context, error.problem) if part)
        raise SettingsError([Problem(where, f"not valid YAML: {reason}")]) from None
    except (YAMLError, ValueError) as error:  # a character that no YAML file may hold, or that does not exist
        raise SettingsError([Problem(name, f"not valid YAML: {_first_line(error)}")]) from None
    if root is None:
        return Mapping((), name)
    node = _Converter(name).node(root)
    if isinstance(node, Scalar) and node.empty:
        return Mapping((), name)
    if not isinstance(node, Mapping):
        raise SettingsError([Problem(node.where, "expected `key: value` lines")])
    return node


def _compose(text: str, name: str) -> object:
    """Return the library's own nodes; raises SettingsError where they nest too deeply, before that costs time."""
    import ruamel.yaml
    from ruamel.yaml.composer import Composer

    class Shallow(Composer):
        depth = 0

        def compose_node(self, parent: Any, index: Any) -> Any:  # noqa: ANN401 - the library's signature
            self.depth += 1
            if self.depth > DEEPEST + 1:
                raise _too_deep(self.parser.peek_event(), name)
            node = super().compose_node(parent, index)
            self.depth -= 1
            return node

    reader = ruamel.yaml.YAML(typ="rt", pure=True)
    reader.Composer = Shallow
    return reader.compose(text)


def _where(raw: Any, name: str) -> str:  # noqa: ANN401 - a node or an event of the library
    return f"{name}:{raw.start_mark.line + 1}:{raw.start_mark.column + 1}"


def _too_deep(raw: object, name: str) -> SettingsError:
    return SettingsError([Problem(_where(raw, name), "nested too deeply")])


def _first_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error)).split(" in ")[0]


class _Converter:
    """Makes our nodes of the library's; one that has several aliases is converted once, however many those are."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._done: dict[int, Node] = {}

    def node(self, raw: object, depth: int = 0) -> Node:
        if id(raw) not in self._done:
            self._done[id(raw)] = self._made(raw, depth)
        return self._done[id(raw)]

    def _made(self, raw: object, depth: int) -> Node:
        from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

        if depth > DEEPEST:
            raise _too_deep(raw, self.name)
        where = _where(raw, self.name)
        if isinstance(raw, ScalarNode):
            return self._scalar(raw.value, where, plain=not raw.style)
        if isinstance(raw, SequenceNode):
            return Sequence(tuple(self.node(item, depth + 1) for item in raw.value), where)
        if isinstance(raw, MappingNode):
            pairs = ((self._key(key, depth), self.node(value, depth + 1)) for key, value in raw.value)
            return Mapping(tuple(pairs), where)
        raise SettingsError([Problem(where, "expected a value")])

    @staticmethod
    def _scalar(text: str, where: str, *, plain: bool) -> Scalar:
        """Return a scalar; raises SettingsError for what YAML can write as an escape, but nothing else can take."""
        if re.search(r"[\0\ud800-\udfff]", text):
            raise SettingsError([Problem(where, "text holds a character that no program can be given")])
        return Scalar(text, where, plain)

    def _key(self, raw: object, depth: int) -> Scalar:
        node = self.node(raw, depth + 1)
        if isinstance(node, Scalar):
            return node
        raise SettingsError([Problem(node.where, "a key must be a word, not a list or a map")])
