"""Where a container's layers are on the host, and what is mounted in it: from the kernel first, the engine second."""

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from dockyard.engine.models import Container, IdMap, IdRange
from dockyard.errors import DockyardError
from dockyard.scan.attributes import KERNELS, KERNELS_OF_USERS
from dockyard.scan.running import Mounted


class Place(NamedTuple):
    """A container's upper directory, the image's directories, the uppermost first, and the points of its mounts.

    `marks` begin the overlay's own attributes, as far as its kind is known: all others are what a container may write.
    """

    upper: str
    layers: tuple[str, ...]
    mounted: frozenset[str]
    ids: IdMap = IdMap()
    mounts: tuple[Mounted, ...] = ()
    marks: tuple[str, ...] | None = None


def place_of(container: Container, ids: Callable[[], IdMap] = IdMap) -> Place:
    """Return where to read a container's layers; `ids` tells the ids of one that has no process.

    Raises DockyardError where that cannot be told.
    """
    points = frozenset(container.mounts)
    if container.pid:
        try:
            process = Path(f"/proc/{container.pid}")
            table = (process / "mountinfo").read_bytes()
            groups = (process / "cgroup").read_bytes()
            own = IdMap(*(_ranges(process / name) for name in ("uid_map", "gid_map")))
        except OSError as error:
            raise DockyardError(f"its process cannot be looked at: {error.strerror}") from None
        found = place_in(table, container.layer)
        if found and (not container.layer or found.upper == container.layer):
            return found._replace(ids=own)
        if found:
            raise DockyardError("its process has other layers than the engine tells")
        if container.id.encode() not in groups and not _root_type(table).startswith("fuse"):
            raise DockyardError("the process that the engine tells is not this container's (any more)")
        points |= {mount.point for mount in _mounts(table)} - {"/"}
    if not container.layer or not container.layers:
        driver = container.driver or "unknown"
        raise DockyardError(f"its storage driver, {driver}, does not tell where its layers are")
    return Place(container.layer, container.layers, points, ids())


ALL = (IdRange(0, 0, 2**32 - 1),)  # what the kernel says of a process whose ids are the host's


def _ranges(file: Path) -> tuple[IdRange, ...]:
    found = tuple(IdRange(*map(int, line.split())) for line in file.read_text(encoding="ascii").splitlines())
    return () if found == ALL else found


def place_in(table: bytes, layer: str = "") -> Place | None:
    """Return the place that a process's mountinfo tells of its root; None where that is no overlay.

    With very many layers, engines name them from a directory of their own on: `layer` tells which, if it is this one.
    See proc(5) for the table, and Documentation/filesystems/overlayfs.rst of Linux for its options.
    """
    for line in reversed(table.split(b"\n")[:-1]):
        before, _, after = line.partition(b" - ")
        kind, _, options = [*after.split(b" ", 2), b"", b""][:3]
        if before.split(b" ")[4] != b"/" or kind != b"overlay":
            continue
        upper, layers = "", list[str]()
        for option in options.split(b","):
            name, _, value = option.partition(b"=")
            if name == b"upperdir":
                upper = _plain(_octal(value))
            elif name == b"lowerdir":
                layers = [_plain(part) for part in re.split(r"(?<!\\):", _octal(value)) if part]
            elif name == b"lowerdir+":
                layers.append(_octal(value))
        own = frozenset(mount.point for mount in _mounts(table)) - {"/"}
        if not upper or not layers:
            return None
        top = "" if upper.startswith("/") or not layer.endswith(f"/{upper}") else layer.removesuffix(upper)
        marks = KERNELS_OF_USERS if b"userxattr" in options.split(b",") else KERNELS
        below = tuple(f"{top}{one}" for one in layers)
        return Place(f"{top}{upper}", below, own, mounts=_mounts(table), marks=marks)
    return None


def _root_type(table: bytes) -> str:
    """Return the type of a root's file system; nothing where the root is further down in one."""
    return next((mount.kind for mount in reversed(_mounts(table)) if mount.point == "/"), "")


def _mounts(table: bytes) -> tuple[Mounted, ...]:
    return tuple(_mounted(line) for line in table.split(b"\n")[:-1])


def _mounted(line: bytes) -> Mounted:
    before, _, after = line.partition(b" - ")
    _, _, device, _, point, options, *_ = before.split(b" ")
    major, _, minor = device.partition(b":")
    number = os.makedev(int(major), int(minor))
    return Mounted(number, _octal(point), _octal(after.split(b" ", 1)[0]), b"ro" in options.split(b","))


def _octal(field: bytes) -> str:
    """Undo the kernel's own escapes: a backslash and three octal digits."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes((int(found[1], 8),)), field))


def _plain(path: str) -> str:
    """Undo the overlay's escapes of commas, colons and backslashes."""
    return re.sub(r"\\(.)", r"\1", path)
