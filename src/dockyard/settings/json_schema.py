"""Parts of JSON Schema (2020-12) from which the types of keys build their schemas.

dockyard reads the text of a settings file (nodes.py), but editors read the YAML values: to them, `32` is a number and
`true` a boolean. So a value that may be written without quotes is also allowed as its YAML type.
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
    """Return a schema that accepts what any of these accepts, with nested alternatives flattened."""
    flat: list[Schema] = []
    for schema in schemas:
        flat += schema["anyOf"] if schema.keys() == {"anyOf"} else [schema]
    kept = [schema for number, schema in enumerate(flat) if schema not in flat[:number]]
    return kept[0] if len(kept) == 1 else {"anyOf": kept}


def string(pattern: str) -> Schema:
    """Return the schema of a text that matches a pattern as a whole; the pattern must be valid in JavaScript too."""
    return {"type": "string", "pattern": f"^(?:{pattern})$"}


def scalar(pattern: str) -> Schema:
    """Return the schema of a scalar whose text matches; editors complete the words that the pattern spells out."""
    if pattern == _ANYTHING:
        return SCALAR
    parts = pattern.split("|") if "(" not in pattern.split("|", maxsplit=1)[0] else [pattern]
    words = [part for part in parts if re.fullmatch(r"[a-z0-9-]+", part)]
    kinds = [{"type": kind} for kind, sample in _SAMPLES.items() if re.fullmatch(pattern, sample, re.ASCII)]
    texts = [{"enum": words}] if words else []
    return either(*texts, *([] if len(words) == len(parts) else [string(pattern)]), *kinds)


def one_or_list(item: Schema) -> Schema:
    """Return the schema of a list of such items, or of one item."""
    return either(item, {"type": "array", "items": item})


def pairs(name: str = r"[\s\S]+", value: str = "") -> Schema:
    """Return the schema of a nonempty map of scalars. Names match as a whole, and so do values that are texts."""
    values = {**SCALAR, "pattern": f"^(?:{value})$"} if value else SCALAR
    return {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": f"^(?:{name})$"},
        "additionalProperties": either(values, {"type": "null"}),
    }


def closed(properties: Mapping[str, Schema], required: Iterable[str] = ()) -> Schema:
    """Return the schema of a map with these names only."""
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": dict(properties), "additionalProperties": False, **needed}
