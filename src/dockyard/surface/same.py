"""At which paths two images differ in what counts: not in times, and not in what says when a build ran (residue.py).

All else counts: paths, kinds, modes, owners, attributes, contents and hard links.
"""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from dockyard.errors import DockyardError
from dockyard.layers.store import store_of
from dockyard.surface.residue import MAX_NORMALISED_BYTES, Original, is_residue, normaliser_of, source_of
from dockyard.surface.tree import Entry, Files, Tree, files_of, read_tree

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine
    from dockyard.engine.models import Image

CHUNK_BYTES = 1024 * 1024
MAX_COMPARED_BYTES = 64 * 1024**3
_OVERLAY_ATTRIBUTES = ("trusted.overlay.", "user.overlay.")
_NANOSECONDS = 10**9


class Side(NamedTuple):
    """One of two images that are compared."""

    tree: Tree
    files: Files


@contextmanager
def opened_sides(engine: "Engine", one: "Image", other: "Image") -> Iterator[tuple[Side, Side]]:
    """Yield two images, to compare their files. Raises DockyardError, also if a file cannot be read in the block."""
    store = store_of(engine)
    try:
        with (
            store.image(one) as first,
            store.image(other) as second,
            files_of(first) as files,
            files_of(second) as others,
        ):
            yield Side(read_tree(first, engine.id_map), files), Side(read_tree(second, engine.id_map), others)
    except OSError as error:
        raise DockyardError(f"the files of an image cannot be read: {error.strerror}") from None


def differing_paths(one: Side, other: Side, without: Collection[str] = ()) -> Iterator[str]:
    """Yield the paths at which two images differ; those that need no file's content come first.

    `without` are paths of directories, each with `/` at its end, that do not count. Raises DockyardError if there is
    too much to read.
    """
    paths = _paths_that_count(one.tree, other.tree, tuple(without))
    links = _links(one.tree, paths), _links(other.tree, paths)
    alike = []
    for path in paths:
        if _are_alike(path, one.tree, other.tree) and links[0].get(path) == links[1].get(path):
            alike.append(path)
        else:
            yield path
    unshared = [path for path in alike if one.tree[path].is_file and one.tree[path].inode != other.tree[path].inode]
    if sum(one.tree[path].facts.size for path in unshared) > MAX_COMPARED_BYTES:
        raise DockyardError(f"there is more than {MAX_COMPARED_BYTES >> 30} GiB of files to compare")
    yield from (path for path in unshared if not _have_equal_contents(path, one, other))


def _paths_that_count(tree: Tree, other: Tree, without: tuple[str, ...]) -> list[str]:
    """Return the paths of both trees that count; a directory that one has for what does not count does not either."""
    paths = sorted(tree.keys() | other.keys())
    ignored = {path for path in paths if not _counts(path, tree, other, without)}
    above = {parent for path in ignored for parent in _directories_of(path)}
    ignored |= {path for path in above if path not in tree or path not in other}
    return [path for path in paths if path not in ignored]


def _counts(path: str, tree: Tree, other: Tree, without: tuple[str, ...]) -> bool:
    """Return whether a path counts; whatever can be executed does."""
    if not is_residue(path) and not f"{path}/".startswith(without):
        return True
    return any(path in side and side[path].can_be_run for side in (tree, other))


def _are_alike(path: str, tree: Tree, other: Tree) -> bool:
    """Return whether both have a path, and what is there is the same, apart from times and contents."""
    if path not in tree or path not in other:
        return False
    is_normalised = _normaliser(path, tree[path], other[path]) is not None
    return _without_times(tree[path], is_normalised) == _without_times(other[path], is_normalised)


def _normaliser(path: str, *entries: Entry) -> Callable[[Original], bytes] | None:
    """Return what leaves out of two files what does not count; None if all counts, or they are too large."""
    are_small = all(entry.is_file and entry.facts.size <= MAX_NORMALISED_BYTES for entry in entries)
    return normaliser_of(path) if are_small else None


def _without_times(entry: Entry, is_normalised: bool) -> tuple[object, ...]:
    facts = entry.facts
    attributes = {name: value for name, value in facts.attributes.items() if not name.startswith(_OVERLAY_ATTRIBUTES)}
    begin = (facts.size, entry.head) if entry.is_file and not is_normalised else ()
    return (facts.format, facts.mode, facts.owner, facts.device, facts.target, attributes, begin)


def _links(tree: Tree, paths: Iterable[str]) -> dict[str, str]:
    """Return those of some paths whose files have several, each with the first of them."""
    first: dict[tuple[int, int], str] = {}
    files = [path for path in paths if path in tree and tree[path].is_file]
    found = {path: first.setdefault(tree[path].inode, path) for path in files}
    return {path: name for path, name in found.items() if path != name}


def _have_equal_contents(path: str, one: Side, other: Side) -> bool:
    if normalise := _normaliser(path, one.tree[path], other.tree[path]):
        return normalise(_original(path, one)) == normalise(_original(path, other))
    with one.files.opened(path) as descriptor, other.files.opened(path) as second:
        while chunk := os.read(descriptor, CHUNK_BYTES):
            if chunk != os.read(second, CHUNK_BYTES):
                return False
        return not os.read(second, 1)


def _original(path: str, side: Side) -> Original:
    source = side.tree.get(source_of(path))
    second = source.facts.times[1] // _NANOSECONDS if source else None
    return Original(side.files.read(path, MAX_NORMALISED_BYTES), second)


def paths_to_report(found: Iterable[str], one: Tree, other: Tree) -> list[str]:
    """Return differing paths less the directories that one image has only for others of them."""
    found = set(found)
    above = {parent for path in found for parent in _directories_of(path)}
    return sorted(path for path in found if path not in above or (path in one and path in other))


def _directories_of(path: str) -> Iterator[str]:
    while path := path.rpartition("/")[0]:
        yield path
