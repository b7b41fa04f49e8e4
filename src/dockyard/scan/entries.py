"""An entry as a whole, apart from its bytes: what it is, and how it is made anew, by pinned directories alone."""

import errno
import os
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import NamedTuple

from dockyard.copying.opening import directory, opened
from dockyard.overlay import at
from dockyard.scan.attributes import namespaces, own_names
from dockyard.scan.change import KINDS
from dockyard.scan.confined import PIN_DIRECTORY, opened_beneath

FORMATS = {kind: number for number, kind in KINDS.items()}
DEEPEST = 200  # levels of directories that are made or removed at once
_LABEL = "security.selinux"  # the host's policy gives it


class Facts(NamedTuple):
    """All of an entry but its name and its bytes; times are of access and change, in ns; `device` is a device's."""

    format: int
    mode: int
    owner: tuple[int, int]
    times: tuple[int, int]
    attributes: Mapping[str, bytes]
    size: int = 0
    target: str = ""
    device: int = 0

    @property
    def kind(self) -> str:
        """Its kind in a word."""
        return KINDS[self.format]


def facts_of(pinned: int) -> Facts:
    """Return what a pinned entry is, with all the attributes that are seen from there."""
    status = os.fstat(pinned)
    form = stat.S_IFMT(status.st_mode)
    return Facts(
        form,
        stat.S_IMODE(status.st_mode),
        (status.st_uid, status.st_gid),
        (status.st_atime_ns, status.st_mtime_ns),
        attributes(pinned),
        status.st_size if form == stat.S_IFREG else 0,
        os.readlink("", dir_fd=pinned) if form == stat.S_IFLNK else "",
        status.st_rdev if form in {stat.S_IFCHR, stat.S_IFBLK} else 0,
    )


def attributes(pinned: int) -> dict[str, bytes]:
    """Return the extended attributes of a pinned entry."""
    try:
        return {name: os.getxattr(at(pinned), name) for name in os.listxattr(at(pinned))}
    except OSError as error:
        if error.errno == errno.ENOTSUP:
            return {}
        raise


def without_marks(facts: Facts) -> Facts:
    """Return what a layer's entry is to who sees it through the overlay."""
    own = own_names(facts.attributes, namespaces())
    return facts._replace(attributes={name: facts.attributes[name] for name in own})


def make(above: int, name: str, facts: Facts, fill: Callable[[int], object] | None = None) -> os.stat_result:
    """Make a new entry in a pinned directory, and return its status; `fill` writes a file's bytes to its descriptor.

    Raises OSError: EEXIST where there is one, ESTALE where something else was put there at once.
    """
    with opened(_made(above, name, facts)) as made:
        if stat.S_IFMT(os.fstat(made).st_mode) != facts.format:
            raise OSError(errno.ESTALE, "something else was put in its place")
        if fill:
            fill(made)
        give(made, facts)
        return os.fstat(made)


def _made(above: int, name: str, facts: Facts) -> int:
    match facts.format:
        case stat.S_IFREG:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            return os.open(name, flags, 0o600, dir_fd=above)
        case stat.S_IFDIR:
            os.mkdir(name, 0o700, dir_fd=above)
        case stat.S_IFLNK:
            os.symlink(facts.target, name, dir_fd=above)
        case _:
            os.mknod(name, facts.format | 0o600, facts.device, dir_fd=above)
    return opened_beneath(above, name)


def give(pinned: int, facts: Facts) -> None:
    """Give a pinned entry its owner, mode, times and exactly these attributes.

    The order counts: a new owner takes capabilities and setuid bits away, an access control list changes the mode.
    """
    path = at(pinned)
    os.chown(path, *facts.owner)
    for name in attributes(pinned).keys() - facts.attributes.keys() - {_LABEL}:
        with suppress(FileNotFoundError):
            os.removexattr(path, name)
    for name in facts.attributes.keys() - {_LABEL}:
        os.setxattr(path, name, facts.attributes[name])
    if facts.format != stat.S_IFLNK:
        os.chmod(path, facts.mode)  # noqa: PTH101 - a descriptor
    os.utime(path, ns=facts.times)


def status_of(above: int, name: str) -> os.stat_result | None:
    """Return what stands at a name in a pinned directory, on this mount; None where nothing does."""
    try:
        with opened(opened_beneath(above, name)) as pinned:
            return os.fstat(pinned)
    except FileNotFoundError:
        return None


def take_away(above: int, name: str, depth: int = 0) -> None:
    """Remove what stands at a name in a pinned directory, with all that is in it. Raises OSError."""
    status = status_of(above, name)
    if status is None:
        return
    if not stat.S_ISDIR(status.st_mode):
        os.unlink(name, dir_fd=above)
        return
    with opened(opened_beneath(above, name, PIN_DIRECTORY)) as inner:
        check_depth(depth)
        for one in names_in(inner):
            take_away(inner, one, depth + 1)
    os.rmdir(name, dir_fd=above)


def names_in(pinned: int) -> list[str]:
    """Return the names in a pinned directory."""
    with opened(directory(".", pinned)) as listed:
        return os.listdir(listed)  # noqa: PTH208 - a descriptor


def check_depth(depth: int) -> None:
    """Raise OSError past what is done at once."""
    if depth > DEEPEST:
        raise OSError(errno.E2BIG, f"more than {DEEPEST} directories deep")
