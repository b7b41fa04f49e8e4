"""Proposes the narrowest rules that accept findings. A person must add a reason before they can be used."""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dockyard.scan.content import Content, is_program
from dockyard.scan.layer import DELETED, EDITED, METADATA, REPLACED, TOUCHED, Change
from dockyard.scan.lint import SYSTEM
from dockyard.scan.rules import EXECUTABLE, WHAT, gives_rights
from dockyard.settings.rule_pattern import PatternError, literal, read
from dockyard.text import escaped

if TYPE_CHECKING:
    from dockyard.service import Service

TOGETHER = 5  # from this many entries on, a directory gets one rule
LEAST = 4096  # bytes, the smallest limit that is proposed
MOST = 10_000  # entries, the maximum of `max_count`


class _Traits(NamedTuple):
    """The common properties of the changes of one rule."""

    parent: str
    what: str
    kind: str
    owner: tuple[int, int]
    executable: bool
    appended: bool


def suggest(
    container: str, changes: Iterable[Change], service: "Service | None" = None, content: Content | None = None
) -> list[str]:
    """Return rules as YAML list items, or comments if none can be proposed; each ends in a line break.

    With a service they are for the `cowscan` key of its settings, else for a file of rules. Without `content`, a file
    that is a program only by its first bytes gets a rule that does not cover it. The reason is empty: such a rule is
    invalid until somebody writes one.
    """
    refused: list[str] = []
    groups: dict[_Traits, list[Change]] = {}
    for change in changes:
        reason = _why_none(change)
        if reason:
            refused.append(f"# {escaped(change.path)}: {reason}\n")
        else:
            groups.setdefault(_traits(change, content), []).append(change)
    names = [] if service else [container]
    rules = [_written(traits, part, names) for traits, all_ in groups.items() for part in _parts(traits, all_)]
    return [*rules, *refused]


def _why_none(change: Change) -> str:
    """Return why no rule is proposed for a change; empty if one is."""
    if change.what not in WHAT:
        return "it is identical to the image and needs no rule" if change.what == TOUCHED else "no rule can cover that"
    if change.kind == "device":
        return "no rule is proposed for a device"
    if change.what != DELETED and gives_rights(change):
        return "it gives privileges to any user who runs it: no rule can cover that"
    try:
        read(literal(change.path))
    except PatternError:
        return "its path cannot be written in a rule"
    return ""


def _traits(change: Change, content: Content | None) -> _Traits:
    has_content = change.kind == "file" and change.what not in {DELETED, METADATA}
    runs = has_content and content is not None and _is_true(lambda: is_program(content.head(change)))
    grows = change.kind == "file" and change.what in {EDITED, REPLACED}
    return _Traits(
        change.path.rpartition("/")[0],
        change.what,
        change.kind,
        change.owner,
        runs or (change.kind == "file" and change.what != DELETED and bool(change.mode & EXECUTABLE)),
        grows and content is not None and _is_true(lambda: content.is_appended(change)),
    )


def _is_true(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:
        return False


def _parts(traits: _Traits, changes: list[Change]) -> list[list[Change]]:
    """Return the changes by rule: programs are never grouped, nor entries for which a wildcard would be too broad."""
    is_near_the_top = traits.parent.count("/") < 2  # noqa: PLR2004 - as /var/*
    is_system = any(f"{traits.parent}/".startswith(f"{place}/") for place in SYSTEM)
    if len(changes) < TOGETHER or traits.executable or is_near_the_top or is_system:
        return [[change] for change in changes]
    return [changes]


def _written(traits: _Traits, changes: Sequence[Change], containers: Sequence[str]) -> str:
    is_many = len(changes) > 1
    keys = {"path": _quoted(_pattern(traits, changes)), "reason": "''"}
    if containers:
        keys["containers"] = f"[{', '.join(map(_quoted, containers))}]"
    keys |= {"what": f"[{traits.what}]", "kinds": f"[{traits.kind}]"}
    keys |= {"owner": str(traits.owner[0]), "group": str(traits.owner[1])}
    if traits.executable:
        keys["executable"] = "true"
    if traits.appended:
        keys["append_only"] = "true"
    if traits.kind == "file" and traits.what != DELETED:
        keys["max_size"] = str(_rounded(max(change.size for change in changes), LEAST))
    if is_many and len(changes) <= MOST:
        keys["max_count"] = str(min(_rounded(len(changes), TOGETHER), MOST))
    text = "".join(f"  {name}: {value}\n" for name, value in keys.items())
    names = "  # it has other hard links: each needs a rule\n" if any(change.links > 1 for change in changes) else ""
    return f"- {text[2:]}{names if traits.kind == 'file' and traits.what != DELETED else ''}"


def _pattern(traits: _Traits, changes: Sequence[Change]) -> str:
    names = [change.path.rpartition("/")[2] for change in changes]
    if len(names) == 1:
        return literal(changes[0].path)
    first = os.path.commonprefix(names)  # noqa: RUF071 - of names, no paths
    rest = [name[len(first) :] for name in names]
    last = os.path.commonprefix([name[::-1] for name in rest])[::-1]  # noqa: RUF071 - as above
    return f"{literal(traits.parent)}/{literal(first)}*{literal(last)}"


def _rounded(number: int, least: int) -> int:
    """Return the next power of two, or `least` if that is more."""
    return max(least, 1 << max(number - 1, 0).bit_length())


def _quoted(text: str) -> str:
    """Return a printable text, quoted as in YAML."""
    return "'" + text.replace("'", "''") + "'"
