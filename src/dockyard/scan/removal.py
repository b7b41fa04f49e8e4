"""Undoing changes in a running container: what is new goes, what is missing or different is put back from the image.

All of it is first saved in the quarantine. Everything is done through the container's own root, as it sees it, by
pinned directories that no link and no mount leads out of (see confined.py): it is effective at once, and whatever the
container does meanwhile, nothing of the host is touched. What is no longer as it was reported is left alone.
"""

import errno
import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from dockyard.copying.opening import opened, readable
from dockyard.errors import DockyardError
from dockyard.scan.attributes import attributes_of, namespaces
from dockyard.scan.confined import NO_REPLACE, PIN_DIRECTORY, moved, opened_beneath, root_of
from dockyard.scan.entries import facts_of, give, status_of, take_away
from dockyard.scan.image import Image, Links, Original, image_of
from dockyard.scan.layer import DELETED, EDITED, METADATA, NEW, REPLACED, TYPE, Change
from dockyard.scan.manifest import Item
from dockyard.scan.quarantine import Source, prune, write
from dockyard.scan.where import Place

SHARE = 10  # at most this part of what is free is taken
OVERHEAD = 4096  # bytes of an entry in a tar, besides what is in it
UNDONE = (NEW, REPLACED, EDITED, METADATA, TYPE, DELETED)
CHANGED = "changed since it was reported"


class Refused(NamedTuple):
    """What was left as it is, and why."""

    path: str
    reason: str


class Removed(NamedTuple):
    """What was undone, what was not, where all of it is kept, and which older tars of the container were dropped."""

    undone: tuple[str, ...] = ()
    refused: tuple[Refused, ...] = ()
    tar: Path | None = None
    dropped: tuple[Path, ...] = ()


class RefusedError(Exception):
    """An entry is left as it is; the message is why."""


def remove(  # noqa: PLR0913, PLR0917 - whose, where, what, whereto
    container: str,
    identifier: str,
    pid: int,
    place: Place,
    changes: Sequence[Change],
    quarantine: Path,
    image: str = "",
) -> Removed:
    """Undo changes that a scan has just reported; `image` is the id of the container's, for the record.

    Raises DockyardError, with nothing touched, where the container is not what it was or nothing can be saved.
    """
    if place.image_ids.uids:
        raise DockyardError(
            "its image is mounted with mapped owners: nothing is reverted", hint="recreate the container: d restart"
        )
    with ExitStack() as stack:
        root = stack.enter_context(root_of(pid, place.upper))
        try:
            upper = stack.enter_context(opened(os.open(place.upper, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)))
            layers = stack.enter_context(image_of(place.layers))
        except OSError as error:
            raise DockyardError(f"its layers cannot be read: {error.strerror}") from None
        work = _Removal(root, upper, layers, stack.enter_context(Links()))
        items = work.looked_at(changes, _room(quarantine))
        if not items:
            return Removed(refused=tuple(work.refused))
        about = {"container": container, "id": identifier, "image": image, "when": _now(), "by": _who()}
        written = write(quarantine, about, items, Source(work.opened_bytes, work.fault))
        work.undo([item for item in items if not work.is_refused(item, written.faults)])
        return Removed(tuple(work.undone), tuple(work.refused), written.tar, tuple(prune(quarantine, about)))


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def _who() -> str:
    return f"{os.environ.get('SUDO_USER', '') or 'uid'} {os.environ.get('SUDO_UID', '') or os.getuid()}"


def _room(quarantine: Path) -> int:
    nearest = next(path for path in (quarantine, *quarantine.absolute().parents) if path.exists())
    free = os.statvfs(nearest)
    return free.f_bavail * free.f_frsize // SHARE


class Both(NamedTuple):
    """The pinned directory of an entry, as the container sees it and in the upper layer; and its name there."""

    merged: int
    upper: int
    name: str


@contextmanager
def directory_above(root: int, path: str) -> Iterator[tuple[int, str]]:
    """Pin the directory that an entry is in. Raises RefusedError for what is no path of an entry, OSError."""
    parts = path.split("/")[1:]
    if not path.startswith("/") or {"", ".", ".."} & set(parts):
        raise RefusedError("this is not the path of an entry")
    with opened(opened_beneath(root, "/".join(parts[:-1]), PIN_DIRECTORY)) as above:
        yield above, parts[-1]


