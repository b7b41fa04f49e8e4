"""A container's upper directory, read from the host: all that differs from the image below it.

Nothing is opened but regular files and directories, no link is followed, no path is ever given to the kernel whole, and
the container notices nothing. What cannot be judged is counted: a walk is complete, or says that it is not.
The kernel's own marks (whiteouts, opaque directories, origins) are described in docs/decisions/scanning.md.
"""

import errno
import os
import resource
import stat
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import NamedTuple

from dockyard.copying.opening import directory, opened, pin, readable
from dockyard.engine.models import IdMap
from dockyard.scan.attributes import attributes_of, has_mark, mark, marks, metadata

NEW, REPLACED, EDITED, METADATA, TYPE, DELETED = "new", "replaced", "edited", "metadata", "type", "deleted"
TOUCHED = "touched"
"""A copy that is as the image has it, or new times alone: it says that something was there."""

KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFIFO: "pipe",
    stat.S_IFSOCK: "socket",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}

CHUNK = 1024 * 1024
OPEN = 128  # directories of the upper layer that are open at once; those further up are opened anew on the way back
WAITING = 32 * 1024 * 1024  # bytes of names of directories that wait for their turn


class Change(NamedTuple):
    """One entry that differs; `path` begins with `/`, a byte that is no UTF-8 is a lone surrogate in it.

    `detail` says how, as far as `what` does not; `changed` is in seconds of the epoch, and no container can set it back
    (of a deletion it is the directory's). `inode` is the same for all names of one file. Owners are the host's;
    `before` is the image's.
    """

    path: str
    what: str
    kind: str
    size: int = 0
    mode: int = 0
    owner: tuple[int, int] = (0, 0)
    changed: float = 0.0
    inode: tuple[int, int] = (0, 0)
    links: int = 1
    detail: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    before: tuple[int, int] = (0, 0)

    def seen_by(self, ids: IdMap) -> "Change":
        """Return it with owners as a container sees them."""
        return self._replace(owner=ids.owner(*self.owner), before=ids.owner(*self.before))


class Budget(NamedTuple):
    """How much a walk may cost, before it is told as not complete; `compared` is in bytes."""

    entries: int = 2_000_000
    seconds: float = 120.0
    compared: int = 16 * 1024**3


BUDGET = Budget()


class _Frame:
    """A directory on the way: its descriptor, or what it is known again by, and what below it is still to be read."""

    __slots__ = ("descriptor", "identity", "layers", "offset", "path", "stack", "waiting")

    def __init__(self, path: str, descriptor: int, layers: list[int], stack: ExitStack) -> None:
        self.path = path
        self.descriptor: int | None = descriptor
        status = os.fstat(descriptor)
        self.identity = (status.st_dev, status.st_ino)
        self.layers = layers
        self.stack = stack
        self.waiting = bytearray()
        self.offset = 0

    def next_name(self) -> str | None:
        if self.offset >= len(self.waiting):
            return None
        end = self.waiting.index(0, self.offset)
        name = os.fsdecode(bytes(self.waiting[self.offset : end]))
        self.offset = end + 1
        return name

    def close(self) -> None:
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None
        self.stack.close()


def _check_identity(frame: _Frame) -> None:
    """Raise OSError where a directory is not the one that was left."""
    assert frame.descriptor is not None  # noqa: S101 - it has just been opened
    status = os.fstat(frame.descriptor)
    if (status.st_dev, status.st_ino) != frame.identity:
        raise OSError(errno.ESTALE, "moved while it was read")


class _Stopped(Exception):  # noqa: N818 - no error
    """The budget is used up."""


