"""Where a container's layers are on the host, and what is mounted in it: from the kernel first, the engine second."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from dockyard.engine.models import Container, IdMap, IdRange
from dockyard.errors import DockyardError
from dockyard.layers.directories import Directories, Overlay, completed, octal, overlays_in
from dockyard.layers.store import Store
from dockyard.privilege import in_namespace
from dockyard.scan.attributes import KERNELS, KERNELS_OF_USERS, USERS
from dockyard.scan.running import Mounted


class Place(NamedTuple):
    """A container's upper directory, the image's directories, the uppermost first, and the points of its mounts.

    `marks` begin the overlay's own attributes, as far as its kind is known: all others are what a container may write.
    `image_ids` map the owners in the image's directories, where these are mounted for the container with other ids.
    `is_whole` and `is_copy` are as in layers/directories.py.
    """

    upper: str
    layers: tuple[str, ...]
    mounted: frozenset[str]
    ids: IdMap = IdMap()
    mounts: tuple[Mounted, ...] = ()
    marks: tuple[str, ...] | None = None
    is_whole: bool = False
    is_copy: bool = False
    image_ids: IdMap = IdMap()


def place_of(container: Container, store: Store | None = None) -> Place:
    """Return where to read a container's layers, from the kernel where it runs, else from its engine's store.

    Without a store, what inspect said is all that is known. Raises DockyardError if its directories are not known.
    """
    if found := _running(container, store):
        return found
    told = store.directories_of(container) if store else _told(container)
    if not told:
        raise store.unknown(container) if store else _unknown(container)
    return _place(container, told, store)


@contextmanager
def placed(container: Container, store: Store | None) -> Iterator[Place]:
    """Yield where to read a container's layers, as `place_of`; a stopped one is copied where its store has none."""
    found = _running(container, store)
    if found or not store:
        yield found or place_of(container)
        return
    with store.opened(container) as told:
        yield _place(container, told, store)


def _running(container: Container, store: Store | None) -> Place | None:
    """Return the place of a container by what is mounted for its process; None where that is no overlay.

    A process may mount what it likes over its root: what the engine says, or has mounted itself, has to agree.
    """
    if not container.pid:
        return None
    try:
        process = Path(f"/proc/{container.pid}")
        table = (process / "mountinfo").read_bytes()
        groups = (process / "cgroup").read_bytes()
        own = _ids_of_process(process)
    except OSError as error:
        raise DockyardError(f"its process cannot be inspected: {error.strerror}") from None
    overlay = _root_overlay(table)
    if overlay:
        told = (store.directories_of(container) if store else _told(container)) or Directories(container.layer, ())
        return _with_mapped_image(container, _agreed(overlay, told, table)._replace(ids=own))
    if container.id.encode() not in groups and not _root_type(table).startswith("fuse"):
        raise DockyardError("the process that the engine reports is not this container's (any more)")
    return None


def _agreed(overlay: Overlay, told: Directories, table: bytes) -> Place:
    found = completed(overlay, (told.upper, *told.lowers))
    if told.upper and (found or overlay).upper != told.upper:
        raise DockyardError("its process has other layers than the engine reports")
    if not found:
        raise DockyardError("its layers are relative to an unknown directory")
    return _place_of_overlay(found, table)


def _told(container: Container) -> Directories | None:
    return Directories(container.layer, container.layers) if container.layer and container.layers else None


def _unknown(container: Container) -> DockyardError:
    driver = container.driver or "unknown"
    return DockyardError(f"its storage driver, {driver}, does not report where its layers are")


def _place(container: Container, told: Directories, store: Store | None) -> Place:
    points = frozenset(container.mounts) | container.tmpfs
    if container.pid:
        table = Path(f"/proc/{container.pid}/mountinfo").read_bytes()
        points |= {mount.point for mount in _mounts(table)} - {"/"}
    ids = _ids(container, store)
    marks = _marks(store) if store and in_namespace() else None
    place = Place(told.upper, told.lowers, points, ids, marks=marks, is_whole=told.is_whole, is_copy=told.is_copy)
    return _with_mapped_image(container, place)


def _marks(store: Store) -> tuple[str, ...]:
    """Return the marks of a user's overlay: a program has mounted it, or the kernel."""
    return USERS if store.engine.about.mounts_by_program else KERNELS_OF_USERS


def _with_mapped_image(container: Container, place: Place) -> Place:
    """Return the place of a container that has a map of ids to itself, with the directories that hold its image.

    podman mounts them with mapped ids below the container's directory, where only the mount itself sees them. Where the
    kernel cannot do that, podman copies them, with the owners that the map gives.
    """
    if not container.ids.uids:
        return place
    hidden = f"{place.upper.rpartition('/')[0]}/mapped/"
    layers = container.layers if any(layer.startswith(hidden) for layer in place.layers) else place.layers
    try:
        owners = [Path(layer).stat().st_uid for layer in layers]
    except OSError as error:
        raise DockyardError(f"its layers cannot be read: {error.strerror}") from None
    is_copied = any(0 <= owner - one.outside < one.size for owner in owners for one in container.ids.uids)
    return place._replace(layers=layers, image_ids=IdMap() if is_copied else container.ids)


def _ids(container: Container, store: Store | None) -> IdMap:
    """Return the ids of a container whose root is in no table of the kernel's.

    A user's engine maps them into his namespace, and there we see them as it does.
    """
    if container.pid:
        return _ids_of_process(Path(f"/proc/{container.pid}"))
    if container.ids.uids or in_namespace() or not store:
        return container.ids
    return store.engine.id_map


ALL = (IdRange(0, 0, 2**32 - 1),)  # what the kernel says of a process whose ids are the host's


def _ids_of_process(process: Path) -> IdMap:
    """Return the ids of a process as we see them: in our own namespace the kernel lists those of the host."""
    with suppress(OSError):
        if in_namespace() and (process / "ns/user").readlink() == Path("/proc/self/ns/user").readlink():
            return IdMap()
    return IdMap(*(_ranges(process / name) for name in ("uid_map", "gid_map")))


def _ranges(file: Path) -> tuple[IdRange, ...]:
    found = tuple(IdRange(*map(int, line.split())) for line in file.read_text(encoding="ascii").splitlines())
    return () if found == ALL else found


def place_in(table: bytes, layer: str = "") -> Place | None:
    """Return the place that a process's mountinfo tells of its root; None where that is no overlay to write to.

    With very many layers, engines name them from a directory of their own on: `layer` tells which, if it is this one.
    See proc(5) for the table.
    """
    overlay = _root_overlay(table)
    if not overlay:
        return None
    is_below = not overlay.upper.startswith("/") and layer.endswith(f"/{overlay.upper}")
    top = layer.removesuffix(overlay.upper) if is_below else ""
    lowers = tuple(f"{top}{one}" for one in overlay.lowers)
    return _place_of_overlay(overlay._replace(upper=f"{top}{overlay.upper}", lowers=lowers), table)


def _place_of_overlay(overlay: Overlay, table: bytes) -> Place:
    own = frozenset(mount.point for mount in _mounts(table)) - {"/"}
    marks = KERNELS_OF_USERS if overlay.users else KERNELS
    return Place(overlay.upper, overlay.lowers, own, mounts=_mounts(table), marks=marks)


def _root_overlay(table: bytes) -> Overlay | None:
    """Return the overlay that is a process's root; what was mounted over it last counts."""
    found = next((one.overlay for one in overlays_in(table) if one.point == "/"), None)
    return found if found and found.upper and found.lowers else None


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
    return Mounted(number, octal(point), octal(after.split(b" ", 1)[0]), b"ro" in options.split(b","))
