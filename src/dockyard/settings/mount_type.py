"""The type of the mount keys."""

import re
from typing import Any

from dockyard.settings import json_schema
from dockyard.settings.json_schema import Schema
from dockyard.settings.nodes import Mapping, Node, Scalar
from dockyard.settings.types import Boolean, Text, Type, UnfitError, has_glob, repeated, unfit
from dockyard.settings.values import Mount

OPTIONS = "a map of target, shared and reason"
_REASON = Text("text that says why", r"[\s\S]*\S[\s\S]*")
_TYPES: dict[str, Type[Any]] = {"target": Text("an absolute path"), "shared": Boolean(), "reason": _REASON}


def _options_of(node: Mapping) -> dict[str, Any]:
    """Return the options of one mount. Raises UnfitError with all errors, including a missing reason."""
    options: dict[str, Any] = {}
    faults = repeated(node)
    for key, value in node.pairs:
        try:
            if key.text not in _TYPES:
                unfit(key, "one of target, shared and reason")
            is_empty = isinstance(value, Scalar) and value.empty
            options |= {} if is_empty else {key.text: _TYPES[key.text].read(value)}
        except UnfitError as error:
            faults += error.faults
    if not faults and options.get("shared") and not options.get("reason"):
        faults = [(node.where, "a map with a `reason`, because it has `shared: true`", "a map without one")]
    if faults:
        raise UnfitError(faults)
    return options


class Mounts(Type[tuple[Mount, ...]]):
    """A pair `source: target`, in any of its spellings; several pairs if one map holds them.

    Instead of the target there may be a map of `target`, `shared` and `reason`.
    """

    expected = "`source: target` with an absolute target, or only a source"
    nothing = ()

    def read(self, node: Node) -> tuple[Mount, ...]:
        if isinstance(node, Mapping):
            return self._from_map(node)
        source, *target = re.split(r",\s*|:", self.text(node).strip())
        if len(target) > 1:
            unfit(node, self.expected)
        return (self._mount(Scalar(source, node.where), target[0].strip() if target else ""),)

    def _from_map(self, node: Mapping) -> tuple[Mount, ...]:
        if not node.pairs:
            unfit(node, self.expected)
        if faults := repeated(node):
            raise UnfitError(faults)
        return tuple(self._pair(source, value) for source, value in node.pairs)

    def _pair(self, source: Scalar, value: Node) -> Mount:
        if isinstance(value, Mapping):
            options = _options_of(value)
            mount = self._mount(source, options.get("target", ""))
            return mount._replace(shared=options.get("reason", "") if options.get("shared") else "")
        if not isinstance(value, Scalar):
            unfit(value, f"a single value for each name, or {OPTIONS}")
        return self._mount(source, "" if value.empty else value.text.strip())

    def _mount(self, source: Scalar, target: str) -> Mount:
        path = source.text.strip()
        if not path or re.search(r"[\0-\x1f\x7f]", path + target):
            unfit(source, self.expected)
        if ".." in path.split("/") or ".." in target.split("/"):
            unfit(source, "a pair without `..` in its paths")
        self._check_target(Scalar(target, source.where), is_pattern=has_glob(path))
        return Mount(path, target, source.where)

    @staticmethod
    def _check_target(target: Scalar, *, is_pattern: bool) -> None:
        if target.text and not target.text.startswith("/"):
            unfit(target, "a pair whose target is an absolute path")
        if target.text and not target.text.strip("/.") and not is_pattern:
            unfit(target, "a pair whose target is below `/`")
        if target.text and not target.text.endswith("/") and is_pattern:
            unfit(target, "a pair whose target ends in `/`, because the source is a pattern")

    def schema(self) -> Schema:
        no_climbing = r"(?!(?:[\s\S]*[/:,]\s*|\s*)\.\.(?:[/:,]|\s*$))"
        source, target = rf"{no_climbing}[\s\S]*\S[\s\S]*", rf"{no_climbing}\s*(?:/[\s\S]*)?"
        alone = rf"{no_climbing}\s*[^:,\s][^:,]*(?:(?:,|:)\s*(?:/[^:,]*)?)?"
        pairs = json_schema.pairs(source, target)
        options = json_schema.closed(
            {
                "target": json_schema.either(json_schema.string(target), {"type": "null"}),
                "shared": json_schema.BOOLEAN,
                "reason": _REASON.schema(),
            }
        )
        with_reason = {**options, "dependentRequired": {"shared": ["reason"]}}
        pairs["additionalProperties"] = json_schema.either(pairs["additionalProperties"], with_reason)
        return json_schema.either(json_schema.string(alone), pairs)
