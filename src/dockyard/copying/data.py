"""The bytes of a file: shared with the source's, or copied with its holes."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator

_CLONE = getattr(fcntl, "FICLONE", 0x40049409)
_CLONE_RANGE = getattr(fcntl, "FICLONERANGE", 0x4020940D)
_GET_FLAGS, _SET_FLAGS, _NO_COPY_ON_WRITE = 0x80086601, 0x40086602, 0x00800000  # FS_IOC_GETFLAGS, …, FS_NOCOW_FL
_CHUNK = 1 << 26


def clone(source: int, target: int) -> None:
    """Have an empty file share the blocks of another. Raises OSError where the file systems cannot."""
    try:
        fcntl.ioctl(target, _CLONE, source)
    except OSError as error:
        if error.errno != errno.EINVAL or not _take_over_checksumming(source, target):
            raise
        fcntl.ioctl(target, _CLONE, source)


def clone_block(source: int, target: int, block: int) -> None:
    """Have an empty file share the first block of another, which is quick however large that is. Raises OSError."""
    import struct

    length = block if os.fstat(source).st_size > block else 0  # 0: to the end
    argument = struct.pack("=qQQQ", source, 0, length, 0)
    try:
        fcntl.ioctl(target, _CLONE_RANGE, argument)
    except OSError as error:
        if error.errno != errno.EINVAL or not _take_over_checksumming(source, target):
            raise
        fcntl.ioctl(target, _CLONE_RANGE, argument)


def _take_over_checksumming(source: int, target: int) -> bool:
    """Make an empty file `chattr +C` where the source is, and return whether it is: btrfs shares only among equals."""
    flags = bytearray(8)
    try:
        fcntl.ioctl(source, _GET_FLAGS, flags)
        ours = int.from_bytes(flags, "little") & _NO_COPY_ON_WRITE
        if ours:
            fcntl.ioctl(target, _SET_FLAGS, ours.to_bytes(8, "little"))
    except OSError:
        return False
    return bool(ours)


def copy_data(source: int, target: int, size: int, charge: Callable[[int], None]) -> None:
    """Copy up to `size` bytes to an empty file, leaving holes where the source has them.

    Not by copy_file_range(2): that may share blocks, and whoever asks for a copy wants production's for production
    alone. `charge` is told of bytes before they are written. A source that is cut off meanwhile makes a shorter copy,
    one that grows does not make a longer one.
    """
    for start, end in _extents(source, size):
        charge(max(0, end - start))
        os.lseek(target, start, os.SEEK_SET)
        _copy_extent(source, target, start, end)
    os.ftruncate(target, min(size, os.fstat(source).st_size))


def _copy_extent(source: int, target: int, start: int, end: int) -> None:
    while start < end:
        done = os.sendfile(target, source, start, min(end - start, _CHUNK))
        if not done:
            return
        start += done


def _extents(source: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield where data begins and ends."""
    end = 0
    while end < size:
        try:
            start = os.lseek(source, end, os.SEEK_DATA)
            end = os.lseek(source, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.EINVAL:  # the file system knows no holes
                yield end, size
            return  # ENXIO: nothing but a hole is left
        yield start, min(end, size)
