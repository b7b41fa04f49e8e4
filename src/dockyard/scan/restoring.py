"""Taking a removal back: what is in the quarantine is put into the running container again.

The ways are those of the removal (see there), and so is the rule: where something else stands now than what the removal
has left, it stays.
"""

import hashlib
import os
import stat
import tarfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import NamedTuple

from dockyard.copying.opening import opened
from dockyard.errors import DockyardError
from dockyard.overlay import at
from dockyard.scan.confined import NO_REPLACE, moved, opened_beneath, root_of
from dockyard.scan.entries import Facts, facts_of, give, make, status_of, take_away
from dockyard.scan.layer import METADATA, NEW, TOUCHED, Walk
from dockyard.scan.manifest import Item
from dockyard.scan.quarantine import CHUNK, reading
from dockyard.scan.removal import Refused, RefusedError, ancestors, directory_above, reason_of
from dockyard.scan.where import Place

NOT_AS_LEFT = "it has changed since the removal"


class Restored(NamedTuple):
    """What is as it was before a removal, and what is not, and why."""

    restored: tuple[str, ...] = ()
    refused: tuple[Refused, ...] = ()


def restore(tar: Path, pid: int, place: Place) -> Restored:
    """Put all of a tar back into a running container. Raises DockyardError, with nothing touched."""
    with ExitStack() as stack:
        archive, _, items = stack.enter_context(reading(tar))
        root = stack.enter_context(root_of(pid, place.upper))
        work = _Restoration(root, archive, place, *differing_in(place))
        work.all(items)
        return Restored(tuple(work.restored), tuple(work.refused))


def differing_in(place: Place) -> tuple[set[str], set[str]]:
    """Return the paths that are not as in the image, and those of directories that hold such."""
    walk = Walk(place.upper, place.layers, marks=place.marks)
    try:
        paths = {change.path for change in walk.changes() if change.what != TOUCHED}
    except OSError as error:
        raise DockyardError(f"its layers cannot be read: {error.strerror}") from None
    if not walk.is_complete:
        raise DockyardError(f"its current state could not be judged: {', '.join(walk.unjudged)}")
    return paths, {above for path in paths for above in ancestors(path)}


class _Restoration:
    """One tar put back: what differs from the image now, what holds such, and what becomes of each item."""

    def __init__(
        self, root: int, archive: tarfile.TarFile, place: Place, differing: set[str], holding: set[str]
    ) -> None:
        self._root, self._archive, self._place = root, archive, place
        self._differing, self._holding = differing, holding
        self._members = {member.name: member for member in archive.getmembers()}
        self._replaced: set[str] = set()
        self.restored: dict[str, Item] = {}
        self.refused: list[Refused] = []

    def all(self, items: Sequence[Item]) -> None:
        """Put all back: directories before what is in them, names of a file after the file, directories' times last."""
        for item in sorted(items, key=lambda item: (bool(item.name_of), item.path.count("/"))):
            try:
                self._one(item)
                self.restored[item.path] = item
            except (RefusedError, OSError) as error:
                self.refused.append(Refused(item.path, reason_of(error)))
        for item in reversed(self.restored.values()):
            if item.facts and item.facts.format == stat.S_IFDIR:
                with suppress(RefusedError, OSError):
                    self._give(item, item.facts)

    def _one(self, item: Item) -> None:
        if item.facts is None and not self._replaced.isdisjoint(ancestors(item.path)):
            return  # it went with the directory that it was in
        with directory_above(self._root, item.path) as (above, name):
            if item.what == NEW:
                self._put(above, name, item)
                return
            is_own = item.what == METADATA and item.facts is not None and item.facts.format == stat.S_IFDIR
            if item.path in self._differing or (not is_own and item.path in self._holding):
                raise RefusedError(NOT_AS_LEFT)
            if item.facts is None:
                self._check_unchanged(item.path)
                take_away(above, name)
            elif is_own:
                self._give(item, item.facts)
            else:
                self._put(above, name, item)
                self._replaced.add(item.path)

    def _check_unchanged(self, path: str) -> None:
        """Raise RefusedError where something is not the image's by now: all of it is about to be taken away."""
        walk = Walk(self._place.upper, self._place.layers, marks=self._place.marks)
        if any(change.what != TOUCHED for change in walk.again((path,))) or not walk.is_complete:
            raise RefusedError(NOT_AS_LEFT)

    def _give(self, item: Item, facts: Facts) -> None:
        with opened(opened_beneath(self._root, item.path[1:])) as pinned:
            if stat.S_IFMT(os.fstat(pinned).st_mode) != stat.S_IFDIR:
                raise RefusedError(NOT_AS_LEFT)
            give(pinned, facts)

    def _put(self, above: int, name: str, item: Item) -> None:
        """Make an entry under a name that is nobody's, and give it its own: of a new one only if nothing has that."""
        draft = f".dockyard-{os.urandom(16).hex()}"
        try:
            self._make(above, draft, item)
            now = status_of(above, name)
            if item.what == NEW or now is None:
                moved(above, draft, name, NO_REPLACE)
            elif stat.S_ISDIR(now.st_mode) or (item.facts and item.facts.format == stat.S_IFDIR):
                self._check_unchanged(item.path)
                take_away(above, name)
                moved(above, draft, name, NO_REPLACE)
            else:
                self._check_unchanged(item.path)
                moved(above, draft, name)
        except BaseException:
            with suppress(OSError):
                take_away(above, draft)
            raise

    def _make(self, above: int, draft: str, item: Item) -> None:
        facts = item.facts
        assert facts is not None  # noqa: S101 - something stood there
        if item.name_of:
            self._link(above, draft, item, facts)
        else:
            make(above, draft, facts, self._filler(item) if facts.format == stat.S_IFREG else None)

    def _link(self, above: int, draft: str, item: Item, facts: Facts) -> None:
        if item.name_of not in self.restored:
            raise RefusedError("the file that it is a hard link of is not restored")
        with opened(opened_beneath(self._root, item.name_of[1:])) as pinned:
            if facts_of(pinned)[:3] != facts[:3]:
                raise RefusedError(NOT_AS_LEFT)
            os.link(at(pinned), draft, dst_dir_fd=above, follow_symlinks=True)

    def _filler(self, item: Item) -> Callable[[int], None]:
        member = self._members.get(item.member)
        source = self._archive.extractfile(member) if member else None
        if source is None:
            raise RefusedError("its content is not in the tar")

        def fill(target: int) -> None:
            found = hashlib.sha256()
            with os.fdopen(target, "wb", closefd=False) as file:
                while chunk := source.read(CHUNK):
                    found.update(chunk)
                    file.write(chunk)
            if found.hexdigest() != item.sha256:
                raise RefusedError("its content in the tar does not have the saved hash")

        return fill
