"""The host: what is known of it, and the steps of a plan that change it.

Paths are walked with directory descriptors and never through a symlink, so that no link planted below a data directory
leads a step astray.
"""

import errno
import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dockyard import overlay
from dockyard.contents import contents_of
from dockyard.errors import DockyardError
from dockyard.paths import mount_table
from dockyard.plan.facts import HostFacts
from dockyard.plan.values import EmptyTestArea, MakeDirectory, MakeFile
from dockyard.removal import DIRECTORY, empty


def links_of(pid: int) -> dict[str, str]:
    """Return the host's ends of a process's network links, by how they are called inside."""
    ours = {
        path.joinpath("ifindex").read_text(): path.name for path in Path("/sys/class/net").iterdir() if path.is_dir()
    }
    found: dict[str, str] = {}
    for path in sorted(Path(f"/proc/{pid}/root/sys/class/net").glob("*")):
        with suppress(OSError):
            index, peer = (path.joinpath(name).read_text() for name in ("ifindex", "iflink"))
            if index != peer and peer in ours:
                found[path.name] = ours[peer]
    return found


def has_systemd() -> bool:
    """Return whether systemd runs this host, by what sd_booted(3) looks for."""
    return Path("/run/systemd/system").is_dir()


def host_facts() -> HostFacts:
    """Return the host's short name and its time zone."""
    return HostFacts(os.uname().nodename.partition(".")[0], _zone())


def _zone() -> str:
    with suppress(OSError):
        target = str(Path("/etc/localtime").readlink())
        if "zoneinfo/" in target:
            return target.partition("zoneinfo/")[2]
    with suppress(OSError):
        return Path("/etc/timezone").read_text(encoding="utf-8").strip()
    return ""


def addresses_of(names: Iterable[str]) -> dict[str, str]:
    """Return the IPv4 address of each name that the host can resolve, except loopback addresses."""
    found = {}
    for name in names:
        import socket

        with suppress(OSError, UnicodeError):
            address = socket.getaddrinfo(name, None, socket.AF_INET)[0][4][0]
            if not str(address).startswith("127."):
                found[name] = str(address)
    return found


def make_directory(step: MakeDirectory) -> None:
    """Make a directory and those above it. Raises DockyardError if a link or a file is in the way."""
    os.close(open_made(step))


def make_file(step: MakeFile) -> None:
    """Make a file and the directories above it.

    Raises DockyardError if a link is in the way, or the contents cannot be had; nothing is made then.
    """
    above, _, name = step.path.rpartition("/")
    if _is_there(step):
        return
    contents = contents_of(step)  # before anything is made: it may fail
    parent = open_made(MakeDirectory(above or "/", strict=step.strict))
    try:
        _make_whole(step, contents, parent, name)
    except OSError as error:
        raise _in_the_way(step.path, error) from None
    finally:
        os.close(parent)


def _is_there(step: MakeFile) -> bool:
    """Return whether anything is in the file's place. Raises DockyardError for a link if none may be."""
    above, _, name = step.path.rpartition("/")
    try:
        parent, missing = _open_nearest(MakeDirectory(above or "/", strict=step.strict))
    except OSError as error:
        raise _in_the_way(step.path, error) from None
    try:
        status = None if missing else os.stat(name, dir_fd=parent, follow_symlinks=False)
    except FileNotFoundError:
        return False
    finally:
        os.close(parent)
    if status and step.strict and stat.S_ISLNK(status.st_mode):
        raise _in_the_way(step.path, OSError(errno.ELOOP, "it is a symlink"))
    return status is not None


def _make_whole(step: MakeFile, contents: bytes, parent: int, name: str) -> None:
    """Write a file under a temporary name and rename it when complete; one created concurrently is not replaced."""
    passing = f".{os.urandom(16).hex()}"
    file = os.open(passing, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=parent)
    try:
        with os.fdopen(file, "wb") as stream:
            stream.write(contents)
            stream.flush()
            _give(file, step)
            os.fsync(file)
        with suppress(FileExistsError):
            os.link(passing, name, src_dir_fd=parent, dst_dir_fd=parent, follow_symlinks=False)
    finally:
        os.unlink(passing, dir_fd=parent)


def _give(descriptor: int, step: MakeDirectory | MakeFile) -> None:
    """Give what was made its owner and mode."""
    os.fchown(descriptor, step.uid, step.gid)
    os.fchmod(descriptor, step.mode)


