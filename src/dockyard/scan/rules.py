"""What is expected to change: rules that a person wrote, each as narrow as it says. Files of them: see rule_file.py."""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from operator import itemgetter
from typing import NamedTuple

from dockyard.scan.content import Content, is_program
from dockyard.scan.layer import DELETED, EDITED, METADATA, REPLACED, Change
from dockyard.scan.rule_file import default_file, load, load_all
from dockyard.settings.rule_pattern import read
from dockyard.settings.rule_type import KINDS, WHAT, Rule

__all__ = ["KINDS", "WHAT", "Expectations", "Rule", "covers", "default_file", "load", "load_all", "unexpected"]

SPECIAL = 0o7000  # setuid, setgid, sticky
EXECUTABLE = 0o111
CAPABILITY = "security.capability"
HELD = 20_000  # names of files with several names that wait until the others have been seen

Numbered = tuple[int, Change]
"""A change, and the how-manieth it is."""


def applies(rule: Rule, container: str, today: dt.date) -> bool:
    """Return whether a rule counts in a container on that day."""
    return (
        (rule.until is None or today <= rule.until)
        and (rule.only is None or container in rule.only)
        and any(fnmatchcase(container, pattern) for pattern in rule.containers)
    )


def covers(rule: Rule, container: str, change: Change, today: dt.date, content: Content | None = None) -> bool:
    """Return whether a change is expected, by this name of it and for itself alone.

    `content` is asked only where all else fits; without it no rule covers what it would have to be asked of.
    """
    return (
        applies(rule, container, today)
        and change.what in rule.what
        and change.kind in rule.kinds
        and _fits(rule, change, content)
    )


def _fits(rule: Rule, change: Change, content: Content | None) -> bool:
    return (
        (rule.owner is None or change.owner[0] == rule.owner)
        and (rule.group is None or change.owner[1] == rule.group)
        and (rule.max_size is None or change.size <= rule.max_size)
        and read(rule.path).matches(change.path)
        and (change.kind != "file" or change.what == DELETED or _is_harmless(rule, change, content))
    )


def gives_rights(change: Change) -> bool:
    """Return whether it is a file with setuid, setgid, sticky or capabilities."""
    return change.kind == "file" and bool(change.mode & SPECIAL or CAPABILITY in change.attributes)


def _is_harmless(rule: Rule, change: Change, content: Content | None) -> bool:
    if gives_rights(change) or (change.mode & EXECUTABLE and not rule.executable):
        return False
    asks_append = rule.append_only and change.what in {EDITED, REPLACED}
    asks_head = not rule.executable and change.what != METADATA  # then the content is the image's
    if not asks_append and not asks_head:
        return True
    if content is None:
        return False
    try:
        is_fit = not asks_head or not is_program(content.head(change))
        return is_fit and (not asks_append or content.is_appended(change))
    except OSError:
        return False


class _Candidate(NamedTuple):
    anchor: str
    rule: Rule


