"""Changes that a scan makes itself, and has to find: proof that it sees, in each container and at each run.

They are made from the host, in the container's own root, one component of a path at a time and following no link, while
the container stands still; nothing of them is left when it goes on. Their names and contents cannot be foreseen.
Where it does not stand still, it may put anything there meanwhile: no device is opened, and nothing that is mounted.
"""

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from itertools import islice
from pathlib import Path

from dockyard.copying.opening import directory, opened, readable
from dockyard.errors import DockyardError
from dockyard.overlay import at
from dockyard.scan.confined import NO_REPLACE, PIN_DIRECTORY, moved, opened_beneath, root_of
from dockyard.scan.layer import DELETED, EDITED, METADATA, NEW, Change
from dockyard.scan.where import Place

PREFIX = ".dockyard-token-"
LARGEST = 64 * 1024  # bytes of a file of the image that serves for a proof
LOOKED_AT = 2000  # entries of the image that are looked at to find such files
DEEPEST = 8  # directories within each other in which they are looked for
HARMLESS = ("/usr/share/doc", "/usr/share/common-licenses", "/usr/share/licenses", "/usr/share/man", "/usr/share/info")
"""Where an image keeps what nothing reads while it runs."""


class Tokens:
    """What was planted, by what it has to be found as, and which of it was found."""

    def __init__(self, nonce: str) -> None:
        self.nonce = nonce
        self.planted: dict[str, str] = {}
        self.found: set[str] = set()

    def owns(self, change: Change) -> bool:
        """Return whether a change is the scan's own, and note it as found."""
        path = change.path
        if path not in self.planted:
            return self.nonce in path and self.nonce in path.rpartition("/")[2]  # there may be very many that are not
        if self.planted[path] == change.what:
            self.found.add(path)
        return True

    @property
    def missing(self) -> list[str]:
        """What was planted and not found."""
        return [what for path, what in self.planted.items() if path not in self.found]


@contextmanager
def planted(pid: int, place: Place, file: str = "", *, prove: bool = False) -> Iterator[Tokens]:
    """Have tokens in a container for the block: a new file; with `prove` also an edited one, a deleted one, a mode.

    `file` is where the new one is to be, by default in the root. Raises OSError where one cannot be made, which is
    FileExistsError where something is there already; whatever was made is undone all the same. Raises DockyardError
    where the process is not the container's (any more), or the kernel is too old for that to be safe.
    """
    tokens = Tokens(secrets.token_hex(16))
    with ExitStack() as stack:
        root = stack.enter_context(_root(pid, place))
        path = file or f"/{PREFIX}{tokens.nonce}"
        stack.enter_context(_added(root, path, tokens.nonce))
        tokens.planted[path] = NEW
        for found, (what, altered) in zip(_harmless(root) if prove else (), _ALTERATIONS.items(), strict=False):
            stack.enter_context(altered(root, found, tokens.nonce))
            tokens.planted[found] = what
        yield tokens


@contextmanager
def _root(pid: int, place: Place) -> Iterator[int]:
    """Pin the container's root: a number that is another process's by now does not lead to that one's."""
    if place.mounts:
        with root_of(pid, place.upper) as root:
            yield root
        return
    # It is no overlay of the kernel's, or not the root of one: a file system of its own it has to be all the same.
    with opened(os.open(f"/proc/{pid}/root", PIN_DIRECTORY & ~os.O_NOFOLLOW)) as root:
        if os.fstat(root).st_dev in {Path(path).stat().st_dev for path in ("/", place.upper)}:
            raise DockyardError(f"the root of process {pid} is not this container's layers (any more)")
        yield root


@contextmanager
def _above(root: int, path: str) -> Iterator[tuple[int, str]]:
    """Open the directory of a path, on the container's own file system, and put its times back at the end."""
    *parts, name = path.strip("/").split("/")
    with ExitStack() as stack:
        here = stack.enter_context(opened(directory(".", root)))
        for part in parts:
            here = stack.enter_context(opened(directory(part, here)))
        if os.fstat(here).st_dev != os.fstat(root).st_dev:
            raise OSError(errno.EXDEV, f"{path} is on another mount")
        before = os.fstat(here)
        try:
            yield here, name
        finally:
            os.utime(here, ns=(before.st_atime_ns, before.st_mtime_ns))


