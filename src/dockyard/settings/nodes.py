"""YAML as written: scalars keep their text and every item its position, so that a key's type decides what a text means.

YAML 1.1 would make 80022 of `2222:22`, and YAML 1.2 makes 755 of `0755`. Here both stay what the user wrote until a
type reads them.
"""

import re
from typing import Any, NamedTuple, TypeAlias

from dockyard.errors import Problem, SettingsError


class Scalar(NamedTuple):
    """A text; `plain` where it stood without quotes, so that an empty one, `~` and `null` mean nothing."""

    text: str
    where: str = ""
    plain: bool = False

    @property
    def empty(self) -> bool:
        """Whether the user wrote no value at all."""
        return self.plain and self.text in {"", "~", "null", "Null", "NULL"}


class Sequence(NamedTuple):
    items: "tuple[Node, ...]"
    where: str = ""


class Mapping(NamedTuple):
    pairs: "tuple[tuple[Scalar, Node], ...]"
    where: str = ""


Node: TypeAlias = Scalar | Sequence | Mapping

# Deeper than any key needs; ten thousand brackets end here.
DEEPEST = 8


def parse(text: str, name: str) -> Mapping:
    """Parse the text of a settings file; `name` is what positions call it.

    Raises SettingsError where the text is not YAML or not a mapping of keys.
    """
    node = document(text, name)
    if isinstance(node, Scalar) and node.empty:
        return Mapping((), name)
    if not isinstance(node, Mapping):
        raise SettingsError([Problem(node.where, "expected `key: value` lines")])
    return node


def document(text: str, name: str, deepest: int = DEEPEST) -> Node:
    """Parse a text; one that holds nothing is an empty scalar.

    Raises SettingsError where it is not YAML, or nested more than `deepest`.
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
    except (YAMLError, ValueError, OverflowError) as error:  # a character that may not be
        raise SettingsError([Problem(name, f"not valid YAML: {_first_line(error)}")]) from None
    return Scalar("", name, plain=True) if root is None else _Converter(name, deepest).node(root)


def value_span(text: str, key: str) -> tuple[int, int] | None:
    """Return where the scalar value of a key begins and ends in a settings file; None if it has none.

    Raises SettingsError as `parse` does.
    """
    parse(text, key)
    root: Any = _compose(text, DEEPEST)
    pairs = root.value if root else ()
    marks = [value for name, value in pairs if name.value == key and isinstance(value.value, str)]
    return (marks[0].start_mark.index, marks[0].end_mark.index) if len(marks) == 1 else None


def _compose(text: str, deepest: int) -> object:
    """Return the library's own nodes."""
    import ruamel.yaml

    reader = ruamel.yaml.YAML(typ="safe", pure=True)
    reader.max_depth = deepest
    reader.composer.warn_double_anchors = False  # an anchor may be set anew
    return reader.compose(text)


def _where(name: str, mark: Any) -> str:  # noqa: ANN401 - the library's
    return f"{name}:{mark.line + 1}:{mark.column + 1}"


def _too_deep(name: str, mark: object) -> SettingsError:
    return SettingsError([Problem(_where(name, mark), "nested too deeply")])


def _hint(reason: str) -> str:
    """Return what most often is behind an error of the library's."""
    if r"'\t'" in reason:
        return "indent with blanks, not with tabs"
    if "another document" in reason:
        return "a file holds one set of settings: leave out `---`"
    return "see that indentation, quotes and brackets are right, here and in the line above"


def _first_line(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error)).split(' in "')[0]


class _Converter:
    """Makes our nodes of the library's; one that has several aliases is converted once, however many those are."""

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

        if depth >= self._deepest:  # an alias within what it stands for
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
        """Return a scalar; raises SettingsError for what YAML can write as an escape, but nothing else can take."""
        if re.search(r"[\0\ud800-\udfff]", text):
            raise SettingsError([Problem(where, "text holds a character that no program can be given")])
        return Scalar(text, where, plain)

    def _pair(self, raw_key: object, raw_value: object, depth: int) -> tuple[Scalar, Node]:
        """Return a key and its value; one that was left out stands where its key does, not where the next begins."""
        key, value = self.node(raw_key, depth), self.node(raw_value, depth)
        if not isinstance(key, Scalar):
            raise SettingsError([Problem(key.where, "a key must be a word, not a list or a map")])
        if isinstance(value, Scalar) and value.plain and not value.text:
            value = value._replace(where=key.where)
        return key, value
