"""YAML as written: scalars keep their text and every item its position, so that a key's type decides what a text means.

YAML 1.1 reads `2222:22` as 80022, and YAML 1.2 reads `0755` as 755. Here both remain text until a type reads them.
"""

import re
from typing import Any, NamedTuple, TypeAlias

from dockyard.errors import Problem, SettingsError


class Scalar(NamedTuple):
    """A text; `plain` if it was written without quotes, so that an empty one, `~` and `null` mean no value."""

    text: str
    where: str = ""
    plain: bool = False

    @property
    def empty(self) -> bool:
        """Whether the user wrote no value."""
        return self.plain and self.text in {"", "~", "null", "Null", "NULL"}


class Sequence(NamedTuple):
    items: "tuple[Node, ...]"
    where: str = ""


class Mapping(NamedTuple):
    pairs: "tuple[tuple[Scalar, Node], ...]"
    where: str = ""


Node: TypeAlias = Scalar | Sequence | Mapping

# Deeper than any key needs; limits input such as ten thousand brackets.
DEEPEST = 8


def parse(text: str, name: str) -> Mapping:
    """Parse the text of a settings file; `name` is the file's name in positions.

    Raises SettingsError if the text is not YAML or not a mapping of keys.
    """
    node = document(text, name)
    if isinstance(node, Scalar) and node.empty:
        return Mapping((), name)
    if not isinstance(node, Mapping):
        raise SettingsError([Problem(node.where, "expected `key: value` lines")])
    return node


def document(text: str, name: str, deepest: int = DEEPEST) -> Node:
    """Parse a text; an empty text is an empty scalar.

    Raises SettingsError if it is not YAML, or nested more deeply than `deepest`.
    """
    from ruamel.yaml.composer import MaxDepthExceededError
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        root = _compose(text, deepest)
    except MaxDepthExceededError as error:
        raise _too_deep(name, error.problem_mark) from None
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = _where(name, mark) if mark else name
        reason = " ".join(part for part in (error.context, error.problem) if part)
        raise SettingsError([Problem(where, f"not valid YAML: {reason}", _hint(reason))]) from None
    except (YAMLError, ValueError, OverflowError) as error:  # an invalid character
        raise SettingsError([Problem(name, f"not valid YAML: {_first_line(error)}")]) from None
    return Scalar("", name, plain=True) if root is None else _Converter(name, deepest).node(root)


def value_span(text: str, key: str) -> tuple[int, int] | None:
    """Return the start and end of the scalar value of a key in a settings file; None if it has none.

    Raises SettingsError as `parse` does.
    """
    parse(text, key)
    root: Any = _compose(text, DEEPEST)
    pairs = root.value if root else ()
    marks = [value for name, value in pairs if name.value == key and isinstance(value.value, str)]
    return (marks[0].start_mark.index, marks[0].end_mark.index) if len(marks) == 1 else None


def _compose(text: str, deepest: int) -> object:
    """Return the nodes of the library."""
    import ruamel.yaml

    reader = ruamel.yaml.YAML(typ="safe", pure=True)
    reader.max_depth = deepest
    reader.composer.warn_double_anchors = False  # an anchor may be redefined
    return reader.compose(text)


def _where(name: str, mark: Any) -> str:  # noqa: ANN401 - the library's
    return f"{name}:{mark.line + 1}:{mark.column + 1}"


def _too_deep(name: str, mark: object) -> SettingsError:
    return SettingsError([Problem(_where(name, mark), "the value is nested too deeply")])


def _hint(reason: str) -> str:
    """Return a hint for the most likely cause of an error of the library."""
    if r"'\t'" in reason:
        return "indent with spaces, not tabs"
    if "another document" in reason:
        return "remove `---`: a file contains one set of settings"
    return "check indentation, quotes and brackets in this line and the one above"


def _first_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error)).split(' in "')[0]


class _Converter:
    """Converts nodes of the library to ours; a node with several aliases is converted once."""

    def __init__(self, name: str, deepest: int) -> None:
        self.name = name
        self._deepest = deepest
        self._done: dict[int, Node] = {}

    def node(self, raw: Any, depth: int = 0) -> Node:  # noqa: ANN401 - the library's
        if id(raw) not in self._done:
            self._done[id(raw)] = self._made(raw, depth)
        return self._done[id(raw)]

    def _made(self, raw: Any, depth: int) -> Node:  # noqa: ANN401 - the library's
        from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode

        if depth >= self._deepest:  # an alias inside its own anchor
            raise _too_deep(self.name, raw.start_mark)
        where = _where(self.name, raw.start_mark)
        if isinstance(raw, ScalarNode):
            return self._scalar(raw.value, where, plain=not raw.style)
        if isinstance(raw, SequenceNode):
            return Sequence(tuple(self.node(item, depth + 1) for item in raw.value), where)
        if isinstance(raw, MappingNode):
            return Mapping(tuple(self._pair(key, value, depth + 1) for key, value in raw.value), where)
        raise SettingsError([Problem(where, "expected a value")])

    @staticmethod
    def _scalar(text: str, where: str, *, plain: bool) -> Scalar:
        """Return a scalar; raises SettingsError for characters that YAML can escape, but other programs cannot take."""
        if re.search(r"[\0\ud800-\udfff]", text):
            raise SettingsError([Problem(where, "the text contains a character that cannot be passed to a program")])
        return Scalar(text, where, plain)

    def _pair(self, raw_key: object, raw_value: object, depth: int) -> tuple[Scalar, Node]:
        """Return a key and its value; a missing value has the position of its key."""
        key, value = self.node(raw_key, depth), self.node(raw_value, depth)
        if not isinstance(key, Scalar):
            raise SettingsError([Problem(key.where, "a key must be a word, not a list or a map")])
        if isinstance(value, Scalar) and value.plain and not value.text:
            value = value._replace(where=key.where)
        return key, value
