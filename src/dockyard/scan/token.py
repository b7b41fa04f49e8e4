"""Changes that a scan makes itself, and has to find: proof that it sees, in each container and at each run.

They are made from the host, in the container's own root, one component of a path at a time and following no link, while
the container stands still; nothing of them is left when it goes on. Their names and contents cannot be foreseen.
"""

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

from dockyard.copying.opening import directory, opened, pin, readable
from dockyard.scan.layer import DELETED, EDITED, METADATA, NEW, Change

PREFIX = ".dockyard-token-"
LARGEST = 64 * 1024  # bytes of a file of the image that serves for a proof
LOOKED_AT = 2000  # entries of the image that are looked at to find such files
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
def planted(pid: int, file: str = "", *, prove: bool = False) -> Iterator[Tokens]:
    """Have tokens in a container for the block: a new file; with `prove` also an edited one, a deleted one, a mode.

    `file` is where the new one is to be, by default in the root. Raises OSError where one cannot be made, which is
    FileExistsError where something is there already; whatever was made is undone all the same.
    """
    tokens = Tokens(secrets.token_hex(16))
    with ExitStack() as stack:
        root = stack.enter_context(opened(os.open(f"/proc/{pid}/root", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)))
        path = file or f"/{PREFIX}{tokens.nonce}"
        stack.enter_context(_added(root, path, tokens.nonce))
        tokens.planted[path] = NEW
        for found, (what, altered) in zip(_harmless(root) if prove else (), _ALTERATIONS.items(), strict=False):
            stack.enter_context(altered(root, found, tokens.nonce))
            tokens.planted[found] = what
        yield tokens


@contextmanager
def _above(root: int, path: str) -> Iterator[tuple[int, str]]:
    """Open the directory of a path, on the container's own file system, and put its times back at the end."""
    *parts, name = path.strip("/").split("/")
    with ExitStack() as stack:
        here = root
        for part in parts:
            here = stack.enter_context(opened(directory(part, here)))
        if os.fstat(here).st_dev != os.fstat(root).st_dev:
            raise OSError(errno.EXDEV, f"{path} is in something that is mounted")
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
def _edited(root: int, path: str, nonce: str) -> Iterator[None]:
    """Have another first byte in a file: of the same size and time, so that bytes alone tell."""
    with _above(root, path) as (here, name), opened(os.open(name, _WRITE, dir_fd=here)) as file:
        before = os.fstat(file)
        first = os.pread(file, 1, 0)
        try:
            os.pwrite(file, bytes((first[0] ^ (1 + int(nonce[0], 16)),)), 0)
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
            yield
        finally:
            os.pwrite(file, first, 0)
            os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


@contextmanager
def _deleted(root: int, path: str, nonce: str) -> Iterator[None]:
    """Have a file away: under another name, which the image does not have either."""
    with _above(root, path) as (here, name):
        kept = f"{PREFIX}{nonce}-kept"
        os.rename(name, kept, src_dir_fd=here, dst_dir_fd=here)
        try:
            yield
        finally:
            os.rename(kept, name, src_dir_fd=here, dst_dir_fd=here)


@contextmanager
def _given_a_mode(root: int, path: str, _nonce: str) -> Iterator[None]:
    with _above(root, path) as (here, name), opened(os.open(name, _WRITE, dir_fd=here)) as file:
        before = stat.S_IMODE(os.fstat(file).st_mode)
        try:
            os.fchmod(file, before ^ stat.S_IWOTH)
            yield
        finally:
            os.fchmod(file, before)


_WRITE = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ALTERATIONS: dict[str, Callable[[int, str, str], AbstractContextManager[None]]] = {
    EDITED: _edited,
    DELETED: _deleted,
    METADATA: _given_a_mode,
}


def _harmless(root: int) -> Iterator[str]:
    """Yield files of the image that nothing reads while it runs, small, with one name and nothing special."""
    looked = 0
    for place in HARMLESS:
        with ExitStack() as stack:
            try:
                here = root
                for part in place.strip("/").split("/"):
                    here = stack.enter_context(opened(directory(part, here)))
            except OSError:
                continue
            for path, status in _files(here, place):
                looked += 1
                if looked > LOOKED_AT:
                    return
                if status.st_nlink == 1 and 0 < status.st_size <= LARGEST and not status.st_mode & 0o7111:
                    yield path


def _files(here: int, path: str) -> Iterator[tuple[str, os.stat_result]]:
    with opened(readable(here)) as again, os.scandir(again) as entries:
        names = sorted(entry.name for entry in entries)[:LOOKED_AT]
    for name in names:
        status = os.stat(name, dir_fd=here, follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            yield f"{path}/{name}", status
        elif stat.S_ISDIR(status.st_mode):
            with opened(pin(name, here)) as inner:
                yield from _files(inner, f"{path}/{name}")
