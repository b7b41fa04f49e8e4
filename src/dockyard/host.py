"""The host: what is known of it, and the steps of a plan that change it.

Paths are walked with directory descriptors and never through a symlink, so that no link planted below a data directory
leads a step astray.
"""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dockyard.errors import DockyardError
from dockyard.plan.values import EmptyTestArea, HostFacts, MakeDirectory, MakeFile, Owner, PathFact

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


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


def path_facts(paths: Iterable[str]) -> dict[str, PathFact]:
    """Return what stands at each path that exists; a symlink is what it leads to.

    Raises DockyardError for a path that cannot be looked at.
    """
    found = {}
    for path in paths:
        try:
            status = Path(path).stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise DockyardError(f"{path}: {error.strerror}") from None
        kind = "directory" if stat.S_ISDIR(status.st_mode) else "file"
        found[path] = PathFact(kind, status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode))
    return found


def matches_of(patterns: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return the paths that each pattern matches, sorted."""
    found = {}
    for pattern in patterns:
        import glob

        found[pattern] = tuple(sorted(glob.glob(pattern)))  # noqa: PTH207 - keeps the spelling
    return found


def addresses_of(names: Iterable[str]) -> dict[str, str]:
    """Return the IPv4 address of each name that the host can look up; loopback is no instance's address."""
    found = {}
    for name in names:
        import socket

        with suppress(OSError, UnicodeError):
            address = socket.getaddrinfo(name, None, socket.AF_INET)[0][4][0]
            if not str(address).startswith("127."):
                found[name] = str(address)
    return found


def users_of(files: Path) -> tuple[dict[str, Owner], dict[str, int]]:
    """Return the users, by name and by uid, and the groups of a picture of an image's root; the first of a name counts.

    That is how the C library has it.
    """
    users: dict[str, Owner] = {}
    for fields in _entries(files / "etc/passwd"):
        with suppress(ValueError, IndexError):
            owner = Owner(int(fields[2]), int(fields[3]))
            users.setdefault(fields[0], owner)
            users.setdefault(fields[2], owner)
    groups: dict[str, int] = {}
    for fields in _entries(files / "etc/group"):
        with suppress(ValueError, IndexError):
            groups.setdefault(fields[0], int(fields[2]))
    return users, groups


def _entries(path: Path) -> list[list[str]]:
    with suppress(OSError):
        return [line.split(":") for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    return []


def make_directory(step: MakeDirectory) -> None:
    """Make a directory and those above it. Raises DockyardError where a link or a file is in the way."""
    os.close(_open_made(step.path, step))


def make_file(step: MakeFile) -> None:
    """Make an empty file and the directories above it. Raises DockyardError where a link is in the way."""
    above, _, name = step.path.rpartition("/")
    parent = _open_made(above or "/", MakeDirectory(above))
    try:
        with suppress(FileExistsError):
            file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600, dir_fd=parent)
            try:
                _give(file, step)
            except OSError:
                os.unlink(name, dir_fd=parent)
                raise
            finally:
                os.close(file)
    except OSError as error:
        raise _in_the_way(step.path, error) from None
    finally:
        os.close(parent)


def _give(descriptor: int, step: MakeDirectory | MakeFile) -> None:
    """Give what was made its owner and mode."""
    os.fchown(descriptor, step.uid, step.gid)
    os.fchmod(descriptor, step.mode)


def _open_made(path: str, step: MakeDirectory) -> int:
    """Return a descriptor of a directory, made where it was missing; only the last part gets the step's owner.

    What is there already may be reached through links, as an administrator set them up; what is made is not.
    """
    parts = [part for part in path.split("/") if part]
    there = len(parts)
    while there and not os.path.lexists("/" + "/".join(parts[:there])):
        there -= 1
    try:
        current = os.open("/" + "/".join(parts[:there]), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        for number, part in enumerate(parts[there:], start=there + 1):
            current = _made_below(current, part, step if number == len(parts) else MakeDirectory(path))
    except OSError as error:
        raise _in_the_way(path, error) from None
    return current


def _made_below(parent: int, name: str, step: MakeDirectory) -> int:
    """Make a directory and return its descriptor; one that another run made meanwhile stays as that made it."""
    try:
        with suppress(FileExistsError):
            os.mkdir(name, 0o700, dir_fd=parent)
            made = os.open(name, _DIRECTORY, dir_fd=parent)
            try:
                _give(made, step)
            except OSError:
                os.close(made)
                os.rmdir(name, dir_fd=parent)  # half made, the next run would take it for right
                raise
            return made
        return os.open(name, _DIRECTORY, dir_fd=parent)
    finally:
        os.close(parent)


def _in_the_way(path: str, error: OSError) -> DockyardError:
    return DockyardError(
        f"{path}: cannot be made: {error.strerror}", hint="see what stands there, and who may write there"
    )


def empty_test_area(step: EmptyTestArea) -> None:
    """Remove all that is in a test area. Follows no link and enters no mount: either is an error before anything goes.

    Raises DockyardError.
    """
    mounted = [point for point in _mount_points() if f"{point}/".startswith(f"{os.path.realpath(step.path)}/")]
    if mounted:
        raise DockyardError(f"{mounted[0]}: mounted inside the test area", hint=f"umount {mounted[0]}")
    try:
        area = _open_area(step)
    except FileNotFoundError:
        return
    except OSError as error:
        raise DockyardError(f"{step.path}: {error.strerror}", hint="a test area is a directory, never a link") from None
    try:
        _empty(area)
    except OSError as error:
        raise DockyardError(f"{step.path}: cannot be emptied: {error.strerror}") from None
    finally:
        os.close(area)


def _open_area(step: EmptyTestArea) -> int:
    """Return a descriptor of the area; from the base on, no part of the way may be a link."""
    current = os.open(step.base, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in ("TMP", step.area):
        above = current
        try:
            current = os.open(part, _DIRECTORY, dir_fd=above)
        finally:
            os.close(above)
    return current


def _empty(area: int) -> None:
    """Remove all that is in a directory.

    What is two levels down is first moved up to the area itself: however deep a container nests its directories, this
    takes neither recursion nor more than two descriptors.
    """
    while directories := _remove_files(area):
        for name in directories:
            below = os.open(name, _DIRECTORY, dir_fd=area)
            try:
                for deeper in _remove_files(below):
                    os.rename(deeper, os.urandom(16).hex(), src_dir_fd=below, dst_dir_fd=area)
            finally:
                os.close(below)
            os.rmdir(name, dir_fd=area)


def _remove_files(directory: int) -> list[str]:
    """Remove all that is no directory, and return the names of those."""
    with os.scandir(directory) as entries:
        found = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in entries]
    for name, is_directory in found:
        if not is_directory:
            os.unlink(name, dir_fd=directory)
    return [name for name, is_directory in found if is_directory]


def _mount_points() -> list[str]:
    """Return where file systems are mounted, as /proc/self/mountinfo has it, its octal escapes undone."""
    with Path("/proc/self/mountinfo").open("rb") as lines:
        fields = [line.split()[4] for line in lines]
    return [os.fsdecode(field.decode("unicode_escape").encode("latin-1")) for field in fields]
