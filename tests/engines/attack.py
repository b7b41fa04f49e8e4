"""A hostile Test, as root inside its container: every way to write through its mounts.

`attack.py MOUNT…` runs with nothing but the standard library, and tells as JSON what it tried at each mount, how often,
and how often that worked. Reading does not count: only what could change production.
"""

import ctypes
import errno
import fcntl
import json
import mmap
import os
import socket
import stat
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

MARK = b"wrecked"
NEW = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
CLONE = 0x40049409  # FICLONE
AT_FDCWD, EXCHANGE, FOLLOW = -100, 2, 0x400  # of renameat2(2) and linkat(2)
REMOUNT, BIND, MOVE, DETACH = 32, 4096, 8192, 2  # of mount(2) and umount2(2)
ACL = struct.pack("<IHHIHHIHHIHHI", 2, 1, 7, 2**32 - 1, 4, 7, 2**32 - 1, 16, 7, 2**32 - 1, 32, 7, 2**32 - 1)
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 21, 0, 0, 0)  # CAP_SYS_ADMIN, effective

libc = ctypes.CDLL(None, use_errno=True)


def kernel(function: str, *arguments: Any) -> None:  # noqa: ANN401 - as C has it
    """Make a system call that Python does not provide."""
    if getattr(libc, function)(*arguments):
        raise OSError(ctypes.get_errno(), function)


