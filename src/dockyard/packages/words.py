"""What differs between two images, in words. Pure."""

from collections import defaultdict
from collections.abc import Iterable
from typing import TYPE_CHECKING

from dockyard.packages.package import PackageChange
from dockyard.text import escaped, listed

if TYPE_CHECKING:
    from dockyard.packages.compare import ImageDifference

MAX_NAMED = 5
_MINOR = ("lib", "fonts-", "python3-lib")
_MINOR_ENDS = ("-data", "-doc", "-common", "-dev", "-dbg", "-locale", "-minimal")


def describe_difference(found: "ImageDifference") -> str:
    """Return what differs, such as `openssl 3.0.15 → 3.0.17, 2 files`; empty if nothing does."""
    parts = [describe_changes(found.packages)] if found.packages else []
    if found.files:
        parts.append(f"{found.files} file{'' if found.files == 1 else 's'}")
    if found.configuration:
        parts.append("its configuration")
    return ", ".join(parts)


def describe_changes(changes: Iterable[PackageChange], most: int = MAX_NAMED) -> str:
    """Return package changes as words, the important ones first, and how many more there are.

    Packages that change from the same version to the same version are mostly one source's: they are named together.

    >>> describe_changes([PackageChange("libssl3", "1", "2"), PackageChange("openssl", "1", "2")])
    'openssl and libssl3 1 → 2'
    """
    groups: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for change in sorted(changes, key=_rank):
        groups[change.before, change.after].append(change.name)
    named = [_group(names, *versions) for versions, names in list(groups.items())[:most]]
    left = sum(len(names) for names in list(groups.values())[most:])
    return ", ".join(named) + (f" and {left} more" if left else "")


def _rank(change: PackageChange) -> tuple[bool, bool, bool, str]:
    """Return what to sort by: new versions first, then what is gone, then what is new; programs before libraries."""
    is_minor = change.name.startswith(_MINOR) or change.name.endswith(_MINOR_ENDS)
    return (not change.before, not change.after, is_minor, change.name)


def _group(names: list[str], before: str, after: str) -> str:
    if len(names) > 2 and before and after:  # noqa: PLR2004 - two are as short as the number of the others
        text = f"{escaped(names[0])} and {len(names) - 1} others"
    else:
        text = listed(map(escaped, names))
    if not before:
        return f"{text} {escaped(after)} (new)"
    return f"{text} {escaped(before)} → {escaped(after)}" if after else f"{text} {escaped(before)} (removed)"
