"""Modes, owners and extended attributes of what stands in a layer, and the overlay's own marks among them."""

import errno
import os
import stat
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from dockyard.privilege import in_namespace

KERNELS: tuple[str, ...] = ("trusted.overlay.",)
KERNELS_OF_USERS: tuple[str, ...] = ("user.overlay.",)
_PROGRAMS = "user.fuseoverlayfs."
USERS: tuple[str, ...] = (*KERNELS_OF_USERS, _PROGRAMS)
"""What the names of the overlay's marks begin with: of the kernel's overlay, and of one that a user mounted.

Only where an overlay is of the kind in question are they its own, and no container can write them: elsewhere they are
attributes like others, and say nothing.
"""
DELETION, OPAQUE = ".wh.", (".wh..wh..opq", ".wh..opq")
"""How names begin by which fuse-overlayfs marks what is deleted, and its names for marks of opaque directories: there,
no container can give such names. See the image specification of OCI."""
NESTED = "overlay."
"""What begins an attribute that was set from within in the overlay's own namespace: it is put one level down."""

NOT_ITS_OWN = "security.selinux"
OWNER = "owner"


class Attributes(NamedTuple):
    """An entry's extended attributes, and the words of the marks that the overlay has set there."""

    own: dict[str, bytes]
    noted: frozenset[str]


NONE = Attributes({}, frozenset())


def namespaces() -> tuple[str, ...]:
    """Return what begins the marks of an overlay of which nothing is known: only root has the kernel's."""
    return USERS if os.geteuid() or in_namespace() else KERNELS


def has_named_marks(marks: tuple[str, ...]) -> bool:
    """Return whether an overlay also marks by names what is deleted: that of a program of the user's does."""
    return _PROGRAMS in marks


def attributes_of(above: int, name: str, marks: tuple[str, ...]) -> Attributes:
    """Return what an entry has."""
    # No call takes a directory's descriptor and a name: the way through /proc does, and follows no link at its end.
    path = f"/proc/self/fd/{above}/{name}"
    listed = _listed(path)
    if not listed:
        return NONE
    own, noted = _parted(tuple(listed), marks)
    if not own:
        return Attributes({}, noted)
    return Attributes({one: os.getxattr(path, one, follow_symlinks=False) for one in own}, noted)


def noted_at(opened: int, marks: tuple[str, ...]) -> frozenset[str]:
    """Return the words of the marks that an open directory has."""
    return _parted(tuple(_listed(opened)), marks)[1]


def value_at(path: str | int, word: str, marks: tuple[str, ...]) -> bytes:
    """Return what a mark says that is there."""
    for prefix in marks:
        try:
            return os.getxattr(path, f"{prefix}{word}", follow_symlinks=isinstance(path, int))
        except OSError as error:
            if error.errno != errno.ENODATA:
                raise
    raise OSError(errno.ESTALE, "its marks changed while they were read")


def mark_of(above: int, name: str, word: str, marks: tuple[str, ...]) -> bytes:
    """Return what a mark of an entry says that is there."""
    return value_at(f"/proc/self/fd/{above}/{name}", word, marks)


def is_opaque(opened: int, noted: frozenset[str], marks: tuple[str, ...]) -> bool:
    """Return whether an open directory with these marks hides what is below it; `x` says something else."""
    return "opaque" in noted and value_at(opened, "opaque", marks) == b"y"


def _listed(place: str | int) -> list[str]:
    try:
        return os.listxattr(place, follow_symlinks=isinstance(place, int))
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return []
        raise


def own_names(names: Iterable[str], marks: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of some names of attributes that are an entry's own, and not the overlay's or the host's."""
    return _parted(tuple(names), marks)[0]


@lru_cache(maxsize=256)
def _parted(listed: tuple[str, ...], marks: tuple[str, ...]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return the attributes that are an entry's own, and the words of the overlay's."""
    words = {one: _word(one, marks) for one in listed}
    own = tuple(one for one, word in words.items() if not word and one != NOT_ITS_OWN)
    return own, frozenset(word for word in words.values() if word)


def _word(attribute: str, marks: tuple[str, ...]) -> str:
    """Return the word of one of the overlay's marks; nothing for any other attribute."""
    for prefix in marks:
        if attribute.startswith(prefix):
            word = attribute[len(prefix) :]
            return "" if word.startswith(NESTED) else word
    return ""


def metadata(
    status: os.stat_result,
    before: os.stat_result,
    owner: tuple[int, int],
    ours: dict[str, bytes],
    theirs: dict[str, bytes],
) -> tuple[str, ...]:
    """Return what is different in mode, owner (as one word) and attributes, times apart; `owner` is the image's."""
    found = []
    old, new = stat.S_IMODE(before.st_mode), stat.S_IMODE(status.st_mode)
    if old != new and not stat.S_ISLNK(status.st_mode):
        found.append(f"mode {old:04o} → {new:04o}")
    if (status.st_uid, status.st_gid) != owner:
        found.append(OWNER)
    if ours or theirs:
        names = sorted(ours.keys() | theirs.keys())
        found += [f"attribute {name}" for name in names if ours.get(name) != theirs.get(name)]
    return tuple(found)
