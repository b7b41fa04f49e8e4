"""Where the layers of an image or a container are on the host, and what overlay mounts say of that. Pure."""

import os
import re
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple


class Directories(NamedTuple):
    """The directories of a container: its own, and those of its image, the uppermost first.

    `is_whole`: its own directory holds the whole tree, not only what differs. `is_copy`: the directories are a private
    copy, which is removed after use.
    """

    upper: str
    lowers: tuple[str, ...]
    is_whole: bool = False
    is_copy: bool = False


class Overlay(NamedTuple):
    """An overlay mount, as the kernel or containerd writes it; `upper` is empty for one that is read-only.

    `users`: its marks are attributes that a user may write (`userxattr`).
    """

    upper: str
    lowers: tuple[str, ...]
    users: bool = False

    @property
    def is_absolute(self) -> bool:
        """Whether all directories are named by absolute paths."""
        return all(one.startswith("/") for one in (self.upper, *self.lowers) if one)


def overlay_of(options: bytes) -> Overlay:
    """Read the options of an overlay in a mountinfo line (Linux, filesystems/overlayfs.rst)."""
    upper, lowers, users = "", list[str](), False
    for option in options.split(b","):
        name, _, value = option.partition(b"=")
        if name == b"upperdir":
            upper = _plain(octal(value))
        elif name == b"lowerdir":
            lowers = [_plain(part) for part in re.split(r"(?<!\\):", octal(value)) if part]
        elif name == b"lowerdir+":
            lowers.append(octal(value))
        users = users or name == b"userxattr"
    return Overlay(upper, tuple(lowers), users)


def octal(field: bytes) -> str:
    """Undo the kernel's own escapes: a backslash and three octal digits."""
    return os.fsdecode(re.sub(rb"\\([0-7]{3})", lambda found: bytes((int(found[1], 8),)), field))


def _plain(path: str) -> str:
    """Undo the overlay's escapes of commas, colons and backslashes."""
    return re.sub(r"\\(.)", r"\1", path)


def completed(
    overlay: Overlay, known: Sequence[str] = (), is_directory: Callable[[str], bool] = os.path.isdir
) -> Overlay | None:
    """Return an overlay with absolute paths only; None where they cannot be known.

    With many layers the options do not fit into a page. Docker's graph driver then mounts from its own directory,
    containerd from the parent of all snapshots with an absolute upper directory, and podman names the lower ones by
    descriptors. `known` are the container's own directory and those below it, as the engine lists them.
    """
    if overlay.is_absolute:
        return overlay
    if len(known) > 1 and (overlay.upper == known[0] or known[0].endswith(f"/{overlay.upper}")):
        return overlay._replace(upper=known[0], lowers=tuple(known[1:]))
    if not overlay.upper.startswith("/"):
        return None
    above = overlay.upper.rpartition("/")[0].rpartition("/")[0]
    lowers = tuple(one if one.startswith("/") else f"{above}/{one}" for one in overlay.lowers)
    if any(".." in one.split("/") for one in lowers) or not all(map(is_directory, lowers)):
        return None
    return overlay._replace(lowers=lowers)


class Mounted(NamedTuple):
    """An overlay that is mounted at the point `point`."""

    point: str
    overlay: Overlay


def overlays_in(table: bytes) -> Iterator[Mounted]:
    """Yield the overlays of a mountinfo table (proc(5)), the last one first."""
    for line in reversed(table.split(b"\n")):
        before, separator, after = line.partition(b" - ")
        kind, _, options = [*after.split(b" ", 2), b"", b""][:3]
        if separator and kind == b"overlay":
            yield Mounted(octal(before.split(b" ")[4]), overlay_of(options))


def mounted_for(table: bytes, identifier: str) -> Overlay | None:
    """Return the overlay that an engine has mounted for a container, by the host's mountinfo table.

    Engines mount it at a directory that has the container's id as a part of its path. None where there is no such
    mount, or where several differ: a container that may mount could have added one.
    """
    found = {one.overlay for one in overlays_in(table) if identifier in one.point.split("/") and one.overlay.upper}
    return found.pop() if len(found) == 1 else None
