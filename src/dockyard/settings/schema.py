"""The JSON Schema of settings.yaml and of the host file, from the table of keys, for editors."""

from typing import Any

from dockyard.settings.json_schema import EMPTY, Schema, either
from dockyard.settings.key import OVERRIDES, Key, Scope
from dockyard.settings.keys import KEYS
from dockyard.settings.values import Mode

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TITLES = {Scope.SERVICE: "dockyard: settings.yaml", Scope.HOST: "dockyard: the host file"}
MODELINE = "# yaml-language-server: $schema="
"""Begins the first line of a settings file, which names its schema for editors."""


def schema(scope: Scope) -> Schema:
    """Return the schema of one kind of file. Like the loader, it rejects unknown keys."""
    keys = [key for key in KEYS.values() if key.scope in {Scope.ANYWHERE, scope}]
    return {
        "$schema": DIALECT,
        "title": TITLES[scope],
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {name: entry for key in keys for name, entry in _properties(key).items()},
        "$defs": {key.name: _value(key) for key in keys},
    }


def _value(key: Key[Any]) -> Schema:
    return key.type.schema() if key.required else either(key.type.schema(), EMPTY)


def _properties(key: Key[Any]) -> dict[str, Schema]:
    """Return an entry for each spelling of a key; the first has the example."""
    reference = {"$ref": f"#/$defs/{key.name}"}
    found: dict[str, Schema] = {}
    for name in key.names:
        found[name] = {**reference, "description": _description(key), **_default(key)}
        for prefix in OVERRIDES:
            text = f"Replaces `{key.name}` in {_WHERE[prefix]}. {key.help}"
            found[f"{prefix}{name}"] = {**reference, "description": text}
    if key.example:
        found[key.name]["examples"] = [_example_value(key)]
    return found


_WHERE = {"test_": "test, and in dev if there is no `dev_` override", "dev_": "dev"}


def _description(key: Key[Any]) -> str:
    return f"{key.help}\n\n{key.details}" if key.details else key.help


def _example_value(key: Key[Any]) -> object:
    """Return the value of a key's example as JSON has it."""
    from ruamel.yaml import YAML

    return YAML(typ="safe", pure=True).load(key.example)[key.name]


def _default(key: Key[Any]) -> Schema:
    """Return the default if a file could contain it."""
    value = key.default_in(Mode.PROD)
    return {"default": value} if isinstance(value, (bool, int, str)) and not key.shown_default and value != "" else {}


def text(scope: Scope) -> str:
    """Return the schema as JSON."""
    import json

    return json.dumps(schema(scope), indent=1) + "\n"
