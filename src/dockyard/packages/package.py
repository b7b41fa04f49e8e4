"""Packages of an image, and what changes between two lists of them. Pure."""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import NamedTuple

MAX_PACKAGES = 100_000
_WORD = re.compile(r"[!-~]{1,255}")
_ANY_ARCHITECTURE = frozenset({"all", "noarch", "(none)", ""})


class DamagedError(Exception):
    """A package database is not what its package manager writes; the text says in what."""


class Package(NamedTuple):
    """An installed package. `version` is the whole version, as its package manager prints it."""

    name: str
    version: str
    architecture: str = ""


class PackageChange(NamedTuple):
    """A package that differs between two images: an empty `before` is a new one, an empty `after` one that is gone."""

    name: str
    before: str
    after: str


def checked_package(name: str, version: str, architecture: str) -> Package:
    """Return a package of these words. Raises DamagedError if they cannot be those of a package."""
    for word in (name, version, architecture or "all"):
        if not _WORD.fullmatch(word):
            raise DamagedError("the name, version or architecture of a package is not a short word of ASCII")
    return Package(name, version, architecture)


def name_packages(packages: Iterable[Package]) -> dict[str, Package]:
    """Return packages by name; one of another architecture than most has the name `NAME:ARCHITECTURE`.

    Several versions of one package, as rpm allows, are one package whose version lists them.
    Raises DamagedError if there are too many.
    """
    packages = list(packages)
    if len(packages) > MAX_PACKAGES:
        raise DamagedError(f"it has more than {MAX_PACKAGES} packages")
    counts = Counter(one.architecture for one in packages if one.architecture not in _ANY_ARCHITECTURE)
    usual = {*_ANY_ARCHITECTURE, *(architecture for architecture, _ in counts.most_common(1))}
    groups: defaultdict[str, list[Package]] = defaultdict(list)
    for one in packages:
        groups[one.name if one.architecture in usual else f"{one.name}:{one.architecture}"].append(one)
    return {
        name: group[0]._replace(version=", ".join(sorted({one.version for one in group})))
        for name, group in sorted(groups.items())
    }


def package_changes(before: Mapping[str, Package], after: Mapping[str, Package]) -> tuple[PackageChange, ...]:
    """Return what changes from one list of packages to another, by name."""
    nothing = Package("", "")
    found = (
        PackageChange(name, before.get(name, nothing).version, after.get(name, nothing).version)
        for name in sorted(before.keys() | after.keys())
    )
    return tuple(change for change in found if change.before != change.after)
