"""The JSON Schema of settings.yaml and of the host file, from the table of keys, for editors."""

from typing import Any

from dockyard.settings.json_schema import EMPTY, Schema, either
from dockyard.settings.key import OVERRIDES, Key, Scope
from dockyard.settings.keys import KEYS
from dockyard.settings.values import Mode

DIALECT = "https://json-schema.org/draft/2020-12/schema"
TITLES = {Scope.SERVICE: "dockyard: settings.yaml", Scope.HOST: "dockyard: the host file"}
MODELINE = "# yaml-language-server: $schema="
"""The first line of a settings file that tells editors where its schema is."""


def schema(scope: Scope) -> Schema:
    """Return the schema of one kind of file; unknown keys are refused, as they are when it is read."""
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
    """Return an entry for each spelling of a key."""
    reference = {"$ref": f"#/$defs/{key.name}"}
    found: dict[str, Schema] = {}
    for name in key.names:
        found[name] = {**reference, "description": key.help, **_default(key)}
        for prefix in OVERRIDES:
            text = f"In place of `{key.name}` in {_WHERE[prefix]}. {key.help}"
            found[f"{prefix}{name}"] = {**reference, "description": text}
    return found


_WHERE = {"test_": "tests, and in development where there is no `dev_` one", "dev_": "development"}


def _default(key: Key[Any]) -> Schema:
    """Return the default, where it is a value that a file could hold."""
    value = key.default_in(Mode.PROD)
    return {"default": value} if isinstance(value, (bool, int, str)) and not key.shown_default and value != "" else {}


def text(scope: Scope) -> str:
    """Return the schema as JSON."""
    import json

    return json.dumps(schema(scope), indent=1) + "\n"
