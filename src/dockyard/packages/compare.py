"""How the content of two images differs: in packages, in files, and in how their containers run."""

from typing import TYPE_CHECKING, NamedTuple

from dockyard.packages.package import PackageChange
from dockyard.packages.reading import (
    DATABASE_DIRECTORIES,
    RPM_DIRECTORIES,
    PackageList,
    list_changes,
    read_packages,
)
from dockyard.surface.same import Side, differing_paths, opened_sides, paths_to_report

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine
    from dockyard.engine.models import Image


class ImageDifference(NamedTuple):
    """What differs between two images; `files` are counted, apart from the lists of packages if these differ anyway.

    `configuration`: their containers run in another way, such as with another command. `notes` say what could not be
    compared.
    """

    packages: tuple[PackageChange, ...] = ()
    files: int = 0
    configuration: bool = False
    notes: tuple[str, ...] = ()

    @property
    def is_equal(self) -> bool:
        """Whether both have the same content."""
        return not (self.packages or self.files or self.configuration)


class _Sides(NamedTuple):
    """Two images, and the packages of each."""

    before: Side
    after: Side
    lists: tuple[PackageList, PackageList]

    @property
    def without(self) -> tuple[str, ...]:
        """The directories of databases that say nothing but when, beyond the packages that were read from them."""
        return tuple(place for place in RPM_DIRECTORIES if all(one.has_database_in(place) for one in self.lists))

    @property
    def packages(self) -> tuple[PackageChange, ...]:
        """The packages that differ."""
        return list_changes(*self.lists)


def has_same_files(engine: "Engine", one: "Image", other: "Image") -> bool:
    """Return whether two images have the same content, without counting what differs.

    Raises DockyardError if the files of one of them cannot be read.
    """
    if one.equals(other):
        return True
    if _has_other_configuration(one, other):
        return False
    with opened_sides(engine, one, other) as opened:
        sides = _with_packages(*opened)
        return not sides.packages and not any(differing_paths(sides.before, sides.after, sides.without))


def compare_images(engine: "Engine", before: "Image", after: "Image") -> ImageDifference:
    """Return how two images differ. Raises DockyardError if the files of one of them cannot be read."""
    if before.equals(after):
        return ImageDifference()
    with opened_sides(engine, before, after) as opened:
        sides = _with_packages(*opened)
        without = DATABASE_DIRECTORIES if sides.packages else sides.without
        paths = paths_to_report(differing_paths(sides.before, sides.after, without), *(side.tree for side in opened))
        notes = tuple(dict.fromkeys(note for one in sides.lists for note in one.notes))
        return ImageDifference(sides.packages, len(paths), _has_other_configuration(before, after), notes)


def compare_packages(engine: "Engine", before: "Image", after: "Image") -> tuple[PackageChange, ...]:
    """Return the packages in which two images differ. Raises DockyardError if their files cannot be read."""
    with opened_sides(engine, before, after) as opened:
        return _with_packages(*opened).packages


def _with_packages(before: Side, after: Side) -> _Sides:
    return _Sides(before, after, (read_packages(*before), read_packages(*after)))


def _has_other_configuration(one: "Image", other: "Image") -> bool:
    return not one.configuration or one.configuration != other.configuration
