"""Which packages an image has: read from the databases that package managers leave in its files."""

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dockyard.errors import DockyardError
from dockyard.packages.apk import parse_installed
from dockyard.packages.dpkg import parse_status
from dockyard.packages.package import DamagedError, Package, PackageChange, name_packages, package_changes
from dockyard.surface.way import way
from dockyard.text import escaped

if TYPE_CHECKING:
    from dockyard.surface.tree import Files, Tree

MAX_TEXT_BYTES = 64 * 1024 * 1024
MAX_DATABASE_BYTES = 512 * 1024 * 1024
MAX_STATUS_FILES = 10_000


class PackageList(NamedTuple):
    """The packages of an image by name, from which databases they are, and why some cannot be read, fit to print."""

    packages: dict[str, Package]
    databases: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def has_database_in(self, directory: str) -> bool:
        """Return whether a database in a directory was read; its path ends in `/`."""
        return any(path.startswith(directory) for path in self.databases)


def list_changes(before: PackageList, after: PackageList) -> tuple[PackageChange, ...]:
    """Return what changes between two lists; nothing if only one image has one: a trimmed one may have lost it."""
    return package_changes(before.packages, after.packages) if before.databases and after.databases else ()


Parse = Callable[["Files", str], list[Package]]


def read_packages(tree: "Tree", files: "Files") -> PackageList:
    """Return the packages of an image. A database that cannot be read is a note, whatever is in it."""
    packages: list[Package] = []
    databases, notes = [], []
    for path, parse in _databases(tree).items():
        try:
            packages += parse(files, path)
            databases.append(path)
        except (DamagedError, DockyardError, OSError) as error:
            reason = error.strerror or "it is not a file" if isinstance(error, OSError) else str(error)
            notes.append(escaped(f"the package database {path} cannot be read: {reason}"))
    try:
        return PackageList(name_packages(packages), tuple(databases), tuple(notes))
    except DamagedError as error:
        return PackageList({}, (), (*notes, f"the packages cannot be read: {error}"))


def _databases(tree: "Tree") -> dict[str, Parse]:
    """Return the databases that an image has, by their paths without links, and what reads each."""
    found: dict[str, Parse] = {}
    for path, parse in _PARSERS.items():
        end = way(tree, path).end
        if end in tree and not tree[end].is_directory:
            found.setdefault(end, parse)
    above = f"{way(tree, '/var/lib/dpkg/status.d').end}/"
    parts = sorted(path for path in tree if path.startswith(above) and not path.endswith(".md5sums"))
    for path in parts[:MAX_STATUS_FILES] if above != "/" else ():
        if tree[path].is_file:
            found.setdefault(path, _parse_dpkg)
    return found


def _read_whole(files: "Files", path: str, most: int) -> bytes:
    data = files.read(path, most + 1)
    if len(data) > most:
        raise DamagedError(f"it is larger than {most >> 20} MiB")
    return data


def _parse_dpkg(files: "Files", path: str) -> list[Package]:
    return parse_status(_read_whole(files, path, MAX_TEXT_BYTES))


def _parse_apk(files: "Files", path: str) -> list[Package]:
    return parse_installed(_read_whole(files, path, MAX_TEXT_BYTES))


def _parse_rpm(files: "Files", path: str) -> list[Package]:
    """Read a private copy: SQLite opens files by name, and those beside them."""
    from dockyard.layers.copies import private_directory
    from dockyard.packages.rpm import read_sqlite

    with private_directory() as place:
        copy = place / "rpmdb.sqlite"
        _copy(files, path, copy)
        with suppress(FileNotFoundError):  # what was written last, and is not in the file yet
            _copy(files, f"{path}-wal", Path(f"{copy}-wal"))
        return read_sqlite(copy)


def _copy(files: "Files", path: str, target: Path) -> None:
    from dockyard.copying.data import copy_data

    with files.opened(path) as descriptor, target.open("xb") as file:
        size = os.fstat(descriptor).st_size
        if size > MAX_DATABASE_BYTES:
            raise DamagedError(f"it is larger than {MAX_DATABASE_BYTES >> 20} MiB")
        copy_data(descriptor, file.fileno(), size, lambda _: None)


def _parse_ndb(files: "Files", path: str) -> list[Package]:
    from dockyard.packages.rpm import read_ndb

    with files.opened(path) as descriptor:
        return read_ndb(lambda size, place: os.pread(descriptor, size, place))


def _refuse_old_format(_files: "Files", path: str) -> list[Package]:
    raise DamagedError(f"`{path.rpartition('/')[2]}` is a Berkeley DB, the format of rpm before 4.16")


RPM_DIRECTORIES = ("/var/lib/rpm/", "/usr/lib/sysimage/rpm/", "/usr/share/rpm/")
"""Where rpm keeps its database: it holds the time of each installation, and so is compared by its packages."""
DATABASE_DIRECTORIES = ("/var/lib/dpkg/", "/lib/apk/db/", "/usr/lib/apk/db/", *RPM_DIRECTORIES)
_PARSERS: dict[str, Parse] = {
    "/var/lib/dpkg/status": _parse_dpkg,
    "/lib/apk/db/installed": _parse_apk,
    "/usr/lib/apk/db/installed": _parse_apk,
    **{
        f"{directory}{name}": parse
        for directory in RPM_DIRECTORIES
        for name, parse in (
            ("rpmdb.sqlite", _parse_rpm),
            ("Packages.db", _parse_ndb),
            ("Packages", _refuse_old_format),
        )
    },
}
"""Where each package manager keeps its list, and what reads it."""
