"""A container's upper directory, read from the host: what is new, changed or deleted against the image below it.

Nothing is opened but regular files and directories, no link is followed, and the container notices nothing.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import NamedTuple

from dockyard.copying.opening import directory, opened, pin, readable

NEW, CHANGED, DELETED = "new", "changed", "deleted"
CHUNK = 1024 * 1024


class Change(NamedTuple):
    """One entry of the upper directory that says something; `path` begins with `/`, `kind` is as `ls -l` has it."""

    path: str
    what: str
    kind: str
    size: int = 0


def changes(upper: str, layers: Sequence[str]) -> Iterator[Change]:
    """Yield what differs from the image, whose directories are `layers`, the uppermost first.

    Times alone are no change, nor is a directory that is there because something below it changed. What is new below a
    new directory is yielded too. Raises OSError where the upper directory cannot be read.
    """
    with ExitStack() as stack:
        top = stack.enter_context(opened(os.open(upper, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)))
        below = [stack.enter_context(opened(pin(layer))) for layer in layers]
        yield from _walk(top, below, "")


def _walk(upper: int, layers: list[int], path: str) -> Iterator[Change]:
    with os.scandir(upper) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        status = os.stat(name, dir_fd=upper, follow_symlinks=False)
        found = f"{path}/{name}"
        if is_whiteout(status):
            yield Change(found, DELETED, "-")
            continue
        under = _lower(layers, name)
        what = _difference(upper, name, status, under)
        if what:
            yield Change(found, what, stat.filemode(status.st_mode)[0], status.st_size)
        if stat.S_ISDIR(status.st_mode):
            with ExitStack() as stack:
                inner = stack.enter_context(opened(directory(name, upper)))
                below = [] if _is_opaque(inner) else [stack.enter_context(opened(one)) for one in _pinned(layers, name)]
                yield from _walk(inner, below, found)


def is_whiteout(status: os.stat_result) -> bool:
    """Return whether an entry marks that the image's one is deleted."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(opened_directory: int) -> bool:
    """Return whether a directory hides all that the image has in it."""
    for name in ("trusted.overlay.opaque", "user.overlay.opaque"):
        with suppress(OSError):
            if os.getxattr(opened_directory, name) == b"y":
                return True
    return False


def _lower(layers: list[int], name: str) -> tuple[int, os.stat_result] | None:
    """Return what the image has under a name: in which layer, and what it is; None where it has nothing."""
    for layer in layers:
        with suppress(FileNotFoundError, NotADirectoryError):
            status = os.stat(name, dir_fd=layer, follow_symlinks=False)
            return None if is_whiteout(status) else (layer, status)
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
        yield pin(name, layer)


def _difference(upper: int, name: str, status: os.stat_result, under: tuple[int, os.stat_result] | None) -> str:
    if not under:
        return NEW
    layer, before = under
    same = (status.st_mode, status.st_uid, status.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    if not same:
        return CHANGED
    if stat.S_ISLNK(status.st_mode):
        same = os.readlink(name, dir_fd=upper) == os.readlink(name, dir_fd=layer)
    elif stat.S_ISREG(status.st_mode):
        same = status.st_size == before.st_size and _same_bytes(upper, layer, name)
    return "" if same else CHANGED


def _same_bytes(upper: int, layer: int, name: str) -> bool:
    with ExitStack() as stack:
        files = []
        for above in (upper, layer):
            pinned = stack.enter_context(opened(pin(name, above)))
            files.append(stack.enter_context(os.fdopen(readable(pinned), "rb")))
        while True:
            ours, theirs = (file.read(CHUNK) for file in files)
            if ours != theirs:
                return False
            if not ours:
                return True