class _Removal:
    """One removal: the container's root, its upper directory, its image, and what becomes of each entry."""

    def __init__(self, root: int, upper: int, image: Image, links: Links) -> None:
        self._root, self._upper, self._image, self._links = root, upper, image, links
        self._changed: dict[tuple[int, int], int] = {}  # when inodes were last changed: it is we who unlink their names
        self._whole: set[str] = set()  # directories that were put back with all that is in them
        self.undone: list[str] = []
        self.refused: list[Refused] = []

    def is_refused(self, item: Item, faults: dict[str, str]) -> bool:
        """Return whether an item could not be saved, and remember that."""
        reason = faults.get(item.path) or faults.get(item.name_of)
        if reason:
            self.refused.append(Refused(item.path, reason))
        return reason is not None

    # ----------------------------------------------------------------------------------------------------- looking
    def looked_at(self, changes: Sequence[Change], room: int) -> list[Item]:
        """Return what is to be saved and undone, as far as it is as reported and there is room for it."""
        found: dict[str, Item] = {}
        replaced = {change.path for change in changes if change.what == TYPE}
        for change in changes:
            try:
                if change.what == DELETED and not replaced.isdisjoint(ancestors(change.path)):
                    found[change.path] = Item(change.path, change.what)  # it comes back with the directory it was in
                elif change.path not in found:
                    found[change.path] = self._item(change)
            except (RefusedError, OSError) as error:
                self.refused.append(Refused(change.path, reason_of(error)))
        return self._with_names(self._fitting(found, room))

    def _fitting(self, found: dict[str, Item], room: int) -> list[Item]:
        """Return the items for which there is room: the smallest first, so that one cannot crowd out all others."""
        fit, counted, left = set(), set(), room
        for item in sorted(found.values(), key=_size):
            need = OVERHEAD if item.inode in counted else _size(item)
            if need > left:
                reason = f"not saved and not removed: {need} bytes do not fit into a tenth of the free space"
                self.refused.append(Refused(item.path, reason))
                continue
            left -= need
            fit.add(item.path)
            if item.facts:
                counted.add(item.inode)
        return [item for item in found.values() if item.path in fit]

    @staticmethod
    def _with_names(items: list[Item]) -> list[Item]:
        """Have all names of a file but the first refer to that."""
        first: dict[tuple[int, int], str] = {}
        found = []
        for item in items:
            is_file = item.facts is not None and item.facts.format == stat.S_IFREG
            earlier = first.setdefault(item.inode, item.path) if is_file else item.path
            found.append(item if earlier == item.path else item._replace(name_of=earlier))
        return found

    def _item(self, change: Change) -> Item:
        if change.what not in UNDONE:
            raise RefusedError("its layer has nothing to revert")
        with self._above(change.path) as above:
            if change.what == DELETED:
                self._check_deleted(above, change)
                return Item(change.path, change.what)
            with opened(opened_beneath(above.upper, above.name)) as raw:
                status = os.fstat(raw)
                if (status.st_dev, status.st_ino) != change.inode or status.st_ctime != change.changed:
                    raise RefusedError(CHANGED)
                with opened(opened_beneath(above.merged, above.name)) as seen:
                    facts = facts_of(seen)
                    if not _alike(os.fstat(seen), status):
                        raise RefusedError(CHANGED)
        self._changed[change.inode] = status.st_ctime_ns
        return Item(change.path, change.what, facts, change.inode, status.st_ctime_ns)

    def _check_deleted(self, above: Both, change: Change) -> None:
        with self._image.original(change.path[1:]) as original:
            if not original or (original.status.st_dev, original.status.st_ino) != change.inode:
                raise RefusedError("the image does not have it as reported")
        if status_of(above.merged, above.name):
            raise RefusedError(CHANGED)

    @contextmanager
    def _above(self, path: str) -> Iterator[Both]:
        with directory_above(self._root, path) as (merged, name), directory_above(self._upper, path) as (upper, _):
            yield Both(merged, upper, name)

    # ------------------------------------------------------------------------------------------------------ saving
    def opened_bytes(self, item: Item) -> int:
        """Return a descriptor of an item's bytes, which are in the upper layer, or in the image all the same."""
        try:
            with self._above(item.path) as above, opened(opened_beneath(above.upper, above.name)) as raw:
                self._check_same(item, os.fstat(raw))
                if "metacopy" not in attributes_of(above.upper, above.name, namespaces()).noted:
                    return readable(raw)
                with opened(opened_beneath(above.merged, above.name)) as seen:
                    self._check_alike(os.fstat(seen), os.fstat(raw))
                    return readable(seen)
        except RefusedError as error:
            raise OSError(0, str(error)) from None

    def fault(self, item: Item, descriptor: int) -> str:
        """Return why the bytes that were read are not those of the item."""
        status = os.fstat(descriptor)
        assert item.facts is not None  # noqa: S101 - it has bytes
        same = status.st_ctime_ns == item.changed and status.st_size == item.facts.size
        return "" if same else CHANGED

    @staticmethod
    def _check_alike(seen: os.stat_result, raw: os.stat_result) -> None:
        if not _alike(seen, raw):
            raise RefusedError(CHANGED)

    def _check_same(self, item: Item, status: os.stat_result) -> None:
        """Raise RefusedError where an entry of the upper layer is not what was looked at."""
        assert item.facts is not None  # noqa: S101 - something stood there
        same = (status.st_dev, status.st_ino) == item.inode and stat.S_IFMT(status.st_mode) == item.facts.format
        # A directory is changed by what is undone in it.
        if same and not stat.S_ISDIR(status.st_mode):
            same = status.st_ctime_ns == self._changed[item.inode] and (
                item.facts.format != stat.S_IFREG or status.st_size == item.facts.size
            )
        elif same:
            same = (stat.S_IMODE(status.st_mode), (status.st_uid, status.st_gid)) == (item.facts.mode, item.facts.owner)
        if not same:
            raise RefusedError(CHANGED)

    # ------------------------------------------------------------------------------------------------------ undoing
    def undo(self, items: Sequence[Item]) -> None:
        """Undo all: what is new, from the deepest on; then the others, from above; at last directories' own facts."""
        new = [item for item in items if item.what == NEW]
        own = [item for item in items if _is_own(item)]
        others = [item for item in items if item.what != NEW and not _is_own(item)]
        for item in (*sorted(new, key=_depth, reverse=True), *sorted(others, key=_depth), *reversed(own)):
            try:
                self._undo(item)
                self.undone.append(item.path)
            except (RefusedError, OSError) as error:
                self.refused.append(Refused(item.path, reason_of(error)))

    def _undo(self, item: Item) -> None:
        if not self._whole.isdisjoint(ancestors(item.path)):
            return
        with self._above(item.path) as above:
            if item.what == NEW:
                self._unlink(above, item)
                return
            with self._image.original(item.path[1:]) as original:
                if not original:
                    raise RefusedError("the image does not have it")
                self._put_back(above, item, original)

    @contextmanager
    def _still(self, above: Both, item: Item) -> Iterator[int]:
        """Pin an entry that is still what was looked at; afterwards, what we did to it is taken for known."""
        with (
            opened(opened_beneath(above.upper, above.name)) as raw,
            opened(opened_beneath(above.merged, above.name)) as seen,
        ):
            before = os.fstat(raw)
            self._check_same(item, before)
            self._check_alike(os.fstat(seen), before)
            yield seen
            after = os.fstat(raw)
            if (after.st_size, after.st_mtime_ns) == (before.st_size, before.st_mtime_ns):
                self._changed[item.inode] = after.st_ctime_ns

    def _unlink(self, above: Both, item: Item) -> None:
        with self._still(above, item) as seen:
            if stat.S_ISDIR(os.fstat(seen).st_mode):
                os.rmdir(above.name, dir_fd=above.merged)
            else:
                os.unlink(above.name, dir_fd=above.merged)

    def _put_back(self, above: Both, item: Item, original: Original) -> None:
        if item.facts and item.facts.kind == "directory" and original.is_directory:
            with self._still(above, item) as seen:
                give(seen, original.facts())
            return
        draft = f".dockyard-{os.urandom(16).hex()}"
        try:
            made = original.copy(above.merged, draft, self._links)
            if item.facts is None:
                moved(above.merged, draft, above.name, NO_REPLACE)
            else:
                self._replace(above, item, original, draft)
        except BaseException:
            with suppress(OSError):
                take_away(above.merged, draft)
            raise
        now = status_of(above.merged, above.name)
        if not now or now.st_ino != made.st_ino:
            raise RefusedError("something else was created there")
        self._whole |= {item.path} if original.is_directory else set()

    def _replace(self, above: Both, item: Item, original: Original, draft: str) -> None:
        with self._still(above, item) as seen:
            is_directory = stat.S_ISDIR(os.fstat(seen).st_mode)
            if not is_directory and not original.is_directory:
                moved(above.merged, draft, above.name)
                return
            if is_directory:
                os.rmdir(above.name, dir_fd=above.merged)
            else:
                os.unlink(above.name, dir_fd=above.merged)
            moved(above.merged, draft, above.name, NO_REPLACE)