class Walk:
    """One reading of an upper directory; `layers` are the image's directories, the uppermost first.

    After `changes` is through, `unjudged` counts what could not be judged, by reason; `example` has one path of each.
    """

    def __init__(self, upper: str, layers: Sequence[str], budget: Budget = BUDGET) -> None:
        self.upper, self.layers, self.budget = upper, layers, budget
        self.entries = 0
        self.compared = 0
        self.unjudged: Counter[str] = Counter()
        self.example: dict[str, str] = {}
        self._deadline = time.monotonic() + budget.seconds

    @property
    def is_complete(self) -> bool:
        """Whether everything was judged."""
        return not self.unjudged

    def changes(self) -> Iterator[Change]:
        """Yield what differs, directories before what is in them. Raises OSError where there is nothing to read."""
        _allow_descriptors()
        frames: list[_Frame] = []
        try:
            with ExitStack() as stack:
                below = [stack.enter_context(opened(pin(layer, follow=True))) for layer in self.layers]
                top = os.open(self.upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOATIME)
                frames.append(_Frame("", top, below, stack.pop_all()))
            with suppress(_Stopped):
                yield from self._walk(frames)
        finally:
            for frame in frames:
                frame.close()

    # ------------------------------------------------------------------------------------------------------- the walk
    def _walk(self, frames: list[_Frame]) -> Iterator[Change]:
        yield from self._read(frames[0])
        while frames:
            frame = frames[-1]
            name = frame.next_name()
            if name is None:
                self._leave(frames)
                continue
            try:
                inner = self._enter(frame, name)
            except OSError as error:
                self._unjudged(f"{frame.path}/{name}", error)
                continue
            frames.append(inner)
            if len(frames) > OPEN:
                self._close_one(frames[-OPEN - 1])
            yield from self._read(inner)

    def _enter(self, frame: _Frame, name: str) -> _Frame:
        assert frame.descriptor is not None  # noqa: S101 - see _leave
        with ExitStack() as stack:
            descriptor = directory(name, frame.descriptor)
            try:
                below = [stack.enter_context(opened(one)) for one in _pinned(frame.layers, name)]
                return _Frame(f"{frame.path}/{name}", descriptor, below, stack.pop_all())
            except BaseException:
                os.close(descriptor)
                raise

    def _leave(self, frames: list[_Frame]) -> None:
        """Go back to the directory above; one that was closed is opened anew, and has to be the same."""
        done = frames.pop()
        above = frames[-1] if frames else None
        try:
            if above and above.descriptor is None:
                assert done.descriptor is not None  # noqa: S101 - only those further up are closed
                above.descriptor = directory("..", done.descriptor)
                _check_identity(above)
        except OSError as error:
            self._unjudged(above.path if above else "", error)
            raise _Stopped from None
        finally:
            done.close()

    @staticmethod
    def _close_one(frame: _Frame) -> None:
        if frame.descriptor is not None:
            os.close(frame.descriptor)
            frame.descriptor = None

    def _read(self, frame: _Frame) -> Iterator[Change]:
        """Yield what differs in one directory, and remember the directories in it."""
        here = frame.descriptor
        assert here is not None  # noqa: S101 - it has just been opened
        seen: set[str] | None = None
        try:
            seen = set() if frame.layers and mark(here, "opaque") == b"y" else None
            self._refuse_redirects(here, frame)
            with os.scandir(here) as entries:
                for entry in entries:
                    yield from self._entry(frame, here, entry, seen)
        except OSError as error:
            self._unjudged(frame.path or "/", error)
        if seen is not None:
            yield from self._hidden(frame, seen)

    def _refuse_redirects(self, here: int, frame: _Frame) -> None:
        if frame.path and mark(here, "redirect"):
            raise OSError(errno.ENOTSUP, "a renamed directory of the image: what is in it is elsewhere")

    def _entry(self, frame: _Frame, here: int, entry: "os.DirEntry[str]", seen: set[str] | None) -> Iterator[Change]:
        self._count()
        name = entry.name
        path = f"{frame.path}/{name}"
        if seen is not None:
            seen.add(name)
        try:
            status = entry.stat(follow_symlinks=False)
            under = _lower(frame.layers, name) if frame.layers else None
            if is_whiteout(status):
                if under:
                    yield self._deleted(path, under, name, os.fstat(here))
                return
            change = self._judged(path, here, name, status, under)
            if change:
                yield change
            if under and stat.S_ISDIR(under[1].st_mode) and not stat.S_ISDIR(status.st_mode):
                yield from self._hidden_below(path, under, name, status)
            if stat.S_ISDIR(status.st_mode):
                self._wait(frame, name)
        except OSError as error:
            self._unjudged(path, error)

    def _wait(self, frame: _Frame, name: str) -> None:
        if len(frame.waiting) > WAITING:
            raise OSError(errno.E2BIG, "too many directories")
        frame.waiting += os.fsencode(name) + b"\0"

    def _count(self) -> None:
        self.entries += 1
        if self.entries > self.budget.entries:
            self._stop(f"more than {self.budget.entries} entries")
        if not self.entries % 1024 and time.monotonic() > self._deadline:
            self._stop(f"not done within {self.budget.seconds:g} s")

    def _stop(self, reason: str) -> None:
        self.unjudged[reason] += 1
        raise _Stopped

    def _unjudged(self, path: str, error: OSError) -> None:
        reason = error.strerror or str(error)
        self.unjudged[reason] += 1
        self.example.setdefault(reason, path)

    # ------------------------------------------------------------------------------------------------------ the verdict
    def _judged(self, path: str, here: int, name: str, status: os.stat_result, under: "_Under | None") -> Change | None:
        kind = KINDS[stat.S_IFMT(status.st_mode)]
        if not under:
            has = attributes_of(here, name) if kind == "file" and status.st_mode & 0o111 else {}
            return _change(path, NEW, kind, status, attributes=tuple(has))
        layer, before = under
        if stat.S_IFMT(status.st_mode) != stat.S_IFMT(before.st_mode):
            return _change(path, TYPE, kind, status, (f"was a {KINDS[stat.S_IFMT(before.st_mode)]}",))
        ours, theirs = attributes_of(here, name), attributes_of(layer, name)
        detail = metadata(status, before, ours, theirs)
        noted = marks(here, name) if kind in {"file", "link"} else ()
        owner = (before.st_uid, before.st_gid)
        if not self._same_content(here, layer, name, status, before, noted):
            what = EDITED if any(one.endswith(".origin") for one in noted) else REPLACED
            return _change(path, what, kind, status, detail, tuple(ours))._replace(before=owner)
        if detail:
            return _change(path, METADATA, kind, status, detail, tuple(ours))._replace(before=owner)
        # A directory is there because something below it changed, or because something came and went: then it is later.
        return (
            None
            if kind == "directory" and status.st_mtime_ns == before.st_mtime_ns
            else _change(path, TOUCHED, kind, status)
        )

    def _same_content(  # noqa: PLR0913, PLR0917 - two places of one name
        self,
        here: int,
        layer: int,
        name: str,
        status: os.stat_result,
        before: os.stat_result,
        noted: Sequence[str],
    ) -> bool:
        """Return whether a copy is as what it was copied from; size and times prove nothing but a difference."""
        if stat.S_ISLNK(status.st_mode):
            return os.readlink(name, dir_fd=here) == os.readlink(name, dir_fd=layer)
        if stat.S_ISCHR(status.st_mode) or stat.S_ISBLK(status.st_mode):
            return status.st_rdev == before.st_rdev
        if not stat.S_ISREG(status.st_mode):
            return True
        if any(one.endswith(".metacopy") for one in noted):
            if any(one.endswith(".redirect") for one in noted):
                raise OSError(errno.ENOTSUP, "a renamed file of the image: its content is elsewhere")
            return True
        return status.st_size == before.st_size and self._same_bytes(here, layer, name, status)

    def _same_bytes(self, here: int, layer: int, name: str, status: os.stat_result) -> bool:
        self.compared += status.st_size
        if self.compared > self.budget.compared:
            self._stop(f"more than {self.budget.compared} bytes to compare")
        with ExitStack() as stack:
            pinned = stack.enter_context(opened(pin(name, here)))
            if os.fstat(pinned).st_ino != status.st_ino:
                raise OSError(errno.ESTALE, "replaced while it was read")
            ours = stack.enter_context(opened(readable(pinned)))
            theirs = stack.enter_context(opened(readable(stack.enter_context(opened(pin(name, layer))))))
            while True:
                chunk = os.read(ours, CHUNK)
                if chunk != os.read(theirs, CHUNK):
                    return False
                if not chunk:
                    break
            after = os.fstat(ours)
            if (after.st_size, after.st_ctime_ns) != (status.st_size, status.st_ctime_ns):
                raise OSError(errno.ESTALE, "written to while it was read")
        return True

    # ------------------------------------------------------------------------------------------------------- deletions
    def _deleted(self, path: str, under: "_Under", name: str, parent: os.stat_result) -> Change:
        layer, before = under
        kind = KINDS[stat.S_IFMT(before.st_mode)]
        below = sum(1 for _ in self._image_tree(layer, name)) if kind == "directory" else 0
        detail = (f"with {below} entries",) if below else ()
        return _change(path, DELETED, kind, before, detail)._replace(changed=parent.st_ctime)

    def _image_tree(self, layer: int, name: str) -> Iterator[None]:
        """Yield once for each entry below a directory of one layer of the image."""
        with suppress(OSError), opened(directory(name, layer)) as inner, os.scandir(inner) as entries:
            for entry in entries:
                self._count()
                yield
                if entry.is_dir(follow_symlinks=False):
                    yield from self._image_tree(inner, entry.name)

    def _hidden(self, frame: _Frame, seen: set[str]) -> Iterator[Change]:
        """Yield what the image has in a directory that is made anew, and that is not there again."""
        assert frame.descriptor is not None  # noqa: S101 - it is being read
        parent = os.fstat(frame.descriptor)
        yield from self._missing(frame.path, frame.layers, seen, parent)

    def _hidden_below(self, path: str, under: "_Under", name: str, status: os.stat_result) -> Iterator[Change]:
        """Yield what was in a directory that something else has replaced."""
        with ExitStack() as stack:
            inner = stack.enter_context(opened(pin(name, under[0])))
            yield from self._missing(path, [inner], set(), status)

    def _missing(self, path: str, layers: list[int], seen: set[str], parent: os.stat_result) -> Iterator[Change]:
        told = set(seen)
        for layer in layers:
            with opened(readable(layer)) as inner, os.scandir(inner) as entries:
                names = [entry.name for entry in entries if entry.name not in told]
            for name in names:
                self._count()
                told.add(name)
                under = _lower(layers, name)
                if under:
                    yield self._deleted(f"{path}/{name}", under, name, parent)


