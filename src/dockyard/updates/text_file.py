"""Files of a service's owner that dockyard edits: replaced whole or not at all, and only if nothing else has."""

import os
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG

from dockyard.errors import DockyardError

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def read_text(path: Path) -> str:
    """Return a file's text with its line ends; bytes that are not UTF-8 survive being written again.

    Raises DockyardError, also for a symbolic link: what it leads to may belong to another service.
    """
    try:
        descriptor = os.open(path, _READ)
        with os.fdopen(descriptor, "rb") as file:
            if not S_ISREG(os.fstat(descriptor).st_mode):
                raise DockyardError(f"{path} is not a regular file")
            return file.read().decode("utf-8", "surrogateescape")
    except OSError as error:
        if path.is_symlink():
            raise DockyardError(f"{path} is a symbolic link", hint="edit the target of the link by hand") from None
        raise DockyardError(f"{path}: {error.strerror}", hint="run this as the owner of the file") from None


def replace_text(path: Path, before: str, after: str) -> None:
    """Replace a file's text, with its mode and owner. Raises DockyardError if it is not as it was read, `before`."""
    if read_text(path) != before:
        raise DockyardError(f"{path} has changed in the meantime", hint="run this again")
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    try:
        status = path.lstat()
        descriptor = os.open(draft, _CREATE, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(after.encode("utf-8", "surrogateescape"))
            file.flush()
            if (status.st_uid, status.st_gid) != (os.geteuid(), os.getegid()):
                os.fchown(descriptor, status.st_uid, status.st_gid)
            os.fchmod(descriptor, status.st_mode & 0o7777)
            os.fsync(descriptor)
        draft.replace(path)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise DockyardError(f"{path}: {error.strerror}", hint="run this as the owner of the file") from None