def _alike(seen: os.stat_result, raw: os.stat_result) -> bool:
    """Return whether what the container sees is what stands in the upper layer."""
    sizes = (seen.st_size, raw.st_size) if stat.S_ISREG(raw.st_mode) else (0, 0)
    return sizes[0] == sizes[1] and (seen.st_mode, seen.st_ctime_ns, seen.st_mtime_ns, seen.st_rdev) == (
        raw.st_mode,
        raw.st_ctime_ns,
        raw.st_mtime_ns,
        raw.st_rdev,
    )


def _size(item: Item) -> int:
    if item.facts is None:
        return OVERHEAD
    return OVERHEAD + item.facts.size + 2 * sum(map(len, item.facts.attributes.values()))


def _is_own(item: Item) -> bool:
    """Return whether a directory itself differs."""
    return item.what == METADATA and item.facts is not None and item.facts.kind == "directory"


def _depth(item: Item) -> int:
    return item.path.count("/")


def ancestors(path: str) -> Iterator[str]:
    """Yield the paths of the directories that a path leads through."""
    end = path.rfind("/")
    while end > 0:
        yield path[:end]
        end = path.rfind("/", 0, end)


def reason_of(error: RefusedError | OSError) -> str:
    """Return why an entry was left as it is."""
    if isinstance(error, RefusedError):
        return str(error)
    return _REASONS.get(error.errno or 0) or error.strerror or str(error)


_REASONS = {
    errno.ENOENT: "gone since it was reported",
    errno.ENOTDIR: "a part of its path is no longer a directory",
    errno.ELOOP: "its path contains a link now",
    errno.EXDEV: "something is mounted there",
    errno.ENOTEMPTY: "it contains entries that were not reported",
    errno.EEXIST: "something exists there again",
    errno.EAGAIN: "a process holds a lease on it",
}
