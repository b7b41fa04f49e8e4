"""A surface in words. Pure."""

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

from dockyard.surface.difference import KINDS, Difference, listed
from dockyard.surface.surface import Surface
from dockyard.text import escaped

if TYPE_CHECKING:
    from dockyard.surface.trim import Trimmed

NAMED = 8  # of a kind that are named where there are more
_COUNTED = frozenset({"executables", "names"})


def size(count: int) -> str:
    """Return a number of bytes as people read it.

    >>> size(1982256)
    '2.0 MB'
    """
    amount, unit = float(count), "bytes"
    for larger in ("kB", "MB", "GB"):
        if amount < 1000:  # noqa: PLR2004
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.1f} {unit}" if unit != "bytes" else f"{count} bytes"


def surface_lines(surface: Surface) -> list[str]:
    """Return a surface, a kind of things a line."""
    elf, scripts = len(surface.elf), len(surface.scripts)
    programs = f"{elf + scripts}, {size(surface.executable_bytes)} ({elf} ELF, {_count(scripts, 'script')})"
    rows = {
        "files": f"{surface.files}, {size(surface.bytes)}",
        "executables": f"{programs}; {_count(len(surface.names), 'more name')} for them",
        **{what: _named(listed(surface, kind)) for kind, what in KINDS.items() if kind not in _COUNTED},
    }
    width = max(map(len, rows))
    return [f"  {what:<{width}}  {text}" for what, text in rows.items()]


def difference_lines(found: Iterable[Difference]) -> list[str]:
    """Return what came (`+`) and went (`-`), a kind a line."""
    lines = []
    for one in found:
        lines += [f"  + {KINDS[one.kind]}: {_named(one.came)}"] if one.came else []
        lines += [f"  - {KINDS[one.kind]}: {_named(one.went)}"] if one.went else []
    return lines or ["  no differences"]


def use_lines(surface: Surface, used: Mapping[str, Collection[str]]) -> list[str]:
    """Return what a Test used of the image, and which programs nobody needed."""
    unused = sorted(surface.executables.keys() - set(used["service"]))
    return [
        f"  opened by the service  {len(used['service'])} of {surface.files} files",
        f"  by its Test alone      {_named(used['test'])}",
        f"  programs not used      {_named(unused)}",
    ]


def trimmed_line(reference: str, done: "Trimmed") -> str:
    """Return what trimming did, in a line."""
    before, now = done.before, done.now
    return (
        f"{reference} is {done.image[:12]}, tested, trimmed from {done.whole[:12]}: "
        f"{before.files} → {now.files} files, {size(before.bytes)} → {size(now.bytes)}; "
        f"{len(before.executables)} → {len(now.executables)} executables, "
        f"{size(before.executable_bytes)} → {size(now.executable_bytes)}; "
        f"shells: {_named(now.shells)}"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _named(items: Collection[str]) -> str:
    shown = ", ".join(escaped(item) for item in sorted(items)[:NAMED])
    return f"{shown} and {len(items) - NAMED} more" if len(items) > NAMED else shown or "none"
