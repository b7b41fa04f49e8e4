"""Merge keys, the long forms of short forms, and one file's values over another's: as compose does it. Pure."""

from dockyard.errors import Problem, SettingsError
from dockyard.settings.nodes import Mapping, Node, Scalar, Sequence

MERGE = "<<"

# Keys of a service whose list of texts is a map: `NAME=VALUE`, or `NAME:VALUE` for hosts.
ASSIGNMENTS = {
    ("environment",): "=",
    ("labels",): "=",
    ("annotations",): "=",
    ("sysctls",): "=",
    ("build", "args"): "=",
    ("build", "labels"): "=",
    ("deploy", "labels"): "=",
}
# Keys whose list is a map with names only.
NAMES = {("depends_on",), ("networks",)}
# Lists that a later file replaces; it appends to all others.
REPLACED = {("command",), ("entrypoint",), ("healthcheck", "test")}


def merged(node: Node, done: dict[int, Node] | None = None) -> Node:
    """Return a tree without merge keys: each map has the values that it merges in; its own take precedence."""
    known = {} if done is None else done
    if id(node) not in known:
        known[id(node)] = _merged(node, known)
    return known[id(node)]


def _merged(node: Node, done: dict[int, Node]) -> Node:
    if isinstance(node, Sequence):
        return Sequence(tuple(merged(item, done) for item in node.items), node.where)
    if not isinstance(node, Mapping):
        return node
    _refuse_twice(node)
    pairs: dict[str, tuple[Scalar, Node]] = {}
    for key, value in node.pairs:
        if key.text != MERGE or not key.plain:
            pairs[key.text] = (key, merged(value, done))
    for key, value in node.pairs:
        for source in _sources(value) if key.text == MERGE and key.plain else ():
            inner = merged(source, done)
            assert isinstance(inner, Mapping)  # noqa: S101 - a map stays one
            for name, below in inner.pairs:
                pairs.setdefault(name.text, (name, below))
    return Mapping(tuple(pairs.values()), node.where)


def _sources(value: Node) -> tuple[Mapping, ...]:
    """Return the maps that a merge key names, in order of precedence."""
    every = value.items if isinstance(value, Sequence) else (value,)
    maps = tuple(source for source in every if isinstance(source, Mapping))
    if len(maps) != len(every):
        raise SettingsError(
            [Problem(value.where, "`<<` needs a map, or a list of maps", "name an anchor: `<<: *NAME`")]
        )
    return maps


def _refuse_twice(node: Mapping) -> None:
    seen: dict[str, str] = {}
    for key, _ in node.pairs:
        if key.text in seen:
            hint = f"remove it; the first is at {seen[key.text]}"
            raise SettingsError([Problem(key.where, f"`{key.text}` is a duplicate key", hint)])
        seen[key.text] = key.where


def long_forms(service: Node, path: tuple[str, ...] = ()) -> Node:
    """Return a service with lists of assignments and of names as maps, with the positions of the items."""
    if isinstance(service, Sequence) and path in ASSIGNMENTS:
        return Mapping(tuple(_assignment(item, ASSIGNMENTS[path]) for item in service.items), service.where)
    if isinstance(service, Sequence) and path in NAMES:
        return Mapping(
            tuple((_scalar(item), Scalar("", item.where, plain=True)) for item in service.items), service.where
        )
    if isinstance(service, Mapping) and len(path) < 2:  # noqa: PLR2004 - no key of these lies deeper
        return Mapping(
            tuple((key, long_forms(value, (*path, key.text))) for key, value in service.pairs), service.where
        )
    return service


def _scalar(node: Node) -> Scalar:
    if not isinstance(node, Scalar):
        raise SettingsError([Problem(node.where, "expected a text")])
    return node


def _assignment(node: Node, sign: str) -> tuple[Scalar, Node]:
    item = _scalar(node)
    name, equals, value = item.text.partition(sign)
    return Scalar(name.strip(), item.where), Scalar(value, item.where, plain=not equals)


def overlaid(below: Node, above: Node, path: tuple[str, ...] = ()) -> Node:
    """Return a service, or a part of one, with later values over it: maps are merged by key, lists appended."""
    if isinstance(below, Mapping) and isinstance(above, Mapping):
        pairs = {key.text: (key, value) for key, value in below.pairs}
        for key, value in above.pairs:
            old = pairs.get(key.text)
            pairs[key.text] = (key, overlaid(old[1], value, (*path, key.text)) if old else value)
        return Mapping(tuple(pairs.values()), above.where)
    if isinstance(below, Sequence) and isinstance(above, Sequence) and path not in REPLACED:
        return Sequence((*_without_replaced(below, above, path), *above.items), above.where)
    return above


def _without_replaced(below: Sequence, above: Sequence, path: tuple[str, ...]) -> tuple[Node, ...]:
    """Return the items that later ones do not replace: mounts with another target, otherwise items that differ."""
    if path[-1:] in {("volumes",), ("devices",), ("secrets",), ("configs",)}:
        taken = {_target(item) for item in above.items}
        return tuple(item for item in below.items if _target(item) not in taken)
    texts = {item.text for item in above.items if isinstance(item, Scalar)}
    return tuple(item for item in below.items if not isinstance(item, Scalar) or item.text not in texts)


def _target(item: Node) -> str:
    if isinstance(item, Scalar):
        parts = item.text.split(":")
        return parts[1] if len(parts) > 1 else parts[0]
    fields = {key.text: value for key, value in item.pairs} if isinstance(item, Mapping) else {}
    found = fields.get("target") or fields.get("source")
    return found.text if isinstance(found, Scalar) else ""
