"""Files that the whole system depends on: locked, replaced atomically, never through a link."""

import fcntl
import os
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from dockyard.errors import DockyardError, LockedError
from dockyard.plan.userns import FileChange

PATIENCE = 15  # seconds that lckpwdf(3) waits, too


@contextmanager
def locked(directory: str) -> Iterator[None]:
    """Hold the lock that useradd, vipw and their like respect. Raises LockedError."""
    path = Path(directory, ".pwd.lock")
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        deadline = time.monotonic() + PATIENCE
        while True:
            with suppress(BlockingIOError, PermissionError):
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() > deadline:
                raise LockedError(
                    f"{path}: another program is changing accounts", hint="try again when it has finished"
                )
            time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)


def read(path: str) -> str | None:
    """Return a file's text, bytes that are not UTF-8 as surrogates; None if it does not exist.

    Raises DockyardError for a link and for anything else that is not a file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        if Path(path).is_symlink():
            raise DockyardError(
                f"{path} is a link, which is not followed", hint="use the path of the file that it points to"
            ) from None
        raise DockyardError(f"{path}: {error.strerror}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DockyardError(f"{path} is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        return file.read().decode("utf-8", "surrogateescape")


def read_all(paths: Iterable[str]) -> dict[str, str | None]:
    """Return the texts of files by their paths."""
    return {path: read(path) for path in paths}


def carry_out(change: FileChange) -> None:
    """Write a file's new content, keeping its owner, mode and attributes. Raises DockyardError.

    A file that has changed since it was planned is not touched.
    """
    if read(change.path) != change.before:
        raise DockyardError(f"{change.path} was changed in the meantime", hint="try again")
    try:
        if change.after is None:
            Path(change.path).unlink(missing_ok=True)
        else:
            write(change.path, change.after)
    except OSError as error:
        raise DockyardError(f"{change.path} cannot be changed: {error.strerror}") from None


def write(path: str, text: str, mode: int = 0o644) -> None:
    """Replace a file atomically, or create it with a mode. Raises OSError."""
    draft = _draft(path)
    draft.unlink(missing_ok=True)  # of a run that was killed
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8", "surrogateescape"))
            file.flush()
            _dress(descriptor, path, mode)
            os.fsync(descriptor)
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    _sync(draft.parent)


def _draft(path: str) -> Path:
    """Return the path of a file's draft: always the same one, so that none is left for ever."""
    file = Path(path)
    return file.with_name(f".{file.name}.dockyard")


def discard_draft(path: str) -> None:
    """Remove the draft of a file that a killed run may have left."""
    with suppress(OSError):
        _draft(path).unlink(missing_ok=True)


def _dress(descriptor: int, path: str, mode: int) -> None:
    """Give a draft the owner, mode and attributes of the file that it replaces."""
    try:
        there = Path(path).lstat()
    except FileNotFoundError:
        os.fchmod(descriptor, mode)
        return
    os.fchown(descriptor, there.st_uid, there.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(there.st_mode))
    with suppress(OSError):  # a file system without attributes
        for name in os.listxattr(path, follow_symlinks=False):
            os.setxattr(descriptor, name, os.getxattr(path, name, follow_symlinks=False))


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: str) -> bool:
    """Create the directory of a file if it does not exist; returns whether it did. Raises DockyardError."""
    try:
        Path(path).mkdir(mode=0o755)
    except FileExistsError:
        return False
    except OSError as error:
        raise DockyardError(f"{path} cannot be created: {error.strerror}") from None
    return True
