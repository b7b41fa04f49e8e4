"""Whether two images have the same files: what a build without the engine's cache made again, with new times."""

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from dockyard.errors import DockyardError
from dockyard.layers.store import store_of
from dockyard.surface.tree import Entry, Files, Tree, files_of, read_tree

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine
    from dockyard.engine.models import Image

CHUNK_BYTES = 1024 * 1024
_OVERLAY_ATTRIBUTES = ("trusted.overlay.", "user.overlay.")


def has_same_files(engine: "Engine", one: "Image", other: "Image") -> bool:
    """Return whether two images differ in nothing but the times of files, and of their making.

    All else counts: paths, kinds, modes, owners, attributes, contents, hard links, and the configuration. Raises
    DockyardError if the files of one of them cannot be read.
    """
    if one.equals(other):
        return True
    if not one.configuration or one.configuration != other.configuration:
        return False
    store = store_of(engine)
    try:
        with (
            store.image(one) as first,
            store.image(other) as second,
            files_of(first) as files,
            files_of(second) as others,
        ):
            sides = _Side(read_tree(first, engine.id_map), files), _Side(read_tree(second, engine.id_map), others)
            return _are_equal(*sides)
    except OSError as error:
        raise DockyardError(f"the files of an image cannot be read: {error.strerror}") from None


class _Side(NamedTuple):
    """One of the two images."""

    tree: Tree
    files: Files


def _are_equal(one: _Side, other: _Side) -> bool:
    if one.tree.keys() != other.tree.keys() or _links(one.tree) != _links(other.tree):
        return False
    if any(_without_times(entry) != _without_times(other.tree[path]) for path, entry in one.tree.items()):
        return False
    return all(_have_equal_contents(one, other, path) for path in _unshared_files(one.tree, other.tree))


def _without_times(entry: Entry) -> tuple[object, ...]:
    facts = entry.facts
    attributes = {name: value for name, value in facts.attributes.items() if not name.startswith(_OVERLAY_ATTRIBUTES)}
    size = facts.size if entry.is_file else 0
    return (facts.format, facts.mode, facts.owner, facts.device, facts.target, size, attributes, entry.head)


def _links(tree: Tree) -> dict[str, str]:
    """Return the paths of files that have several, each with the first of them."""
    first: dict[tuple[int, int], str] = {}
    found = {path: first.setdefault(tree[path].inode, path) for path in sorted(tree) if tree[path].is_file}
    return {path: name for path, name in found.items() if path != name}


def _unshared_files(tree: Tree, other: Tree) -> Iterator[str]:
    """Yield the files that do not come from a layer of both images."""
    return (path for path, entry in tree.items() if entry.is_file and entry.inode != other[path].inode)


def _have_equal_contents(one: _Side, other: _Side, path: str) -> bool:
    with one.files.opened(path) as descriptor, other.files.opened(path) as second:
        while chunk := os.read(descriptor, CHUNK_BYTES):
            if chunk != os.read(second, CHUNK_BYTES):
                return False
        return not os.read(second, 1)
