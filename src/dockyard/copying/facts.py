"""How production's directories can be copied, found out without changing anything: neither there nor in test areas."""

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from dockyard.copying import opening
from dockyard.copying.data import clone_block
from dockyard.copying.opening import opened
from dockyard.overlay import at, place_of
from dockyard.paths import MountPoint, mount_table
from dockyard.plan.values import CopyFact

# What the kernel's overlay cannot write to: it needs extended attributes, whiteouts, and names that mean one file.
_NO_UPPER_SIDE = {
    "overlay",
    "aufs",
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "9p",
    "ecryptfs",
    "autofs",
    "vfat",
    "msdos",
    "exfat",
}
_NO_LOWER_SIDE = {"autofs", "vfat", "msdos", "exfat"}
_MOUNTING = 1 << 21  # CAP_SYS_ADMIN


def copy_facts(paths: Iterable[str], base: str) -> dict[str, CopyFact]:
    """Return how each of these that exists can be copied to the test areas below `base`."""
    found = {}
    with opened(_nearest(base)) as near:
        for path in paths:
            try:
                source = opening.pin(path, follow=True)
            except OSError:
                continue
            with opened(source):
                found[path] = CopyFact(_shares_blocks(source, near), overlay_refused(source, near))
    return found


def _nearest(base: str) -> int:
    """Return a descriptor of the directory nearest to the test areas that exists; these are never behind a link."""
    path = Path(base)
    for directory, follow in ((path / "TMP", False), *((above, True) for above in (path, *path.parents))):
        try:
            found = opening.pin(str(directory), follow=follow)
        except OSError:
            continue
        if stat.S_ISDIR(os.fstat(found).st_mode):
            return found
        os.close(found)
    raise AssertionError("there is always /")


# ------------------------------------------------------------------------------------------------ sharing blocks
def _shares_blocks(source: int, near: int) -> bool:
    """Try it, with a nameless file that is gone at once."""
    try:
        with opened(_nameless(near)) as target:
            file = next(_files(source), None)
            if file is None:
                return os.fstat(source).st_dev == os.fstat(near).st_dev and _clones_itself(near, target)
            with opened(file):
                clone_block(file, target, os.fstatvfs(target).f_frsize)
    except OSError:
        return False
    return True


def _nameless(near: int) -> int:
    return os.open(at(near), os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)


def _clones_itself(near: int, target: int) -> bool:
    os.write(target, b"block")
    with opened(_nameless(near)) as second:
        clone_block(target, second, os.fstatvfs(target).f_frsize)
    return True


def _files(pinned: int, depth: int = 1) -> Iterator[int]:
    """Yield descriptors of the files that hold something; whoever takes one closes it."""
    status = os.fstat(pinned)
    if stat.S_ISREG(status.st_mode) and status.st_size:
        yield opening.readable(pinned)
    elif stat.S_ISDIR(status.st_mode) and depth >= 0:
        with opened(opening.readable(pinned)) as listed:
            directories, others = opening.listing(listed)
            for name in (*others, *directories):
                with opened(opening.pin(name, listed)) as found:
                    yield from _files(found, depth - 1)


# ------------------------------------------------------------------------------------------------------ overlays
def overlay_refused(source: int, near: int) -> str:
    """Return why a directory cannot be the lower side of an overlay that keeps its changes near a directory, or ``."""
    if not stat.S_ISDIR(os.fstat(source).st_mode):
        return "it is not a directory"
    if not _may_mount():
        return "only the host's root can mount an overlay"
    if not _kernel_knows_overlays():
        return "the kernel has no overlay file system"
    return _refused_by_places(source, near, mount_table())


def _refused_by_places(source: int, near: int, mounted: list[MountPoint]) -> str:
    place, area = place_of(source), place_of(near)
    inside = next((mount.point for mount in mounted if mount.point.startswith(f"{place.rstrip('/')}/")), "")
    if inside:
        return f"`{inside}` is mounted inside it"
    if f"{area}/".startswith(f"{place.rstrip('/')}/"):
        return "the test area is inside it"
    below, above = (_kind_of(descriptor, mounted) for descriptor in (source, near))
    if below in _NO_LOWER_SIDE:
        return f"it is on a {below} file system"
    if above in _NO_UPPER_SIDE or above.startswith("fuse"):
        return f"`{area}` is on a file system, {above}, that cannot store its changes"
    return ""


def _kind_of(descriptor: int, mounted: list[MountPoint]) -> str:
    """Return the kind of file system that something is on."""
    lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text(encoding="ascii").splitlines()
    number = next(line.split()[1] for line in lines if line.startswith("mnt_id:"))
    return next((mount.kind for mount in mounted if mount.number == number), "")


def _may_mount() -> bool:
    lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
    capabilities = next(int(line.split()[1], 16) for line in lines if line.startswith("CapEff:"))
    return bool(capabilities & _MOUNTING) and Path("/proc/self/uid_map").read_text("ascii").split()[:2] == ["0", "0"]


def _kernel_knows_overlays() -> bool:
    if "\toverlay\n" in Path("/proc/filesystems").read_text(encoding="ascii"):
        return True
    modules = Path(f"/lib/modules/{os.uname().release}/modules.dep")
    return modules.is_file() and "/overlay.ko" in modules.read_text(encoding="utf-8", errors="replace")
