"""What a container runs: programs and libraries that its image does not have, wherever they are."""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from dockyard.scan.layer import Change

RUNS = "runs"
"""What a process does whose code is not the image's."""
PROCESS = "process"

_GONE = " (deleted)"
_INIT = ("/sbin/docker-init", "/dev/init", "/run/podman-init", "/catatonit")
"""Where engines mount an init of the host's, read-only."""
_MEMORY = "/memfd:"


class Mounted(NamedTuple):
    """A mount as a process sees it: its device as `stat` has it, where it is, its type, and whether it is read-only."""

    device: int
    point: str
    kind: str
    is_read_only: bool


class _Code(NamedTuple):
    """Something that a process runs: the path that the kernel tells, and what it is."""

    path: str
    status: os.stat_result


def running(
    pids: Iterable[int], root: int, mounts: Iterable[Mounted], changed: Callable[[str], bool]
) -> tuple[list[Change], int]:
    """Return the code that processes run and that is not the image's, and how many of them could not be looked at.

    `root` is the device of the container's root, `mounts` what is mounted in it; `changed` tells whether a path of its
    layer differs from the image. A process that has ended meanwhile says nothing.
    """
    at = {mount.device: mount for mount in mounts}
    found: dict[tuple[str, str], Change] = {}
    unseen = 0
    for pid in pids:
        try:
            owner = Path(f"/proc/{pid}").stat()
            for code in _codes(pid):
                reason = _reason(code, root, at, changed)
                if reason:
                    found.setdefault((code.path, reason), _change(code, reason, owner, pid))
        except (FileNotFoundError, ProcessLookupError):
            continue
        except OSError:
            unseen += 1
    return list(found.values()), unseen


def _codes(pid: int) -> Iterator[_Code]:
    """Yield the program of a process and each file of which it has code mapped."""
    seen: set[tuple[int, int]] = set()
    for link in (f"/proc/{pid}/exe", *_executable_mappings(pid)):
        try:
            path, status = os.fsdecode(os.readlink(os.fsencode(link))), os.stat(link)  # noqa: PTH115, PTH116 - as they are
        except FileNotFoundError:  # the kernel's own threads have none, and mappings come and go
            continue
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            yield _Code(path, status)


def _executable_mappings(pid: int) -> Iterator[str]:
    """Yield where /proc has the files of executable mappings; see proc(5), `maps` and `map_files`."""
    for line in Path(f"/proc/{pid}/maps").read_bytes().splitlines():
        place, rights, _, _, inode, *_ = line.split(None, 5)
        if b"x" in rights and inode != b"0":
            start, _, end = place.partition(b"-")
            yield f"/proc/{pid}/map_files/{int(start, 16):x}-{int(end, 16):x}"


def _reason(code: _Code, root: int, mounts: dict[int, Mounted], changed: Callable[[str], bool]) -> str:
    """Return why code is not the image's; nothing where it is."""
    if code.path.startswith(_MEMORY):
        return "in memory alone"
    if code.status.st_nlink == 0 or code.path.endswith(_GONE):
        return "of a file that is deleted"
    if code.status.st_dev != root:
        mount = mounts.get(code.status.st_dev)
        if code.path in _INIT or (mount and mount.is_read_only):
            return ""
        return f"in {mount.kind} at {mount.point}" if mount else "of a file that is mounted nowhere in it"
    return "of a file that is not as in the image" if changed(code.path) else ""


def _change(code: _Code, reason: str, process: os.stat_result, pid: int) -> Change:
    status = code.status
    return Change(
        code.path.removesuffix(_GONE),
        RUNS,
        PROCESS,
        status.st_size,
        stat.S_IMODE(status.st_mode),
        (process.st_uid, process.st_gid),
        status.st_ctime,
        (status.st_dev, status.st_ino),
        detail=(reason, f"such as pid {pid}"),
    )