_Under = tuple[int, os.stat_result]


def _change(  # noqa: PLR0913, PLR0917 - what a change is made of
    path: str,
    what: str,
    kind: str,
    status: os.stat_result,
    detail: tuple[str, ...] = (),
    attributes: tuple[str, ...] = (),
) -> Change:
    return Change(
        path,
        what,
        kind,
        status.st_size,
        stat.S_IMODE(status.st_mode),
        (status.st_uid, status.st_gid),
        status.st_ctime,
        (status.st_dev, status.st_ino),
        status.st_nlink,
        detail,
        attributes,
    )


def is_whiteout(status: os.stat_result) -> bool:
    """Return whether an entry marks that the image's one is deleted."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _lower(layers: list[int], name: str) -> _Under | None:
    """Return what the image has under a name: in which layer, and what it is; None where it has nothing."""
    for layer in layers:
        try:
            status = os.stat(name, dir_fd=layer, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            continue
        marked = stat.S_ISREG(status.st_mode) and not status.st_size and has_mark(layer, name, "whiteout")
        return None if is_whiteout(status) or marked else (layer, status)
    return None


def _pinned(layers: list[int], name: str) -> Iterator[int]:
    """Yield the image's directories of a name, the uppermost first, down to the one that hides the others."""
    for layer in layers:
        try:
            status = os.stat(name, dir_fd=layer, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not stat.S_ISDIR(status.st_mode):
            return
        inner = pin(name, layer)
        yield inner
        if has_mark(layer, name, "opaque"):
            return


def _allow_descriptors() -> None:
    """Have as many descriptors as we may: each layer of the image takes one for each directory on the way."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
