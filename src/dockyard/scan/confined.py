"""Reaching into a container: whatever is done inside meanwhile, nothing outside of its own root is reached.

The kernel itself resolves the path below a pinned directory: through no link, up past no directory, onto no other
mount. See openat2(2). What changes an entry by its name is given a pinned directory and one name, never a path.
"""

import errno
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.copying.opening import opened, pin
from dockyard.errors import DockyardError
from dockyard.scan.where import place_in

if TYPE_CHECKING:
    import ctypes

OPENAT2 = 437  # on all architectures
NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS, BENEATH = 0x01, 0x02, 0x04, 0x08  # RESOLVE_… of linux/openat2.h
CONFINED = NO_XDEV | NO_MAGICLINKS | NO_SYMLINKS | BENEATH
PIN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
PIN_DIRECTORY = PIN | os.O_DIRECTORY
LONGEST = 4000  # bytes of a path at once: the kernel takes less than 4096
NO_REPLACE = 1  # RENAME_NOREPLACE of renameat2(2)
_TRIES = 16


def opened_beneath(root: int, path: str, flags: int = PIN) -> int:
    """Return a descriptor of what stands at a relative path below a directory; `.` or nothing is the directory itself.

    A path may be longer than what the kernel takes at once. Raises OSError: ELOOP for a link on the way (the last one
    can be pinned), EXDEV for another mount or a way out; DockyardError where the kernel is older than 5.6.
    """
    if path.startswith("/"):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
    *above, last = _pieces(path)
    here = root
    try:
        for piece in above:
            inner = _openat2(here, piece, PIN_DIRECTORY)
            if here != root:
                os.close(here)
            here = inner
        return _openat2(here, last, flags | os.O_CLOEXEC)
    finally:
        if here != root:
            os.close(here)


def _pieces(path: str) -> list[bytes]:
    pieces = [b""]
    for part in os.fsencode(path).split(b"/"):
        joined = pieces[-1] + b"/" + part if pieces[-1] else part
        if len(joined) > LONGEST and pieces[-1]:
            pieces.append(part)
        else:
            pieces[-1] = joined
    pieces[-1] = pieces[-1] or b"."
    return pieces


def _openat2(above: int, path: bytes, flags: int) -> int:
    how = struct.pack("QQQ", flags, 0, CONFINED)
    for _ in range(_TRIES):
        found: int = _library().syscall(OPENAT2, above, path, how, len(how))
        if found >= 0:
            return found
        code = _error()
        # Something was moved meanwhile, and the kernel cannot tell whether the way led out: see openat2(2).
        if code != errno.EAGAIN or flags & os.O_NONBLOCK:
            break
    if code == errno.ENOSYS:
        raise DockyardError("this kernel has no openat2: nothing is done in containers", hint="Linux 5.6 or later has")
    raise OSError(code, os.strerror(code), os.fsdecode(path))


def moved(above: int, name: str, new: str, flags: int = 0) -> None:
    """Rename an entry within a pinned directory; with NO_REPLACE only where nothing has the new name."""
    if _library().renameat2(above, os.fsencode(name), above, os.fsencode(new), flags):
        code = _error()
        raise OSError(code, os.strerror(code), name)


def _error() -> int:
    import ctypes

    return ctypes.get_errno()


@cache
def _library() -> "ctypes.CDLL":
    import ctypes

    library = ctypes.CDLL(None, use_errno=True)
    library.syscall.restype = ctypes.c_long
    library.syscall.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
    text, number = ctypes.c_char_p, ctypes.c_int
    library.renameat2.argtypes = (number, text, number, text, ctypes.c_uint)
    return library


@contextmanager
def root_of(pid: int, upper: str) -> Iterator[int]:
    """Pin the root of a process, which has to be the overlay whose upper directory is the one given.

    A process that has taken over the number of a container's is told by that. Raises DockyardError.
    """
    try:
        root = _pinned_root(pid, upper)
    except OSError as error:
        raise DockyardError(f"its process cannot be inspected: {error.strerror}") from None
    with opened(root):
        yield root


def _pinned_root(pid: int, upper: str) -> int:
    with opened(pin(f"/proc/{pid}")) as process:
        root = os.open("root", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=process)
        with opened(root):
            if _is_overlay_of(upper, root, process):
                return os.dup(root)
    raise DockyardError(f"the root of process {pid} is not this container's layers (any more)")


def _is_overlay_of(upper: str, root: int, process: int) -> bool:
    """Return whether a pinned root is the top of an overlay, as the process that it is the root of tells.

    A mount that is pinned keeps its number, and a root further down in a mount is in no table.
    """
    facts = Path(f"/proc/self/fdinfo/{root}").read_text(encoding="ascii").splitlines()
    number = next(line.split()[1] for line in facts if line.startswith("mnt_id:")).encode()
    with os.fdopen(os.open("mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=process), "rb") as table:
        rows = [line for line in table if line.split(b" ")[0] == number and line.split(b" ")[3] == b"/"]
    found = place_in(rows[0], upper) if rows else None
    return found is not None and found.upper == upper
