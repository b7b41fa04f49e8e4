"""Pieces of JSON Schema (2020-12), as the types of keys are put together from them.

dockyard reads a settings file as it is written (nodes.py), editors what YAML makes of it: to them `32` is a number and
`true` a truth. So what may be written without quotes is allowed as what YAML makes of it, too.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

Schema: TypeAlias = dict[str, Any]

SCALAR: Schema = {"type": ["string", "number", "boolean"]}
EMPTY: Schema = {"enum": [None, ""]}
BOOLEAN: Schema = {
    "anyOf": [
        {"type": "boolean"},
        {"enum": [0, 1]},
        {"type": "string", "pattern": "^(?:[tT][rR][uU][eE]|[fF][aA][lL][sS][eE]|0|1)$"},
    ]
}
_SAMPLES = {"integer": "1", "number": "1.5", "boolean": "true"}
_ANYTHING = r"(?s)[^\0]*"


def either(*schemas: Schema) -> Schema:
    """Return what any of these accepts; alternatives of alternatives are alternatives."""
    flat: list[Schema] = []
    for schema in schemas:
        flat += schema["anyOf"] if schema.keys() == {"anyOf"} else [schema]
    kept = [schema for number, schema in enumerate(flat) if schema not in flat[:number]]
    return kept[0] if len(kept) == 1 else {"anyOf": kept}


def string(pattern: str) -> Schema:
    """Return a text that matches a pattern as a whole; the pattern is one that JavaScript knows too."""
    return {"type": "string", "pattern": f"^(?:{pattern})$"}


def scalar(pattern: str) -> Schema:
    """Return a scalar whose text matches: what editors offer for completion is what it names in full."""
    if pattern == _ANYTHING:
        return SCALAR
    parts = pattern.split("|") if "(" not in pattern.split("|", maxsplit=1)[0] else [pattern]
    words = [part for part in parts if re.fullmatch(r"[a-z0-9-]+", part)]
    kinds = [{"type": kind} for kind, sample in _SAMPLES.items() if re.fullmatch(pattern, sample, re.ASCII)]
    texts = [{"enum": words}] if words else []
    return either(*texts, *([] if len(words) == len(parts) else [string(pattern)]), *kinds)


def one_or_list(item: Schema) -> Schema:
    """Return a list of such items, or one that stands alone."""
    return either(item, {"type": "array", "items": item})


def pairs(name: str = r"[\s\S]+", value: str = "") -> Schema:
    """Return a map of scalars, at least one, whose names match as a whole, and whose values do if they are texts."""
    values = {**SCALAR, "pattern": f"^(?:{value})$"} if value else SCALAR
    return {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": f"^(?:{name})$"},
        "additionalProperties": either(values, {"type": "null"}),
    }


def closed(properties: Mapping[str, Schema], required: Iterable[str] = ()) -> Schema:
    """Return a map of these names and no others."""
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": dict(properties), "additionalProperties": False, **needed}
