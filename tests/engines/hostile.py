"""Production data as it may look after years, and a hostile Test's attacks on its copy."""

import hashlib
import json
import os
import re
import socket
import stat
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.engines.world import World, mounted_below, write

PROGRAM = Path(__file__).with_name("attack.py")
INSIDE = "/host"  # the path of the host's Python in an instance under attack
ACL = struct.pack(
    "<IHHIHHIHHIHHIHHI", 2, 1, 7, 2**32 - 1, 2, 5, 4242, 4, 5, 2**32 - 1, 16, 5, 2**32 - 1, 32, 0, 2**32 - 1
)
"""Owner rwx, user 4242 r-x, group r-x, others nothing."""
CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 10, 0, 0, 0)  # CAP_NET_BIND_SERVICE, effective
NAMES = (
    "-rf",
    " a space ",
    "new\nline",
    "comma,colon:",
    "quote\"s'",
    "*",
    "back\\slash",
    "ünï",
    "\udcff\udcfe",
    "n" * 255,
)
NOT_PRODUCTION = {"connect", "fifo", "device", "through a link"}
"""Attacks that may succeed on a read-only mount: they change nothing in it."""


# ------------------------------------------------------------------------------------------------------ production
def plant(top: Path, treasure: Path) -> Path:
    """Create a tree with entries of every type; links lead to `treasure`, which also has a hard link to one file."""
    for name in ("plain", "deep/er/est", "deep/er/other", "closed/file", *(f"odd/{name}" for name in NAMES)):
        write(top / name, f"production's {name!r}")
    _special(top, treasure)
    for name, mode, owner in (
        ("plain", 0o640, 1234),
        ("odd", 0o2775, 1235),
        ("deep/er/est", 0o4711, 1236),
        ("deep/er/other", 0o000, 0),
        ("deep/er", 0o1777, 1237),
        ("closed/file", 0o000, 1238),
        ("closed", 0o000, 1239),
        ("", 0o751, 1240),
    ):
        os.chown(top / name, owner, owner + 1)
        (top / name).chmod(mode)
    _attribute(top)
    for number, path in enumerate([*top.rglob("*"), top]):
        os.utime(path, ns=(10**18 + number, 10**18 + 123456789 + number), follow_symlinks=False)
    return top


