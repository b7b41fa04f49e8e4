"""Looking things up in the image's layers, as the kernel's overlay does (Linux, filesystems/overlayfs.rst)."""

import errno
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import NamedTuple

from dockyard.copying.opening import directory, opened, pin
from dockyard.scan.attributes import DELETION, OPAQUE, attributes_of, has_named_marks, mark_of

MOST = 10_000  # entries of a deleted directory that are counted


class Lower(NamedTuple):
    """What the image has under a name: in which of its directories, and what it is."""

    layer: int
    status: os.stat_result


def is_whiteout(status: os.stat_result) -> bool:
    """Return whether an entry marks that the image's one is deleted."""
    return status.st_rdev == 0 and stat.S_ISCHR(status.st_mode)


def found(layers: Sequence[int], name: str, marks: tuple[str, ...]) -> Lower | None:
    """Return what the image has under a name, or None."""
    under = _uppermost(layers, name, marks)
    return None if under and _is_hidden(*under, name, marks) else under


def _uppermost(layers: Sequence[int], name: str, marks: tuple[str, ...]) -> Lower | None:
    for layer in layers:
        status = _status(layer, name)
        if status:
            return Lower(layer, status)
        if is_deleted_by_name(layer, name, marks):
            return None
    return None


def _status(layer: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=layer, follow_symlinks=False)
    except FileNotFoundError:
        return None


def is_named_mark(name: str, status: os.stat_result, marks: tuple[str, ...]) -> bool:
    """Return whether an entry is nothing but a mark of a deletion, or of an opaque directory."""
    if not name.startswith(DELETION) or not has_named_marks(marks):
        return False
    return is_whiteout(status) or (stat.S_ISREG(status.st_mode) and not status.st_size)


def deleted_by(name: str) -> str:
    """Return the name of what a mark says is deleted; empty for that of an opaque directory."""
    return "" if name in OPAQUE else name.removeprefix(DELETION)


def is_deleted_by_name(layer: int, name: str, marks: tuple[str, ...]) -> bool:
    """Return whether a directory of a layer has a mark that what is below has a name no more."""
    if not has_named_marks(marks):
        return False
    try:
        status = _status(layer, f"{DELETION}{name}")
    except OSError as error:
        if error.errno != errno.ENAMETOOLONG:
            raise
        return False
    return status is not None and is_named_mark(f"{DELETION}{name}", status, marks)


def _is_hidden(layer: int, status: os.stat_result, name: str, marks: tuple[str, ...]) -> bool:
    if is_whiteout(status):
        return True
    is_empty = not status.st_size and stat.S_ISREG(status.st_mode)
    return is_empty and "whiteout" in attributes_of(layer, name, marks).noted


def directories(layers: Sequence[int], name: str, marks: tuple[str, ...], stack: ExitStack) -> list[int]:
    """Return descriptors of the image's directories of a name, the uppermost first, down to one that hides the others.

    They are closed with the stack. Raises OSError where it cannot be told which they are.
    """
    below: list[int] = []
    for layer in layers:
        status = _status(layer, name)
        if not status:
            _check_absent(layer, name)
            if is_deleted_by_name(layer, name, marks):
                break
            continue
        if not stat.S_ISDIR(status.st_mode):
            break
        inner = stack.enter_context(opened(pin(name, layer)))
        if os.fstat(inner).st_ino != status.st_ino:
            raise OSError(errno.ESTALE, "the image changed while it was read")
        below.append(inner)
        noted = attributes_of(layer, name, marks).noted
        if "redirect" in noted:
            raise OSError(errno.ENOTSUP, "a renamed directory within the image, whose content is elsewhere")
        if ("opaque" in noted and _is_opaque(layer, name, marks)) or _is_opaque_by_name(inner, marks):
            break
    return below


def _is_opaque_by_name(inner: int, marks: tuple[str, ...]) -> bool:
    return has_named_marks(marks) and any(
        status is not None and is_named_mark(name, status, marks)
        for name, status in ((name, _status(inner, name)) for name in OPAQUE)
    )


def _is_opaque(layer: int, name: str, marks: tuple[str, ...]) -> bool:
    return mark_of(layer, name, "opaque", marks) == b"y"  # `x` says that whiteouts are attributes there


def _check_absent(layer: int, name: str) -> None:
    """Look again for what is not there: all that a directory hides would be missed."""
    with suppress(FileNotFoundError), opened(pin(name, layer)):
        raise OSError(errno.ESTALE, "the image changed while it was read")


def redirected(
    top: Sequence[int], here: Sequence[int], value: bytes, marks: tuple[str, ...], stack: ExitStack
) -> tuple[Sequence[int], str]:
    """Return where the image has what the overlay says was renamed: its directories, and the name in them."""
    *above, name = os.fsdecode(value).lstrip("/").split("/")
    layers = top if value.startswith(b"/") else here
    for part in above:
        layers = directories(layers, part, marks, stack)
    return layers, name


def missing(layers: Sequence[int], here: int | None, marks: tuple[str, ...]) -> Iterator[tuple[str, Lower]]:
    """Yield what the image has in a directory, and what is not here, by name; each name once."""
    is_named = has_named_marks(marks)
    for number, layer in enumerate(layers, 1):
        with opened(directory(".", layer)) as inner, os.scandir(inner) as entries:
            for entry in entries:
                if is_named and _is_mark_or_marked(layers[: number - 1], entry, marks):
                    continue
                under = _uppermost(layers[:number], entry.name, marks)
                if not under:
                    raise OSError(errno.ESTALE, "the image changed while it was read")
                is_first = under.layer == layer and not _is_hidden(*under, entry.name, marks)
                if is_first and (here is None or not _status(here, entry.name)):
                    yield entry.name, under


def _is_mark_or_marked(above: Sequence[int], entry: "os.DirEntry[str]", marks: tuple[str, ...]) -> bool:
    """Return whether an entry of a layer is a mark by its name, or one above it has a mark that it is deleted."""
    if is_named_mark(entry.name, entry.stat(follow_symlinks=False), marks):
        return True
    return any(is_deleted_by_name(layer, entry.name, marks) for layer in above)


def size_below(under: Lower, name: str, count: Callable[[], None]) -> int:
    """Return how many entries are below a directory of one layer of the image: `MOST` and one for more."""
    total = 0
    waiting = [(os.dup(under.layer), [name])]
    try:
        while waiting and total <= MOST:
            above, names = waiting[-1]
            if not names:
                os.close(waiting.pop()[0])
                continue
            inner = directory(names.pop(), above)
            waiting.append((inner, deeper := []))
            with os.scandir(inner) as entries:
                for entry in entries:
                    count()
                    total += 1
                    if entry.is_dir(follow_symlinks=False):
                        deeper.append(entry.name)
    except OSError:
        pass  # it is told as deleted, with those that could be counted
    finally:
        for descriptor, _ in waiting:
            os.close(descriptor)
    return min(total, MOST + 1)
