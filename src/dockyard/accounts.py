"""Users and groups: a service's own, and the host's."""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dockyard.plan.facts import Accounts, Owner

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
FILES = ("etc/passwd", "etc/group")
"""The files of an image that are read."""
_LARGEST = 2**20  # bytes of a passwd that are read


def accounts_of(files: Path, layers: Iterable[str] = ()) -> Accounts:
    """Return the accounts of a service's files/, and those that only its image has.

    `layers` are directories of the image, the uppermost first; what cannot be read counts as not there.
    """
    own = _accounts(_written(files / "etc/passwd"), _written(files / "etc/group"))
    passwd, group = (_in_layers(layers, name) for name in ("passwd", "group"))
    image = _accounts(passwd, group)
    return Accounts({**image.users, **own.users}, {**image.groups, **own.groups})


def _written(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""


def _in_layers(layers: Iterable[str], name: str) -> str:
    """Return a file of etc/ as the image has it: the uppermost layer that has it, or has it deleted, decides."""
    texts = (_text(layer, name) for layer in layers)
    return next((text for text in texts if text is not None), "")


def _text(root: str, name: str) -> str | None:
    """Return the text of ROOT/etc/NAME, without following links, which an image may have made; None: not there."""
    with suppress(OSError):
        above = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            etc = os.open("etc", _DIRECTORY, dir_fd=above)
        finally:
            os.close(above)
        try:
            return _regular(etc, name)
        finally:
            os.close(etc)
    return None


def _regular(directory: int, name: str) -> str:
    """Return a file's text; empty for anything but a regular file, such as the mark of one that was deleted."""
    if not stat.S_ISREG(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
        return ""
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    with os.fdopen(descriptor, "rb") as file:
        return file.read(_LARGEST).decode("utf-8", "replace")


def _accounts(passwd: str, group: str) -> Accounts:
    """Return users, by name and by uid, and groups; the first of a name counts, as the C library has it."""
    groups: dict[str, int] = {}
    further: dict[str, list[int]] = {}
    for fields in _entries(group):
        with suppress(ValueError, IndexError):
            gid = int(fields[2])
            groups.setdefault(fields[0], gid)
            for member in fields[3].split(",") if len(fields) > 3 else ():  # noqa: PLR2004 - group(5)
                further.setdefault(member.strip(), []).append(gid)
    users: dict[str, Owner] = {}
    for fields in _entries(passwd):
        with suppress(ValueError, IndexError):
            owner = Owner(int(fields[2]), int(fields[3]), tuple(further.get(fields[0], ())))
            users.setdefault(fields[0], owner)
            users.setdefault(fields[2], owner)
    return Accounts(users, groups)


def _entries(text: str) -> list[list[str]]:
    return [line.split(":") for line in text.splitlines()]


def host_accounts(users: Iterable[str], groups: Iterable[str]) -> Accounts:
    """Return those of the host's users and groups that exist."""
    import grp
    import pwd

    found: dict[str, Owner] = {}
    gids: dict[str, int] = {}
    for name in users:
        with suppress(KeyError):
            entry = pwd.getpwnam(name)
            found[name] = Owner(entry.pw_uid, entry.pw_gid)
    for name in groups:
        with suppress(KeyError):
            gids[name] = grp.getgrnam(name).gr_gid
    return Accounts(found, gids)