def _special(top: Path, treasure: Path) -> None:
    for name, target in (("out", str(treasure)), ("up", "../../../.."), ("loop", "loop"), ("gone", "/nowhere/at/all")):
        (top / name).symlink_to(target)
    os.mkfifo(top / "fifo")
    with socket.socket(socket.AF_UNIX) as dead, _directory(top):
        dead.bind("socket")
    os.mknod(top / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(top / "disk", stat.S_IFBLK | 0o660, os.makedev(7, 0))
    os.link(top / "plain", top / "deep/second name")
    hard = write(treasure / f"hard {top.name}", "has a name in production too")
    os.link(hard, top / "hard")
    with (top / "sparse").open("wb") as file:
        file.write(b"begin")
        file.seek(1 << 20)
        file.write(b"end")


def _attribute(top: Path) -> None:
    os.setxattr(top / "deep", "user.mood", b"calm")
    os.setxattr(top / "plain", "user.mood", b"\x00binary")
    os.setxattr(top / "plain", "trusted.secret", b"root's")
    os.setxattr(top / "deep/er/est", "security.capability", CAPABILITY)
    os.setxattr(top / "plain", "system.posix_acl_access", ACL)
    os.setxattr(top / "deep", "system.posix_acl_default", ACL)


@contextmanager
def _directory(path: Path) -> Iterator[None]:
    """Change into a directory during the block: a socket's address has only 108 bytes."""
    before = Path.cwd()
    os.chdir(path)
    try:
        yield
    finally:
        os.chdir(before)


class Listeners:
    """Production's programs that listen at sockets and named pipes of some trees: no test may reach them."""

    def __init__(self, stack: ExitStack, tops: Iterable[Path]) -> None:
        self._sockets: list[socket.socket] = []
        self._pipes: list[int] = []
        for top in tops:
            listener = stack.enter_context(socket.socket(socket.AF_UNIX))
            with _directory(top):
                listener.bind("listening")
            listener.listen()
            listener.setblocking(False)
            self._sockets.append(listener)
            self._pipes.append(os.open(top / "fifo", os.O_RDONLY | os.O_NONBLOCK))
            stack.callback(os.close, self._pipes[-1])

    def heard(self) -> list[str]:
        """Return the messages that they received."""
        found = []
        for listener in self._sockets:
            with suppress(BlockingIOError), listener.accept()[0] as connection:
                found.append(f"socket: {connection.recv(100)!r}")
        return [*found, *(f"pipe: {said!r}" for pipe in self._pipes if (said := os.read(pipe, 100)))]


def rows(place: Path) -> Iterator[tuple[Any, ...]]:
    """Yield all metadata of a directory and everything in it, except access times."""
    for path in sorted([place, *_below(place)]):
        status = path.lstat()
        kind = stat.S_IFMT(status.st_mode)
        content = b""
        if kind == stat.S_IFREG:
            content = hashlib.sha256(path.read_bytes()).digest()
        elif kind == stat.S_IFLNK:
            content = os.fsencode(path.readlink())
        yield (
            os.fsencode(path.relative_to(place)),
            (kind, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, status.st_rdev),
            (status.st_ino, status.st_nlink, status.st_size, status.st_mtime_ns, status.st_ctime_ns),
            tuple(sorted((name, os.getxattr(path, name, follow_symlinks=False)) for name in _attributes(path))),
            content,
        )


def looks(place: Path) -> dict[bytes, tuple[Any, ...]]:
    """Return the metadata that a copy must share with the original, by path: all except identity and time of change."""
    found = {}
    for name, kind, (_, _, size, modified, _), attributes, content in rows(place):
        found[name] = (kind, 0 if stat.S_ISDIR(kind[0]) else size, modified, attributes, content)
    return found


def _below(place: Path) -> Iterator[Path]:
    if place.is_dir() and not place.is_symlink():
        for directory, names, files in os.walk(place):
            yield from (Path(directory, name) for name in (*names, *files))


def _attributes(path: Path) -> list[str]:
    return os.listxattr(path, follow_symlinks=False)


class Fingerprint(NamedTuple):
    """A hash of some directories, and the number of their files and directories."""

    digest: str
    count: int


def fingerprint(*places: Path) -> Fingerprint:
    """Return a hash of every name, type, owner, mode, time of change, link count, attribute and byte."""
    found = hashlib.sha256()
    count = 0
    for place in places:
        for row in rows(place):
            found.update(repr(row).encode("utf-8", "surrogateescape"))
            count += 1
    return Fingerprint(found.hexdigest(), count)


def production(engine: World, *others: Path) -> Fingerprint:
    """Return the fingerprint of VOL_BASE without its test areas, and of other places."""
    return fingerprint(*sorted(path for path in engine.volumes.iterdir() if path.name != "TMP"), *others)


def nothing_left(engine: World, service: Path) -> bool:
    """Return whether no container, mount or test area of a service's dev and test instances exists."""
    names = {f"{prefix}-{service.name}" for prefix in ("dev", "test")}
    areas = [engine.volumes / "TMP" / f"{service.name}{suffix}" for suffix in ("", "@dev")]
    gone = not any(os.path.lexists(area) for area in areas)
    return gone and not names & set(engine.containers()) and not mounted_below(engine.volumes)


# ------------------------------------------------------------------------------------------------------- the attack
def python_mounts() -> list[str]:
    """Return the mounts with which an instance has the host's Python and the attack, read-only."""
    roots = sorted({"/usr", sys.base_prefix} - {sys.base_prefix if sys.base_prefix.startswith("/usr/") else ""})
    return [*(f"{root}:{INSIDE}{root}" for root in roots), f"{PROGRAM}:/attack.py"]


def attack_argv(targets: Sequence[str]) -> tuple[str, ...]:
    """Return the command for the attack inside, with the host's loader: the image has no C library."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8")
    objects = sorted(set(re.findall(r"(/\S+\.so[.\d]*)$", maps, re.MULTILINE)))
    loader = next(path for path in objects if "/ld-" in path)
    libraries = ":".join(dict.fromkeys(f"{INSIDE}{Path(path).parent}" for path in objects))
    python = Path("/proc/self/exe").readlink()
    home = ("env", f"PYTHONHOME={INSIDE}{sys.base_prefix}", "PYTHONDONTWRITEBYTECODE=1")
    return (*home, f"{INSIDE}{loader}", "--library-path", libraries, f"{INSIDE}{python}", "/attack.py", *targets)


class Report(NamedTuple):
    """The attack's report: for each mount and attack, how often it worked and how often it was tried."""

    mounts: dict[str, dict[str, tuple[int, int]]]

    @staticmethod
    def read(text: str) -> "Report":
        """Return the output of the attack."""
        return Report(
            {top: {name: (*counts,) for name, counts in told.items()} for top, told in json.loads(text).items()}
        )

    def worked(self, top: str) -> set[str]:
        """Return the attacks that worked at a mount."""
        return {name for name, (done, _) in self.mounts[top].items() if done}

    @property
    def tried(self) -> int:
        """How many attacks there were."""
        return sum(tried for told in self.mounts.values() for _, tried in told.values())

    @property
    def done(self) -> int:
        """How many of them worked."""
        return sum(done for told in self.mounts.values() for done, _ in told.values())
