"""Modes, owners and extended attributes of what stands in a layer, and the overlay's own marks among them."""

import errno
import os
import stat

NOT_ITS_OWN = ("trusted.overlay.", "user.overlay.", "user.fuseoverlayfs.", "security.selinux")
"""Attributes that are the overlay's or the host's."""

OWNER = "owner"


def _listed(above: int, name: str) -> list[str]:
    # No call takes a directory's descriptor and a name: the way through /proc does, and follows no link at its end.
    try:
        return os.listxattr(f"/proc/self/fd/{above}/{name}", follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return []
        raise


def _value(above: int, name: str, attribute: str) -> bytes:
    return os.getxattr(f"/proc/self/fd/{above}/{name}", attribute, follow_symlinks=False)


def attributes_of(above: int, name: str) -> dict[str, bytes]:
    """Return an entry's extended attributes, without those that are the overlay's or the host's."""
    return {one: _value(above, name, one) for one in _listed(above, name) if not one.startswith(NOT_ITS_OWN)}


def marks(above: int, name: str) -> list[str]:
    """Return what the overlay itself has noted at an entry; a container cannot."""
    return [one for one in _listed(above, name) if one.startswith(("trusted.overlay.", "user.overlay."))]


def has_mark(above: int, name: str, word: str) -> bool:
    return any(one in {f"trusted.overlay.{word}", f"user.overlay.{word}"} for one in marks(above, name))


def mark(opened_directory: int, word: str) -> bytes:
    """Return what the overlay has noted at a directory; nothing where it has not."""
    for name in (f"trusted.overlay.{word}", f"user.overlay.{word}"):
        try:
            return os.getxattr(opened_directory, name)
        except OSError as error:
            if error.errno not in {errno.ENODATA, errno.ENOTSUP}:
                raise
    return b""


def metadata(
    status: os.stat_result, before: os.stat_result, ours: dict[str, bytes], theirs: dict[str, bytes]
) -> tuple[str, ...]:
    """Return what is different in mode, owner (as one word) and attributes, times apart."""
    found = []
    old, new = stat.S_IMODE(before.st_mode), stat.S_IMODE(status.st_mode)
    if old != new and not stat.S_ISLNK(status.st_mode):
        found.append(f"mode {old:04o} → {new:04o}")
    if (status.st_uid, status.st_gid) != (before.st_uid, before.st_gid):
        found.append(OWNER)
    found += [f"attribute {name}" for name in sorted(ours.keys() | theirs.keys()) if ours.get(name) != theirs.get(name)]
    return tuple(found)