class Expectations:
    """The rules that count in one container, in one scan of it. `used` counts what each has covered."""

    def __init__(self, container: str, rules: Iterable[Rule], today: dt.date, content: Content | None = None) -> None:
        self.content = content
        self.used: Counter[Rule] = Counter()
        self._candidates: dict[tuple[str, str], list[_Candidate]] = {}
        counting = [rule for rule in rules if applies(rule, container, today)]
        # Those with a limit come last, so that they are used up only by what no other covers.
        for rule in sorted(counting, key=lambda rule: rule.max_count is not None):
            candidate = _Candidate(read(rule.path).anchor, rule)
            for what in rule.what:
                for kind in rule.kinds:
                    self._candidates.setdefault((what, kind), []).append(candidate)
        self._anchors = {
            key: tuple(dict.fromkeys(one.anchor for one in candidates)) for key, candidates in self._candidates.items()
        }

    def rule_for(self, change: Change) -> Rule | None:
        """Return the first rule that covers a change for itself alone."""
        path = change.path
        if not path.startswith(self._anchors.get((change.what, change.kind), ())):
            return None  # as most are, and one question of the lot is many times faster
        for anchor, rule in self._candidates.get((change.what, change.kind), ()):
            if path.startswith(anchor) and _fits(rule, change, self.content):
                return rule
        return None

    def told(self, changes: Iterable[Change]) -> Iterator[Change]:
        """Yield the changes that no rule covers, those that had to wait for others at the end.

        The content of a change is asked for before the next one is taken. One name of a file that is not covered takes
        all its names with it, and one entry more than a rule allows takes all that the rule covers.
        """
        if not self._candidates:  # then all are
            return iter(changes)
        return (change for _, change in self._told(changes))

    def in_order(self, changes: Iterable[Change]) -> list[Change]:
        """Return the same, each where it was."""
        return [change for _, change in sorted(self._told(changes), key=itemgetter(0))]

    def _told(self, changes: Iterable[Change]) -> Iterator[Numbered]:
        names = _Names()
        for numbered, is_covered in _limited(self._judged(changes)):
            yield from names.told(numbered, is_covered=is_covered)
        yield from names.unseen()

    def _judged(self, changes: Iterable[Change]) -> Iterator[tuple[Numbered, Rule | None]]:
        for number, change in enumerate(changes):
            rule = self.rule_for(change)
            if rule:
                self.used[rule] += 1
            yield (number, change), rule


def _limited(judged: Iterable[tuple[Numbered, Rule | None]]) -> Iterator[tuple[Numbered, bool]]:
    """Yield each change with whether it is covered; what has a limit waits until that is passed, or for the end."""
    waiting: dict[Rule, list[Numbered]] = {}
    passed: set[Rule] = set()
    for numbered, rule in judged:
        if rule is None or rule.max_count is None or rule in passed:
            yield numbered, rule is not None and rule not in passed
            continue
        held = waiting.setdefault(rule, [])
        held.append(numbered)
        if len(held) > rule.max_count:
            passed.add(rule)
            yield from ((one, False) for one in waiting.pop(rule))
    for held in waiting.values():
        yield from ((one, True) for one in held)


class _File:
    """A file with several names: how many were seen, those that are covered and wait, and whether one is not."""

    __slots__ = ("is_told", "seen", "waiting")

    def __init__(self) -> None:
        self.seen, self.is_told = 0, False
        self.waiting: list[Numbered] = []


class _Names:
    """All names of a file are expected, or all are told; with more of them than `HELD`, the rest is told."""

    def __init__(self) -> None:
        self._files: dict[tuple[int, int], _File] = {}
        self._held = 0

    def told(self, numbered: Numbered, *, is_covered: bool) -> Iterator[Numbered]:
        """Yield what is to be told after one more change."""
        change = numbered[1]
        if change.kind != "file" or change.links < 2 or change.what == DELETED:  # noqa: PLR2004 - names
            if not is_covered:
                yield numbered
            return
        file = self._files.get(change.inode)
        if file is None:
            if len(self._files) >= HELD:
                yield numbered
                return
            file = self._files[change.inode] = _File()
        file.seen += 1
        file.is_told |= not is_covered or self._held >= HELD
        if not file.is_told:
            file.waiting.append(numbered)
            self._held += 1
            return
        yield from self._released(file)
        yield numbered

    def unseen(self) -> Iterator[Numbered]:
        """Yield the names of files of which the walk did not show all: one may be anywhere, or not judged."""
        for file in self._files.values():
            if file.waiting and file.seen < file.waiting[0][1].links:
                yield from self._released(file)

    def _released(self, file: _File) -> list[Numbered]:
        waiting, file.waiting = file.waiting, []
        self._held -= len(waiting)
        return waiting


def unexpected(
    container: str, changes: Iterable[Change], rules: Iterable[Rule], today: dt.date, content: Content | None = None
) -> list[Change]:
    """Return the changes that no rule covers, in their order; see `Expectations` for how to have them one by one."""
    return Expectations(container, rules, today, content).in_order(changes)
