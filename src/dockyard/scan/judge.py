"""The verdict on one entry of an upper directory: what it is to the image's."""

import errno
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import ExitStack

from dockyard.engine.models import IdMap
from dockyard.scan.attributes import attributes_of, has_named_marks, mark_of, metadata
from dockyard.scan.budget import StoppedError, Tally
from dockyard.scan.change import DELETED, EDITED, METADATA, NEW, REPLACED, TOUCHED, TYPE, Change, change_of, kind_of
from dockyard.scan.compare import Copy, Pending, check_identity, identity_of, remembered, same_bytes
from dockyard.scan.descent import Descent, Frame
from dockyard.scan.lower import MOST, Lower, directories, found, is_whiteout, missing, redirected, size_below

EXECUTABLE = 0o111


class Judge:
    """Judges entries, each given by the frame and the path of its directory, its name and its status.

    With `pending`, bytes are not compared but left there, for `late`. What cannot be judged raises OSError.
    `ids` say which ids the container's layer has in place of those of the image.
    """

    def __init__(self, marks: tuple[str, ...], tally: Tally, pending: Pending | None, ids: IdMap | None = None) -> None:
        self.marks, self.tally, self.pending, self.ids = marks, tally, pending, ids or IdMap()

    def new(self, frame: Frame, path: str, name: str, status: os.stat_result) -> Change:
        """Return what is told of an entry that the image does not have."""
        kind = kind_of(status)
        full = f"{path}/{name}"
        if kind == "link":
            return change_of(full, NEW, kind, status, (_arrow(frame.here, name),))
        # An empty file may be the engine's, if there is nothing else to it.
        if kind == "directory" or (kind == "file" and (status.st_mode & EXECUTABLE or not status.st_size)):
            own, noted = attributes_of(frame.here, name, self.marks)
            return change_of(full, NEW, kind, status, self._moved(frame.here, name, noted), tuple(own))
        if kind != "file" and is_whiteout(status):
            raise OSError(errno.ESTALE, "a deletion of something that the image does not have")
        return change_of(full, NEW, kind, status)

    def beside(self, frame: Frame, path: str, name: str, status: os.stat_result) -> Iterable[Change]:
        """Return what is told of an entry of a directory that the image has, too."""
        under = found(frame.layers, name, self.marks)
        if not under and is_whiteout(status) and has_named_marks(self.marks):
            return ()  # fuse-overlayfs leaves one of whatever was there
        if not under:
            return (self.new(frame, path, name, status),)
        if is_whiteout(status):
            return (self._deleted(f"{path}/{name}", under, name, os.fstat(frame.here)),)
        if stat.S_IFMT(status.st_mode) != stat.S_IFMT(under.status.st_mode):
            return self._other_type(frame, path, name, status, under)
        change = self._compared(frame, path, name, status, under)
        return (change,) if change else ()

    def marked(self, frame: Frame, path: str, name: str) -> Iterator[Change]:
        """Yield what a mark beside it says is deleted of the image; nothing for a mark that says no name."""
        if name and (under := found(frame.layers, name, self.marks)):
            yield self._deleted(f"{path}/{name}", under, name, os.fstat(frame.here))

    def hidden(self, frame: Frame, path: str, only: str | None = None) -> Iterator[Change]:
        """Yield what the image has in a directory that hides it, and what is not there again; or `only` that."""
        status = os.fstat(frame.here)
        if only is None:
            yield from self._missing(path, missing(frame.layers, frame.here, self.marks), status)
        elif under := found(frame.layers, only, self.marks):
            yield self._deleted(f"{path}/{only}", under, only, status)

    def late(self, way: Descent, directory: str, records: list[bytes]) -> Iterator[Change]:
        """Yield what is told of files of one directory that were left to be compared."""
        try:
            frame = way.go(directory.split("/")[1:])
        except OSError as error:
            yield from self._given_up(directory, records, error)
            return
        for number, record in enumerate(records):
            name, copy = remembered(directory, record)
            try:
                self.tally.check_time()
                change = self._settled(frame, name, copy, found(frame.layers, name, self.marks))
            except StoppedError:
                yield from self._given_up(directory, records[number:])
                return
            if change:
                yield change

    def _given_up(self, directory: str, records: list[bytes], error: OSError | None = None) -> Iterator[Change]:
        """Yield what else is different in files that cannot be compared."""
        for record in records:
            change = remembered(directory, record)[1].change
            if error:
                self.tally.fail(change.path, error)
            if change.what == METADATA:
                yield change

    # ---------------------------------------------------------------------------------------------- what the image has
    def _compared(self, frame: Frame, path: str, name: str, status: os.stat_result, under: Lower) -> Change | None:
        here, before = frame.here, under.status
        kind = kind_of(status)
        ours, theirs = attributes_of(here, name, self.marks), attributes_of(under.layer, name, self.marks)
        owner = self._owner(before)
        detail = metadata(status, before, owner, ours.own, theirs.own)
        what = METADATA if detail else TOUCHED
        change = change_of(f"{path}/{name}", what, kind, status, detail, tuple(ours.own), owner)
        edited = EDITED if "origin" in ours.noted else REPLACED
        if kind != "file":
            return self._special(frame, name, change, edited, (status, under), ours.noted)
        if "metacopy" in theirs.noted:
            return self._untold(change, OSError(errno.ENOTSUP, "a file of the image whose content is elsewhere"))
        copy = Copy(change, edited, identity_of(status), "metacopy" in ours.noted)
        return self._file(frame, path, name, copy, under)

    def _special(  # noqa: PLR0913, PLR0917 - an entry, and all that is known of it
        self,
        frame: Frame,
        name: str,
        change: Change,
        edited: str,
        both: tuple[os.stat_result, Lower],
        noted: frozenset[str],
    ) -> Change | None:
        """Return what is told of anything but a file."""
        here, (status, (layer, before)) = frame.here, both
        detail: tuple[str, ...] = ()
        if change.kind == "directory" and "redirect" in noted:
            edited, detail = REPLACED, self._moved(here, name, noted)
        elif change.kind == "directory":
            # It is there because something below it changed, or because something came and went: then it is later.
            is_quiet = change.what == TOUCHED and status.st_mtime_ns == before.st_mtime_ns
            return None if is_quiet else change
        elif change.kind == "link" and os.readlink(name, dir_fd=here) != os.readlink(name, dir_fd=layer):
            detail = (_arrow(here, name),)
        elif status.st_rdev == before.st_rdev:
            return change
        return change._replace(what=edited, detail=(*change.detail, *detail))

    def _file(self, frame: Frame, path: str, name: str, copy: Copy, under: Lower) -> Change | None:
        """Size and times prove nothing but a difference."""
        if copy.known.size != under.status.st_size:
            return copy.change._replace(what=copy.edited)
        if self.pending is None:
            return self._settled(frame, name, copy, under)
        if self.pending.add(path, name, copy):
            return None
        return self._untold(copy.change, OSError(errno.E2BIG, "too many copies to compare"))

    def _settled(self, frame: Frame, name: str, copy: Copy, under: Lower | None) -> Change | None:
        try:
            is_same = self._is_same(frame, name, copy, under)
        except OSError as error:
            return self._untold(copy.change, error)
        return copy.change if is_same else copy.change._replace(what=copy.edited)

    def _untold(self, change: Change, error: OSError) -> Change | None:
        """Tell that a copy could not be compared; what else is different in it is told as well."""
        self.tally.fail(change.path, error)
        return change if change.what == METADATA else None

    def _is_same(self, frame: Frame, name: str, copy: Copy, under: Lower | None) -> bool:
        if not under:
            raise OSError(errno.ESTALE, "the image changed while it was read")
        if not copy.is_bare:
            return same_bytes((frame.here, name), copy.known, (under.layer, name), self.tally)
        noted = attributes_of(frame.here, name, self.marks).noted
        check_identity(os.stat(name, dir_fd=frame.here, follow_symlinks=False), copy.known)
        return "redirect" not in noted or self._is_same_elsewhere(frame, name, under)

    def _is_same_elsewhere(self, frame: Frame, name: str, under: Lower) -> bool:
        """Return whether what a renamed file has for its content is what the image has under its new name."""
        with ExitStack() as stack:
            value = mark_of(frame.here, name, "redirect", self.marks)
            layers, other = redirected(frame.top, frame.layers, value, self.marks, stack)
            content = found(layers, other, self.marks)
            if not content:
                raise OSError(errno.ESTALE, "a renamed file that the image does not have")
            return same_bytes((content.layer, other), identity_of(content.status), (under.layer, name), self.tally)

    def _other_type(self, frame: Frame, path: str, name: str, status: os.stat_result, under: Lower) -> Iterator[Change]:
        kind, before = kind_of(status), under.status
        detail = (f"was a {kind_of(before)}", *((_arrow(frame.here, name),) if kind == "link" else ()))
        own = attributes_of(frame.here, name, self.marks).own
        owner = self._owner(before)
        yield change_of(f"{path}/{name}", TYPE, kind, status, detail, tuple(own), owner)
        if stat.S_ISDIR(before.st_mode):
            with ExitStack() as stack:
                below = directories(frame.layers, name, self.marks, stack)
                yield from self._missing(f"{path}/{name}", missing(below, None, self.marks), status)

    def _missing(self, path: str, entries: Iterable[tuple[str, Lower]], status: os.stat_result) -> Iterator[Change]:
        for name, under in entries:
            self.tally.count()
            yield self._deleted(f"{path}/{name}", under, name, status)

    def _deleted(self, path: str, under: Lower, name: str, parent: os.stat_result) -> Change:
        kind = kind_of(under.status)
        below = size_below(under, name, self.tally.count) if kind == "directory" else 0
        told = f"more than {MOST}" if below > MOST else str(below)
        detail = (f"with {told} entries",) if below else ()
        change = change_of(path, DELETED, kind, under.status, detail)
        return change._replace(changed=parent.st_ctime, owner=self._owner(under.status))

    def _owner(self, status: os.stat_result) -> tuple[int, int]:
        """Return the owner that an entry of the image has for the container, as the host numbers it."""
        return self.ids.owner_outside(status.st_uid, status.st_gid)

    def _moved(self, here: int, name: str, noted: frozenset[str]) -> tuple[str, ...]:
        if "redirect" not in noted:
            return ()
        return (f"from {os.fsdecode(mark_of(here, name, 'redirect', self.marks))}",)


def _arrow(here: int, name: str) -> str:
    return f"→ {os.readlink(name, dir_fd=here)}"