class Attack:
    """All attacks on one mount."""

    def __init__(self, top: bytes, others: list[bytes]) -> None:
        self.top = top
        self.others = others
        self.tried: Counter[str] = Counter()
        self.done: Counter[str] = Counter()

    def attempt(self, name: str, action: Callable[..., object], *arguments: Any, **how: Any) -> None:  # noqa: ANN401
        """Try an attack, and count it."""
        self.tried[name] += 1
        with suppress(OSError, subprocess.CalledProcessError):
            action(*arguments, **how)
            self.done[name] += 1

    def of_kind(self, *kinds: Callable[[int], bool]) -> list[bytes]:
        """Return the paths of all entries of some types, the deepest first; links are not followed."""
        found = [self.top]
        for directory, names, files in os.walk(self.top):
            found += [os.path.join(directory, name) for name in (*names, *files)]  # noqa: PTH118 - names are bytes
        return [path for path in reversed(found) if any(kind(os.lstat(path).st_mode) for kind in kinds)]

    def run(self) -> None:
        """Run all attacks, the worst last."""
        self.attempt("remount", kernel, "mount", None, self.top, None, ctypes.c_ulong(REMOUNT | BIND), None)
        for path in self.of_kind(stat.S_ISSOCK, stat.S_ISFIFO):
            self.attempt("connect" if stat.S_ISSOCK(os.lstat(path).st_mode) else "fifo", speak, path)
        for path in self.of_kind(stat.S_ISCHR, stat.S_ISBLK):
            self.attempt("device", touch_device, path)
        for path in self.of_kind(stat.S_ISREG):
            self.on_file(path)
        for path in self.of_kind(stat.S_ISREG, stat.S_ISDIR):
            self.on_attributes(path)
        for path in self.of_kind(stat.S_ISLNK):
            self.attempt("through a link", write, path)
            self.attempt("owner of a link", os.chown, path, 1, 1, follow_symlinks=False)
        for path in self.of_kind(stat.S_ISDIR):
            self.on_directory(path)
        if stat.S_ISDIR(os.lstat(self.top).st_mode):
            self.on_tree()
        else:
            self.attempt("mark", overwrite, self.top)

    def on_file(self, path: bytes) -> None:
        """Write to a file in every way."""
        for attack in (write, append, punch, write_mapped, reopen, clone):
            self.attempt(attack.__name__, attack, path)
        self.attempt("truncate", os.truncate, path, 1)

    def on_attributes(self, path: bytes) -> None:
        """Change all metadata of a file or directory."""
        self.attempt("chmod", os.chmod, path, 0o6777)
        self.attempt("chown", os.chown, path, 4321, 4321)
        self.attempt("times", os.utime, path, (1, 1))
        self.attempt("xattr", os.setxattr, path, b"user.wrecked", MARK)
        self.attempt("trusted xattr", os.setxattr, path, b"trusted.wrecked", MARK)
        self.attempt("overlay xattr", os.setxattr, path, b"trusted.overlay.redirect", b"/")
        self.attempt("acl", os.setxattr, path, b"system.posix_acl_access", ACL)
        self.attempt("default acl", os.setxattr, path, b"system.posix_acl_default", ACL)
        self.attempt("capability", os.setxattr, path, b"security.capability", CAPABILITY)

    def on_directory(self, path: bytes) -> None:
        """Create entries of every type in a directory."""
        self.attempt("setuid", setuid, path + b"/setuid")
        self.attempt("nameless file", nameless, path)
        self.attempt("mkdir", os.mkdir, path + b"/new directory")
        self.attempt("mkfifo", os.mkfifo, path + b"/new fifo")
        self.attempt("listen", socket.socket(socket.AF_UNIX).bind, path[:80] + b"/new socket")
        self.attempt("mknod", os.mknod, path + b"/new whiteout", stat.S_IFCHR | 0o666, 0)
        self.attempt("mknod", os.mknod, path + b"/new disk", stat.S_IFBLK | 0o666, Path(__file__).stat().st_dev)
        self.attempt("disk", touch_device, path + b"/new disk")
        for number, target in enumerate((b"/", b"..", b"/proc/1/root", b"/proc/self/cwd/../..")):
            self.attempt("symlink", os.symlink, target, path + b"/new link %d" % number)
            self.attempt("through a new link", write, path + b"/new link %d/wrecked" % number)
        for entry in [entry.path for entry in os.scandir(path) if not entry.is_dir(follow_symlinks=False)]:
            self.attempt("hard link", link_and_write, entry, path + b"/new name")
            for other in self.others:
                self.attempt("hard link to a mount", os.link, entry, other + b"/hard", follow_symlinks=False)
            self.attempt("rename", os.rename, entry, entry + b"~"[: 255 - len(entry.rpartition(b"/")[2])])

    def on_mount(self) -> None:
        """Try to mount over it, to move the mount, and to unmount it."""
        source, top, none = self.others[0], self.top, None
        sides = b"lowerdir=/,upperdir=%s,workdir=%s" % (top, top)
        self.attempt("mount", kernel, "mount", b"none", top, b"overlay", ctypes.c_ulong(0), sides)
        self.attempt("mount", kernel, "mount", source, top, none, ctypes.c_ulong(BIND), none)
        self.attempt("mount", kernel, "mount", source, top, none, ctypes.c_ulong(MOVE), none)
        self.attempt("unmount", kernel, "umount2", top, ctypes.c_int(DETACH))

    def on_tree(self) -> None:
        """Replace directories with links, then remove everything, and leave a mark."""
        top = self.top
        self.attempt("exchange", exchange, top)
        for path in self.of_kind(stat.S_ISDIR)[:-1]:
            self.attempt("swap", swap, path)
        remove = (b'cd "$1" && rm -rf -- * .[!.]* ..?* && test -z "$(ls -A)"', b"rm", top)
        self.attempt("rm -rf", subprocess.run, (b"/bin/sh", b"-c", *remove), check=True, capture_output=True)
        self.attempt("mark", overwrite, top + b"/wrecked")


def write(path: bytes) -> None:
    """Overwrite the beginning of the file that a path leads to."""
    descriptor = os.open(
        path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if os.path.lexists(path) else os.O_CREAT)
    )
    with os.fdopen(descriptor, "wb") as file:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            file.write(MARK)


def append(path: bytes) -> None:
    """Extend a file."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC), "wb") as file:
        file.write(MARK)


def punch(path: bytes) -> None:
    """Allocate space in a file, and punch a hole in it."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CLOEXEC), "r+b") as file:
        os.posix_fallocate(file.fileno(), 0, 8192)
        kernel("fallocate", file.fileno(), 3, ctypes.c_long(0), ctypes.c_long(4096))


