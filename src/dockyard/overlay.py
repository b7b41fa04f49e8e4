"""The overlays that stand in for copies of production's directories.

An overlay's lower side is read only: whatever is done through it goes to its upper directory. Its device is not a name
that the kernel asks for: it is the directory of its layers, by which the mount is known as ours.
"""

import errno
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import ctypes

_NOSUID, _NODEV, _NOEXEC = os.ST_NOSUID, os.ST_NODEV, os.ST_NOEXEC  # the same numbers as mount(2) has
_DETACH, _NO_FOLLOW = 2, 8  # MNT_DETACH and UMOUNT_NOFOLLOW of umount2(2)


def at(descriptor: int) -> str:
    """Return a path that leads to what a descriptor is of, wherever that has been moved; a link is not followed."""
    return f"/proc/self/fd/{descriptor}"


def place_of(descriptor: int) -> str:
    """Return the real path of what a descriptor is of."""
    return str(Path(at(descriptor)).readlink())


def mount(lower: int, layers: int, upper: int, work: int, point: int) -> None:
    """Mount an overlay. All are descriptors of directories: no path is walked, and no character needs escaping.

    Devices do not open through it. What the file system of the lower side forbids besides (setuid programs, programs at
    all) is forbidden here too, as it is for an instance in production. Renamed directories and hard links behave as on
    any file system.
    """
    sides = (f"lowerdir={at(lower)}", f"upperdir={at(upper)}", f"workdir={at(work)}")
    options = ",".join((*sides, "redirect_dir=on", "index=on", "xino=auto"))
    flags = _NODEV | os.statvfs(lower).f_flag & (_NOSUID | _NOEXEC)
    _call("mount", os.fsencode(place_of(layers)), at(point).encode(), b"overlay", flags, options.encode())


def unmount(above: int, name: str) -> None:
    """Unmount what is mounted at a name in a directory; where it is in use, it goes when it no longer is."""
    path = os.fsencode(f"{at(above)}/{name}")
    try:
        _call("umount2", path, _NO_FOLLOW)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        _call("umount2", path, _NO_FOLLOW | _DETACH)


@cache
def _library() -> "ctypes.CDLL":
    import ctypes

    library, text = ctypes.CDLL(None, use_errno=True), ctypes.c_char_p
    library.mount.argtypes = (text, text, text, ctypes.c_ulong, text)
    library.umount2.argtypes = (text, ctypes.c_int)
    return library


def _call(function: str, *arguments: bytes | int) -> None:
    import ctypes

    if getattr(_library(), function)(*arguments):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
