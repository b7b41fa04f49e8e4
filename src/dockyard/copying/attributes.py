"""Owner, mode, times and extended attributes: access control lists and capabilities are such."""

import errno
import os
import stat
from pathlib import Path

from dockyard.overlay import at

_ACCESS_LISTS = ("system.posix_acl_access", "system.posix_acl_default")
_NOT_KNOWN_THERE = {errno.ENOTSUP, errno.EOPNOTSUPP}


def copy_attributes(source: int, target: int, status: os.stat_result) -> None:
    """Give the target the attributes of the source, whose status was taken before it was read; both are descriptors.

    The order counts: a new owner takes capabilities and setuid bits away, an access control list changes the mode.
    Attributes that the target's file system does not know are left out.
    """
    path = at(target)
    os.chown(path, status.st_uid, status.st_gid)
    for name in _names(source):
        _copy_one(source, path, name)
    if not stat.S_ISLNK(status.st_mode):
        Path(path).chmod(stat.S_IMODE(status.st_mode))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def _names(source: int) -> list[str]:
    try:
        return os.listxattr(at(source))
    except OSError as error:
        if error.errno in _NOT_KNOWN_THERE:
            return []
        raise


def _copy_one(source: int, target: str, name: str) -> None:
    try:
        os.setxattr(target, name, os.getxattr(at(source), name))
    except OSError as error:
        if error.errno not in {*_NOT_KNOWN_THERE, errno.ENODATA}:  # ENODATA: removed since it was listed
            raise


def drop_inherited(target: int) -> None:
    """Take away the access control lists that a new file or directory has from the directory above it."""
    for name in _ACCESS_LISTS:
        try:
            os.removexattr(at(target), name)
        except OSError as error:
            if error.errno not in {*_NOT_KNOWN_THERE, errno.ENODATA, errno.EACCES}:  # EACCES: no directory
                raise
