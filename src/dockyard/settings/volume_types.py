"""The types of `vols` and `vol_defaults`."""

import re
from collections.abc import Callable
from typing import Any

from dockyard.settings import json_schema
from dockyard.settings.json_schema import Schema
from dockyard.settings.nodes import Mapping, Node, Scalar
from dockyard.settings.types import Type, UnfitError, has_glob, repeated, unfit
from dockyard.settings.values import Volume, VolumeDefaults
from dockyard.text import listed

_OWNER = r"(user/)?[A-Za-z0-9_][A-Za-z0-9_.-]*\$?"
_GROUP = r"(group/)?[A-Za-z0-9_][A-Za-z0-9_.-]*\$?"
_PERMISSIONS = r"0?[0-7]{3,4}"
_KINDS = {"dir": "directory", "directory": "directory", "file": "file"}


def _text(node: Node, expected: str) -> str:
    """Return a scalar's text; raises UnfitError."""
    if not isinstance(node, Scalar):
        unfit(node, expected)
    return node.text


def _matching(node: Node, pattern: str, expected: str) -> str:
    text = _text(node, expected)
    if not re.fullmatch(pattern, text, re.ASCII):
        unfit(node, expected)
    return text


def _owner(node: Node) -> str:
    return _matching(node, _OWNER, "`user/NAME`, a user of this host, or a UID")


def _group(node: Node) -> str:
    return _matching(node, _GROUP, "`group/NAME`, a group of this host, or a GID")


def _permissions(node: Node) -> int:
    return int(_matching(node, _PERMISSIONS, "permissions such as `0750`"), 8)


def _kind(node: Node) -> str:
    return _KINDS[_matching(node, "|".join(_KINDS), "`dir` or `file`")]


def _contents(node: Node) -> str:
    text = _text(node, "a text, `file:PATH` or `command:…`")
    path = text.removeprefix("file:")
    if path != text and (not path or path.startswith("/") or ".." in path.split("/")):
        unfit(node, "`file:PATH`, a path below the service's directory")
    return text


_OWNERSHIP: dict[str, Callable[[Node], str | int]] = {"owner": _owner, "group": _group, "perm": _permissions}
_OPTIONS: dict[str, Callable[[Node], str | int]] = {**_OWNERSHIP, "type": _kind, "contents": _contents}

_LIMITS: dict[str, Schema] = {
    "owner": json_schema.either(json_schema.string(_OWNER), {"type": "integer", "minimum": 0}),
    "group": json_schema.either(json_schema.string(_GROUP), {"type": "integer", "minimum": 0}),
    "perm": json_schema.either(json_schema.string(_PERMISSIONS), {"type": "integer", "minimum": 0, "maximum": 7777}),
    "type": {"enum": list(_KINDS)},
    "contents": {**json_schema.SCALAR, "pattern": r"^(?!file:(?:/|$)|file:(?:[\s\S]*/)?\.\.(?:/|$))"},
}
"""The JSON Schema of each option."""


def _limits(*names: str) -> dict[str, Schema]:
    return {name: json_schema.either(_LIMITS[name], {"type": "null"}) for name in names}


def _option(key: Scalar, value: Node, known: dict[str, Callable[[Node], str | int]]) -> dict[str, Any]:
    """Return an option with its value, if it has one: `contents: ""` is an empty file, `contents:` sets nothing."""
    if key.text not in known:
        unfit(key, f"one of {listed(known)}")
    if isinstance(value, Scalar) and value.empty:
        return {}
    return {"kind" if key.text == "type" else key.text: known[key.text](value)}


class Volumes(Type[tuple[Volume, ...]]):
    """One item of `vols`: a path, or a map of `path`, `owner`, `group`, `perm`, `type` and `contents`.

    In a map, one key with no value, or with a map of the rest, may be the path.
    """

    expected = "a path, or a map of path, owner, group, perm, type and contents"
    nothing = ()

    def read(self, node: Node) -> tuple[Volume, ...]:
        if not isinstance(node, Mapping):
            return (Volume(self._path(Scalar(self.text(node), node.where)), node.where),)
        path, options = self._parts(node)
        if options.get("contents") is not None and options.setdefault("kind", "file") != "file":
            expected = "a map without `contents`, or with `type: file`"
            raise UnfitError([(node.where, expected, "a directory with `contents`")])
        return (Volume(path, node.where, **options),)

    def _parts(self, node: Mapping) -> tuple[str, dict[str, Any]]:
        """Return the path and the options that have a value. Raises UnfitError with all errors."""
        faults = repeated(node)
        nested = [(key, value) for key, value in node.pairs if self._is_path(key, value)]
        options: dict[str, Any] = {}
        pairs = [pair for pair in node.pairs if pair not in nested]
        pairs += [pair for _, value in nested if isinstance(value, Mapping) for pair in value.pairs]
        faults += [fault for fault in repeated(Mapping(tuple(pairs), node.where)) if fault not in faults]
        for key, value in pairs:
            try:
                options |= _option(key, value, _OPTIONS)
            except UnfitError as error:
                faults += error.faults
        if not faults and len(nested) != 1:
            faults = [(node.where, self.expected, f"a map of {len(nested) or 'no'} paths")]
        if faults:
            raise UnfitError(faults)
        key, value = nested[0]
        return self._path(value if key.text == "path" else key), options

    @staticmethod
    def _is_path(key: Scalar, value: Node) -> bool:
        """Return whether a pair names the path: `path: P`, or `P:` with no value or with a map of the options."""
        has_options = isinstance(value, Mapping) or (isinstance(value, Scalar) and (value.empty or not value.text))
        return key.text == "path" or (key.text not in _OPTIONS and has_options)

    def _path(self, node: Node) -> str:
        text = _text(node, self.expected).strip()
        if not text or re.search(r"[\0-\x1f\x7f]", text):
            unfit(node, self.expected)
        if ".." in text.split("/"):
            unfit(node, "a path without `..`")
        if has_glob(text):
            unfit(node, "a path without wildcards")
        if not text.strip("/."):
            unfit(node, "a path below `/`")
        return text

    def schema(self) -> Schema:
        path = json_schema.scalar(r"(?!\s*[/.]*\s*$)(?!(?:[\s\S]*/)?\s*\.\.\s*(?:/|$))[^*?[\0-\x1f\x7f]+")
        options = _limits(*_OPTIONS)
        nested = json_schema.either(json_schema.EMPTY, json_schema.closed(options))
        named = json_schema.closed({"path": path, **options}, ["path"])
        keyed = {"type": "object", "minProperties": 1, "properties": options, "additionalProperties": nested}
        return json_schema.either(path, named, {**keyed, "not": {"required": ["path"]}})


class Defaults(Type[VolumeDefaults]):
    """A map of `owner`, `group` and `perm`."""

    expected = "a map of owner, group and perm"
    nothing = VolumeDefaults()

    def read(self, node: Node) -> VolumeDefaults:
        if not isinstance(node, Mapping):
            unfit(node, self.expected)
        options: dict[str, Any] = {}
        faults = repeated(node)
        for key, value in node.pairs:
            try:
                options |= _option(key, value, _OWNERSHIP)
            except UnfitError as error:
                faults += error.faults
        if faults:
            raise UnfitError(faults)
        return VolumeDefaults(**options)

    def schema(self) -> Schema:
        return json_schema.closed(_limits(*_OWNERSHIP))