@contextmanager
def _added(root: int, path: str, nonce: str) -> Iterator[None]:
    with _above(root, path) as (here, name):
        made = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=here)
        with opened(made):
            try:
                os.write(made, nonce.encode())
                yield
            finally:
                _remove_own(here, name, made)


def _remove_own(here: int, name: str, made: int) -> None:
    """Remove a name, if it is still that of the file that was made."""
    try:
        now = os.stat(name, dir_fd=here, follow_symlinks=False)
    except FileNotFoundError:
        return
    if now.st_ino == os.fstat(made).st_ino:
        os.unlink(name, dir_fd=here)


@contextmanager
def _writable(here: int, name: str) -> Iterator[int]:
    """Open a file to write to: nothing else is ever opened, and nothing that is mounted there."""
    with opened(opened_beneath(here, name)) as pinned:
        if not stat.S_ISREG(os.fstat(pinned).st_mode):
            raise OSError(errno.EINVAL, f"{name} is no longer a file")
        with opened(os.open(at(pinned), os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)) as file:
            yield file


@contextmanager
def _edited(root: int, path: str, nonce: str) -> Iterator[None]:
    """Have another first byte in a file: of the same size and time, so that bytes alone tell."""
    with _above(root, path) as (here, name), _writable(here, name) as file:
        before = os.fstat(file)
        first = os.pread(file, 1, 0)
        other = bytes((first[0] ^ (1 + int(nonce[0], 16)),))
        try:
            os.pwrite(file, other, 0)
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
            yield
        finally:
            if os.pread(file, 1, 0) == other and os.fstat(file).st_size == before.st_size:
                os.pwrite(file, first, 0)
                os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@contextmanager
def _deleted(root: int, path: str, nonce: str) -> Iterator[None]:
    """Have a file away: under another name, which the image does not have either."""
    with _above(root, path) as (here, name):
        os.close(opened_beneath(here, name))  # nothing is mounted there
        kept = f"{PREFIX}{nonce}-kept"
        moved(here, name, kept, NO_REPLACE)
        try:
            yield
        finally:
            try:
                moved(here, kept, name, NO_REPLACE)
            except FileExistsError:  # something was put there meanwhile, and stays
                os.unlink(kept, dir_fd=here)


@contextmanager
def _given_a_mode(root: int, path: str, _nonce: str) -> Iterator[None]:
    with _above(root, path) as (here, name), _writable(here, name) as file:
        before = stat.S_IMODE(os.fstat(file).st_mode)
        other = before ^ stat.S_IWOTH
        try:
            os.fchmod(file, other)
            yield
        finally:
            if stat.S_IMODE(os.fstat(file).st_mode) == other:
                os.fchmod(file, before)


_ALTERATIONS: dict[str, Callable[[int, str, str], AbstractContextManager[None]]] = {
    EDITED: _edited,
    DELETED: _deleted,
    METADATA: _given_a_mode,
}


def _harmless(root: int) -> Iterator[str]:
    """Yield files of the image that nothing reads while it runs, small, with one name and nothing special."""
    found = (one for place in HARMLESS for one in _below(root, place))
    for path, status in islice(found, LOOKED_AT):
        is_small = stat.S_ISREG(status.st_mode) and 0 < status.st_size <= LARGEST
        if is_small and status.st_nlink == 1 and not status.st_mode & 0o7111 and _is_in_place(root, path):
            yield path


def _is_in_place(root: int, path: str) -> bool:
    """Return whether a file is the container's own, and nothing that is mounted there."""
    try:
        os.close(opened_beneath(root, path[1:]))
    except OSError:
        return False
    return True


def _below(root: int, path: str, depth: int = 0) -> Iterator[tuple[str, os.stat_result]]:
    """Yield what is in a directory that is on no other mount; nothing where it cannot be read."""
    try:
        found = _listed(root, path)
    except OSError:
        return
    for name, status in found:
        yield f"{path}/{name}", status
        if stat.S_ISDIR(status.st_mode) and depth < DEEPEST:
            yield from _below(root, f"{path}/{name}", depth + 1)


def _listed(root: int, path: str) -> list[tuple[str, os.stat_result]]:
    with opened(opened_beneath(root, path[1:], PIN_DIRECTORY)) as pinned, opened(readable(pinned)) as here:
        with os.scandir(here) as entries:
            names = sorted(entry.name for entry in islice(entries, LOOKED_AT))
        return [(name, os.stat(name, dir_fd=here, follow_symlinks=False)) for name in names]
