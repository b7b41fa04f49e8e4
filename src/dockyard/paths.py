"""What stands where on the host, and where a path really is."""

import os
import stat
import struct
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dockyard.errors import DockyardError
from dockyard.plan.facts import AclEntry, Location, PathFact
from dockyard.plan.places import normal

_ACL = "system.posix_acl_access"
_TAGS = {0x01: "owner", 0x02: "user", 0x04: "owning group", 0x08: "group", 0x10: "mask", 0x20: "other"}


def path_facts(paths: Iterable[str]) -> dict[str, PathFact]:
    """Return what each existing path is; a symlink counts as its target.

    Raises DockyardError for a path that cannot be inspected.
    """
    found = {}
    for path in paths:
        try:
            status = Path(path).stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise DockyardError(f"{path}: {error.strerror}") from None
        real, mode = os.path.realpath(path), stat.S_IMODE(status.st_mode)
        kind = _kind(status.st_mode)
        found[path] = PathFact(kind, status.st_uid, status.st_gid, mode, real, _acl(real), _closed(real))
    return found


def _kind(mode: int) -> str:
    return "directory" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"


def _acl(path: str) -> tuple[AclEntry, ...]:
    """Return the access control list, as the kernel writes it: a version, then entries of tag, permissions and id."""
    raw = b""
    with suppress(OSError):
        raw = os.getxattr(path, _ACL)
    entries = struct.iter_unpack("<HHI", raw[4:])
    return tuple(AclEntry(_TAGS[tag], bits, number) for tag, bits, number in entries if tag in _TAGS)


def _closed(path: str) -> str:
    """Return the first directory above a path that others may not pass through, nor we: an engine of ours is as we."""
    ours = os.geteuid()
    for above in reversed(Path(path).parents):
        with suppress(OSError):
            status = above.stat()
            passes_owner = ours and status.st_uid == ours and status.st_mode & stat.S_IXUSR
            if not status.st_mode & stat.S_IXOTH and not passes_owner:
                return str(above)
    return ""


def matches_of(patterns: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the paths that each pattern matches, sorted."""
    found = {}
    for pattern in patterns:
        import glob

        found[pattern] = tuple(sorted(glob.glob(pattern)))  # noqa: PTH207 - keeps the spelling
    return found


class MountPoint(NamedTuple):
    """One line of /proc/self/mountinfo: the path `root` of file system `device` is at `point`.

    It is mounted on what `parent` is the number of; `source` is what mount(8) shows first.
    """

    number: str
    parent: str
    device: str
    root: str
    point: str
    kind: str
    source: str

    @property
    def is_ours(self) -> bool:
        """Whether it is the overlay of a test area: what is written through it goes to its layers, in that area."""
        return self.kind == "overlay" and "/.layers/" in self.source


def mount_table(process: str = "self") -> list[MountPoint]:
    """Return what is mounted, as a process sees it, octal escapes undone."""
    found = []
    for line in Path(f"/proc/{process}/mountinfo").read_bytes().split(b"\n")[:-1]:
        before, _, after = line.partition(b" - ")
        fields = [*before.split(b" ")[:5], *after.split(b" ")[:2]]
        found.append(MountPoint(*(_unescaped(field) for field in fields)))
    return found


def _unescaped(field: bytes) -> str:
    return os.fsdecode(field.decode("unicode_escape").encode("latin-1"))


def locations_of(paths: Iterable[str]) -> Mapping[str, tuple[Location, ...]]:
    """Return where each path really is, then where everything is that is mounted below it.

    Links are followed, and a bind mount is the place that it shows. A path that does not exist is where it would be.
    """
    visible = _visible(mount_table())
    return {path: tuple(_locations(os.path.realpath(path), visible)) for path in paths}


def locations_in(process: int, points: Collection[str]) -> Mapping[str, tuple[Location, ...]]:
    """Return what a process has mounted at each of its paths, then what it has mounted below that.

    What is at or below another of the paths belongs to that one alone. Empty if the mounts of the process cannot be
    read.
    """
    try:
        mounts = mount_table(str(process))
    except OSError:
        return {}
    found: dict[str, list[Location]] = {}
    for mount in mounts:
        point = max((point for point in points if _is_below(mount.point, point)), key=len, default="")
        if point and mount.point == point:
            found[point] = [Location(mount.device, normal(mount.root)), *found.get(point, [])[1:]]
        elif point in found:
            found[point].append(Location(mount.device, normal(mount.root)))
    return {point: tuple(places) for point, places in found.items()}


def _visible(mounts: list[MountPoint]) -> dict[str, MountPoint]:
    """Return those mounts by their points that no other hides; mountinfo lists hidden ones too."""
    numbers = {mount.number for mount in mounts}
    on = {(mount.parent, mount.point): mount.number for mount in mounts if mount.parent in numbers - {mount.number}}
    root = next(mount.number for mount in mounts if mount.point == "/" and (mount.parent, "/") not in on)

    def seen_at(point: str) -> str:
        current = root
        for step in ("/", *(str(above) for above in reversed(Path(point).parents) if str(above) != "/"), point):
            while (current, step) in on:
                current = on[current, step]
        return current

    return {mount.point: mount for mount in mounts if seen_at(mount.point) == mount.number and not mount.is_ours}


def _locations(real: str, visible: Mapping[str, MountPoint]) -> Iterable[Location]:
    point = max((point for point in visible if _is_below(real, point)), key=len, default="/")
    if point in visible:
        mount = visible[point]
        yield Location(mount.device, normal(f"{mount.root}/{real.removeprefix(point)}"))
    for below in visible.values():
        if below.point != point and _is_below(below.point, real):
            yield Location(below.device, below.root)


def _is_below(path: str, directory: str) -> bool:
    return f"{path}/".startswith(f"{directory.rstrip('/')}/")