def open_made(step: MakeDirectory) -> int:
    """Return a descriptor of a directory, made where it was missing; only the last part gets the step's owner.

    What is there already may be reached through links, as an administrator set them up, down to the step's `strict`
    directory; what is made is not. Raises DockyardError.
    """
    try:
        current, missing = _open_nearest(step)
        for number, part in enumerate(missing, start=1):
            current = _made_below(current, part, step if number == len(missing) else MakeDirectory(step.path))
    except OSError as error:
        raise _in_the_way(step.path, error) from None
    return current


def _open_nearest(step: MakeDirectory) -> tuple[int, list[str]]:
    """Return a descriptor of the last directory on the way that is there, and the parts that are missing below it.

    Raises OSError if a link is in the way below the step's `strict` directory.
    """
    parts, trusted = _parts(step.path), _parts(step.strict or step.path)
    if step.strict and (parts[: len(trusted)] != trusted or ".." in parts):
        raise ValueError(f"{step.path} is not below {step.strict}")
    there = len(trusted)
    while there and not os.path.lexists("/" + "/".join(parts[:there])):
        there -= 1
    current = os.open("/" + "/".join(parts[:there]), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    missing = parts[there:]
    while missing and there >= len(trusted):
        above = current
        try:
            current = os.open(missing[0], DIRECTORY, dir_fd=above)
        except FileNotFoundError:
            break
        except OSError:
            os.close(above)
            raise
        os.close(above)
        del missing[0]
    return current, missing


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]


def _made_below(parent: int, name: str, step: MakeDirectory) -> int:
    """Create a directory and return its descriptor; one that another run created concurrently is not changed."""
    try:
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
            made = os.open(name, DIRECTORY, dir_fd=parent)
            try:
                _give(made, step)
            except OSError:
                os.close(made)
                os.rmdir(name, dir_fd=parent)  # half made, the next run would take it for right
                raise
            return made
        return os.open(name, DIRECTORY, dir_fd=parent)
    finally:
        os.close(parent)


def _in_the_way(path: str, error: OSError) -> DockyardError:
    return DockyardError(
        f"{path}: cannot be created: {error.strerror}", hint="check what exists there, and its permissions"
    )


def empty_test_area(step: EmptyTestArea) -> None:
    """Remove all that is in a test area, and unmount the copies there.

    Follows no link and enters no other mount: either is an error before anything goes. Raises DockyardError.
    """
    if "/" in step.area or step.area in {"", ".", ".."}:  # it comes from a container's label, too
        raise DockyardError(f"{step.path}: not a test area", hint="check the labels of the running containers")
    try:
        area = _open_inside(step.base, "TMP", step.area)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DockyardError(
            f"{step.path}: {error.strerror}", hint="replace it with a directory; a test area is never a link"
        ) from None
    try:
        _unmount_copies(area)
        empty(area)
    except OSError as error:
        raise DockyardError(f"{step.path}: cannot be emptied: {error.strerror}") from None
    finally:
        os.close(area)


def remove_test_area(step: EmptyTestArea) -> None:
    """Empty a test area, and remove it. Raises DockyardError as emptying does."""
    empty_test_area(step)
    try:
        above = _open_inside(step.base, "TMP")
    except FileNotFoundError:
        return
    try:
        with suppress(FileNotFoundError):
            os.rmdir(step.area, dir_fd=above)
    except OSError as error:
        raise DockyardError(f"{step.path}: cannot be removed: {error.strerror}") from None
    finally:
        os.close(above)


def _open_inside(base: str | int, *parts: str) -> int:
    """Return a descriptor of a directory; from the base on, no part of the way may be a link."""
    current = os.dup(base) if isinstance(base, int) else os.open(base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in parts:
        above = current
        try:
            current = os.open(part, DIRECTORY, dir_fd=above)
        finally:
            os.close(above)
    return current


def _unmount_copies(area: int) -> None:
    """Unmount the overlays that stand in an area for copies. Raises DockyardError if anything else is mounted."""
    place = overlay.place_of(area)
    inside = [mount for mount in mount_table() if mount.point.startswith(f"{place}/")]
    for mount in inside:
        if mount.kind != "overlay" or not mount.source.startswith(f"{place}/"):
            raise DockyardError(f"{mount.point}: is mounted inside the test area", hint=f"umount {mount.point}")
    for mount in reversed(inside):
        *way, name = mount.point.removeprefix(f"{place}/").split("/")
        above = _open_inside(area, *way)
        try:
            overlay.unmount(above, name)
        finally:
            os.close(above)