def write_mapped(path: bytes) -> None:
    """Write through a memory mapping."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CLOEXEC), "r+b") as file:
        try:
            with mmap.mmap(file.fileno(), 0) as memory:
                memory[:1] = b"!"
        except ValueError:
            raise OSError(errno.EINVAL, "an empty file") from None


def reopen(path: bytes) -> None:
    """Write through a descriptor that was opened for reading."""
    descriptor = os.open(path, READ)
    try:
        write(b"/proc/self/fd/%d" % descriptor)
    finally:
        os.close(descriptor)


def clone(path: bytes) -> None:
    """Clone the blocks of another file, or copy its bytes."""
    with os.fdopen(os.open(path, os.O_RDWR | os.O_CLOEXEC), "r+b") as file, Path("/etc/passwd").open("rb") as other:
        try:
            fcntl.ioctl(file.fileno(), CLONE, other.fileno())
        except OSError:
            os.copy_file_range(other.fileno(), file.fileno(), 4096, 0, 0)


def overwrite(path: bytes) -> None:
    """Remove everything except the mark."""
    with os.fdopen(os.open(path, NEW | os.O_TRUNC), "wb") as file:
        file.write(MARK)


def setuid(path: bytes) -> None:
    """Create a setuid-root program."""
    overwrite(path)
    os.chown(path, 0, 0)
    os.chmod(path, 0o6755)  # noqa: PTH101, S103 - the name is bytes; hostile it is


def nameless(directory: bytes) -> None:
    """Create a file without a name, and link it."""
    descriptor = os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, MARK)
        name = b"/proc/self/fd/%d" % descriptor
        kernel("linkat", AT_FDCWD, name, AT_FDCWD, directory + b"/was nameless", FOLLOW)
    finally:
        os.close(descriptor)


def link_and_write(path: bytes, name: bytes) -> None:
    """Create a second name for a file, replacing any existing one, and write through it."""
    with suppress(FileNotFoundError):
        os.unlink(name)  # noqa: PTH108 - the name is bytes
    os.link(path, name, follow_symlinks=False)
    if stat.S_ISREG(os.lstat(name).st_mode):
        overwrite(name)


def speak(path: bytes) -> None:
    """Send a message to a socket."""
    if stat.S_ISSOCK(os.lstat(path).st_mode):
        with socket.socket(socket.AF_UNIX) as client:
            os.chdir(path.rpartition(b"/")[0])  # the address of a socket has only 108 bytes
            client.connect(path.rpartition(b"/")[2])
            client.sendall(MARK)
    else:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC), "wb") as fifo:
            fifo.write(MARK)


def touch_device(path: bytes) -> None:
    """Open a device for writing, without writing."""
    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))


def exchange(top: bytes) -> None:
    """Swap a directory and a link atomically."""
    directory, link = top + b"/to exchange", top + b"/link to exchange"
    os.mkdir(directory)  # noqa: PTH102 - the name is bytes
    os.symlink(b"/", link)  # noqa: PTH211 - the name is bytes
    kernel("renameat2", AT_FDCWD, directory, AT_FDCWD, link, EXCHANGE)


def swap(path: bytes) -> None:
    """Replace a directory with a link that leads out."""
    os.rename(path, path[:-1] + b"\x01")  # noqa: PTH104 - the name is bytes
    os.symlink(b"../../../../../../..", path)  # noqa: PTH211 - the name is bytes


def main(mounts: list[str]) -> None:
    """Attack each mount, and print the results."""
    os.umask(0)
    tops = [os.fsencode(mount) for mount in mounts]
    attacks = [Attack(top, [other for other in tops if other != top] or [b"/etc"]) for top in tops]
    for attack in attacks:
        attack.run()
    for attack in attacks:  # last: afterwards a path may lead elsewhere
        attack.on_mount()
    told = {
        os.fsdecode(each.top): {name: [each.done[name], each.tried[name]] for name in each.tried} for each in attacks
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main(sys.argv[1:])
