"""What a container runs: programs and libraries that its image does not have, wherever they are."""

import os
import stat
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from dockyard.engine.entries import INITS
from dockyard.plan.places import is_within
from dockyard.scan.compare import CHUNK
from dockyard.scan.layer import Change

RUNS = "runs"
"""What a process does whose code is not the image's."""
PROCESS = "process"

_GONE = " (deleted)"
_MEMORY = "/memfd:"
_FORKS = 4  # of a runtime that enters a container, at most


class Mounted(NamedTuple):
    """A mount as a process sees it: its device as `stat` has it, where it is, its type, and whether it is read-only."""

    device: int
    point: str
    kind: str
    is_read_only: bool


class Code(NamedTuple):
    """Something that a process runs: the path that the kernel tells, what it is, and whose process it is."""

    path: str
    status: os.stat_result
    process: os.stat_result


def codes(pids: Iterable[int]) -> tuple[list[Code], int]:
    """Return what processes run, each file once, and how many processes could not be looked at.

    One that has ended meanwhile says nothing, nor does an engine's runtime on its way to a program of the container.
    """
    inside = frozenset(pids)
    root = _process_at_root(inside)
    found: dict[tuple[int, int], Code] = {}
    unseen = 0
    for pid in sorted(inside):
        try:
            process = Path(f"/proc/{pid}").stat()
            for path, status in () if _is_entering(pid, inside) else codes_of(pid, root):
                found.setdefault((status.st_dev, status.st_ino), Code(path, status, process))
        except (FileNotFoundError, ProcessLookupError):
            continue
        except OSError:
            unseen += 1
    return list(found.values()), unseen


def processes_of(pid: int) -> list[int]:
    """Return the processes of a container without a control group: those of its PID namespace, and their descendants.

    `pid` is its first one; if it is in the host's namespace, only that one and its descendants are known.
    """
    own = _namespace(pid)
    is_hosts = own == _namespace(os.getpid())
    parents: dict[int, int] = {}
    found = {pid}
    for one in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        with suppress(OSError):  # it has ended, or belongs to another user
            parents[one] = _parent(one)
            if not is_hosts and _namespace(one) == own:
                found.add(one)
    while more := {one for one, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def _namespace(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/pid")  # noqa: PTH115 - a link of the kernel's


def _is_entering(pid: int, inside: Container[int]) -> bool:
    """Return whether a process is the engine's runtime, which is about to run a program in the container.

    It runs what its parent does, perhaps a copy of it in memory, and that parent is not in the container: nobody in
    there can have such a parent and run the same.
    """
    for _ in range(_FORKS):
        parent = _parent(pid)
        if not parent or not _run_the_same(pid, parent, copied=parent not in inside):
            return False
        if parent not in inside:
            return True
        pid = parent
    return False


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b") ")[2].split()[1])  # see proc(5)


def _run_the_same(pid: int, parent: int, *, copied: bool) -> bool:
    """Return whether both run one file or, if `copied`, files of the same bytes; the parent is a host's then."""
    ours = os.stat(f"/proc/{pid}/exe")  # noqa: PTH116 - a link of the kernel's
    try:
        theirs = os.stat(f"/proc/{parent}/exe")  # noqa: PTH116 - another one
    except PermissionError:  # a user's runtime is the user's
        return False
    if (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino):
        return True
    if not copied or ours.st_size != theirs.st_size:
        return False
    with open(f"/proc/{pid}/exe", "rb") as one, open(f"/proc/{parent}/exe", "rb") as other:  # noqa: PTH123
        return all(chunk == other.read(CHUNK) for chunk in iter(lambda: one.read(CHUNK), b""))


def not_of_the_image(
    found: Iterable[Code], root: int, mounts: Iterable[Mounted], changed: Container[str]
) -> list[Change]:
    """Return what is run and is not the image's.

    `root` is the device of the container's root, `mounts` what is mounted in it in its order, `changed` the paths that
    are not as in the image.
    """
    on: dict[int, list[Mounted]] = {}
    for mount in mounts:
        on.setdefault(mount.device, []).append(mount)
    reasons = ((code, _reason(code, root, on.get(code.status.st_dev, ()), changed)) for code in found)
    return [_change(code, reason) for code, reason in reasons if reason]


def _process_at_root(pids: Iterable[int]) -> int:
    """Return the first process whose root is the container's; 0 where none is."""
    for pid in sorted(pids):
        with suppress(OSError):
            if os.readlink(f"/proc/{pid}/root") == "/":  # noqa: PTH115 - a link of the kernel's
                return pid
    return 0


