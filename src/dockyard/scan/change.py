"""What a walk of an upper directory tells of one entry."""

import os
import stat
from functools import lru_cache
from typing import NamedTuple

from dockyard.engine.models import IdMap

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


class Change(NamedTuple):
    """One entry that differs; `path` begins with `/`, a byte that is no UTF-8 is a lone surrogate in it.

    `detail` says how, as far as `what` does not, in the container's own words where it quotes them: whoever prints it
    escapes it. `changed` is in seconds of the epoch, and no container can set it back (of a deletion it is the
    directory's). `inode` is the same for all names of one file. Owners are the host's; `before` is the image's.
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
        if not ids.uids and not ids.gids:
            return self
        owner, before = _seen(ids, self.owner), _seen(ids, self.before)
        path, what, kind, size, mode, _, changed, inode, links, detail, attributes, _ = self  # _replace is far slower
        return Change(path, what, kind, size, mode, owner, changed, inode, links, detail, attributes, before)


@lru_cache(maxsize=1024)
def _seen(ids: IdMap, owner: tuple[int, int]) -> tuple[int, int]:
    return ids.owner(*owner)


def kind_of(status: os.stat_result) -> str:
    """Return what an entry is, in one word."""
    return KINDS[stat.S_IFMT(status.st_mode)]


def change_of(  # noqa: PLR0913, PLR0917 - what a change is made of
    path: str,
    what: str,
    kind: str,
    status: os.stat_result,
    detail: tuple[str, ...] = (),
    attributes: tuple[str, ...] = (),
    before: tuple[int, int] = (0, 0),
) -> Change:
    """Return a change of what has this status."""
    return Change(
        path,
        what,
        kind,
        status.st_size,
        status.st_mode & 0o7777,
        (status.st_uid, status.st_gid),
        status.st_ctime,
        (status.st_dev, status.st_ino),
        status.st_nlink,
        detail,
        attributes,
        before,
    )
