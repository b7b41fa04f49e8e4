"""The part of Go's text/template that we use, with Go's errors for missing fields."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

_TOKEN = re.compile(r'\(|\)|"(?:[^"\\]|\\.)*"|[^\s()]+')


class TemplateError(Exception):
    """Go's error for a template that cannot be executed."""


class Struct(NamedTuple):
    """A value of a Go type: its fields, and its methods, which take words."""

    kind: str
    fields: Mapping[str, Any]
    methods: Mapping[str, Callable[..., Any]] = {}


def execute(template: str, value: Any) -> str:  # noqa: ANN401 - any answer
    """Execute a template with a value. Raises TemplateError."""
    unquoted = template.replace(r"\t", "\t").replace(r"\n", "\n")
    parts = re.split(r"\{\{(.*?)\}\}", unquoted)
    return "".join(_text(_evaluate(part, value)) if number % 2 else part for number, part in enumerate(parts))


def _text(value: Any) -> str:  # noqa: ANN401
    if isinstance(value, Mapping):
        return f"map[{' '.join(f'{key}:{_text(one)}' for key, one in sorted(value.items()))}]"
    if isinstance(value, list):
        return f"[{' '.join(map(_text, value))}]"
    return (
        {True: "true", False: "false", None: "<nil>"}.get(value, str(value))
        if not isinstance(value, int) or (isinstance(value, bool))
        else str(value)
    )


def _evaluate(expression: str, value: Any) -> Any:  # noqa: ANN401
    tokens = _TOKEN.findall(expression)
    found = _pipeline(tokens, value, expression)
    if tokens:
        raise TemplateError(f"template: :1: unexpected <{tokens[0]}> in operand")
    return found


def _pipeline(tokens: list[str], value: Any, whole: str) -> Any:  # noqa: ANN401
    """Evaluate one command: a function or method with its operands, or a single operand."""
    first = tokens.pop(0)
    operands = []
    head = None if first in _FUNCTIONS else _operand(first, tokens, value, whole)
    while tokens and tokens[0] != ")":
        operands.append(_operand(tokens.pop(0), tokens, value, whole))
    if first in _FUNCTIONS:
        return _FUNCTIONS[first](whole, *operands)
    return head(*operands) if callable(head) else head


def _operand(word: str, tokens: list[str], value: Any, whole: str) -> Any:  # noqa: ANN401
    if word == "(":
        found = _pipeline(tokens, value, whole)
        tokens.pop(0)
        return found
    if word.startswith('"'):
        return json.loads(word)
    if word == ".":
        return value
    if word.startswith("."):
        return _field(word[1:], value)
    raise TemplateError(f'template: :1: function "{word}" not defined')


def _field(path: str, value: Any) -> Any:  # noqa: ANN401
    for name in path.split("."):
        if isinstance(value, Struct):
            if name in value.methods:
                value = value.methods[name]
                continue
            if name not in value.fields:
                message = f"can't evaluate field {name} in type {value.kind}"
                raise TemplateError(f'template: :1:2: executing "" at <.{path}>: {message}')
            value = value.fields[name]
        elif isinstance(value, Mapping):
            value = value.get(name, "<no value>")
        else:
            raise TemplateError(
                f'template: :1:2: executing "" at <.{path}>: can\'t evaluate field {name} in type {_kind(value)}'
            )
    return value


def _kind(value: object) -> str:
    return {str: "string", list: "[]string", int: "int"}.get(type(value), "interface {}")


def _index(whole: str, value: Any, key: str) -> Any:  # noqa: ANN401
    if isinstance(value, Mapping):
        return value.get(key, "")
    message = "cannot index slice/array with type string" if isinstance(value, str | list) else "index of untyped nil"
    raise TemplateError(f'template: :1:2: executing "" at <{whole.strip()}>: error calling index: {message}')


def _plain(value: Any) -> Any:  # noqa: ANN401
    return dict(value.fields) if isinstance(value, Struct) else value


_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "index": _index,
    "json": lambda _, value: json.dumps(_plain(value), separators=(",", ":")),
    "printf": lambda _, form, *values: form.replace("%q", json.dumps(values[0], ensure_ascii=False)),
}