def codes_of(pid: int, root: int = 0) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the program of a process and each file of which it has code mapped: each file once.

    `root` is a process whose root is the container's, through which a user finds mapped files by their paths.
    """
    told: set[Mapping] = set()
    for link, file in chain(((f"/proc/{pid}/exe", None),), _executable_mappings(pid)):
        if file in told:
            continue
        try:
            path, status = os.fsdecode(os.readlink(os.fsencode(link))), os.stat(link)  # noqa: PTH115, PTH116 - as they are
        except FileNotFoundError:  # the kernel's own threads have none, and mappings come and go
            continue
        except PermissionError:  # the kernel lets only the host's root follow the links of mappings
            if not file:
                raise
            path, status = file.path, _status_by_path(file, root or pid)
        yield path, status
        if file:
            told.add(file)


class Mapping(NamedTuple):
    """A file of which a process has code mapped, as the kernel lists it."""

    device: int
    inode: int
    path: str


def _executable_mappings(pid: int) -> Iterator[tuple[str, Mapping]]:
    """Yield where /proc has the files of executable mappings, and what tells these files apart.

    See proc(5), `maps` and `map_files`. There may be very many of them, with long paths.
    """
    with Path(f"/proc/{pid}/maps").open("rb") as maps:
        for line in maps:
            place, rights, _, device, inode, *path = line.rstrip(b"\n").split(None, 5)
            if b"x" in rights and inode != b"0":
                start, _, end = place.partition(b"-")
                major, _, minor = device.partition(b":")
                number = os.makedev(int(major, 16), int(minor, 16))
                link = f"/proc/{pid}/map_files/{int(start, 16):x}-{int(end, 16):x}"
                name = os.fsdecode(b"".join(path).replace(b"\\012", b"\n"))
                yield link, Mapping(number, int(inode), name)


def _status_by_path(file: Mapping, root: int) -> os.stat_result:
    """Return the status of a mapped file that is found by its path; one that is not the same counts as deleted.

    The kernel lists either the inode and the device of the container's root or those of the layer below it: the inode
    is the same, as all layers are on one file system.
    """
    try:
        top = os.stat(f"/proc/{root}/root")  # noqa: PTH116 - a link of the kernel's
        status = os.stat(f"/proc/{root}/root{file.path}", follow_symlinks=False)  # noqa: PTH116 - as it is
    except (FileNotFoundError, NotADirectoryError):
        return _deleted(file)
    is_same = status.st_ino == file.inode and status.st_dev in {file.device, top.st_dev}
    return status if is_same else _deleted(file)


def _deleted(file: Mapping) -> os.stat_result:
    return os.stat_result((stat.S_IFREG, file.inode, file.device, 0, 0, 0, 0, 0, 0, 0))


def _reason(code: Code, root: int, mounts: Sequence[Mounted], changed: Container[str]) -> str:
    """Return why code is not the image's; nothing where it is. `mounts` are those of its file system."""
    if code.path.startswith(_MEMORY):
        return "in memory alone"
    if code.status.st_nlink == 0 or code.path.endswith(_GONE):
        return "of a file that is deleted"
    if code.status.st_dev != root:
        return _reason_mounted(code, mounts)
    return "of a file that is not as in the image" if code.path in changed else ""


def _reason_mounted(code: Code, mounts: Sequence[Mounted]) -> str:
    """One file system may be mounted several times: the innermost mount that leads to a path is the one."""
    leading = [mount for mount in reversed(mounts) if is_within(code.path, mount.point)]
    if not leading:
        is_hosts = mounts and all(mount.is_read_only for mount in mounts)
        return "" if is_hosts else "of a file that is mounted nowhere in it"
    mount = max(leading, key=lambda mount: len(mount.point))
    is_init = code.path in INITS and mount.point == code.path
    return "" if is_init or mount.is_read_only else f"in {mount.kind} at {mount.point}"


def _change(code: Code, reason: str) -> Change:
    status, process = code.status, code.process
    return Change(
        code.path.removesuffix(_GONE),
        RUNS,
        PROCESS,
        status.st_size,
        stat.S_IMODE(status.st_mode),
        (process.st_uid, process.st_gid),
        status.st_ctime,
        (status.st_dev, status.st_ino),
        detail=(reason,),
    )
