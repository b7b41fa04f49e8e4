"""Checks of valid rules: too broad, expired, unused, or without a responsible person."""

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase

from dockyard.errors import Problem
from dockyard.scan.rules import Rule
from dockyard.settings.rule_pattern import Pattern, read

SOON = dt.timedelta(days=30)
SYSTEM = ("/bin", "/boot", "/etc", "/lib", "/lib64", "/opt", "/root", "/sbin", "/usr", "/var/spool/cron")
"""Directories of programs and of their configuration."""


def lint(rules: Sequence[Rule], used: Mapping[Rule, int] | None, today: dt.date) -> list[Problem]:
    """Return what is wrong with rules, in their order; `used` says how many changes each covered in a scan, if known.

    A rule that is missing in `used` covered nothing.
    """
    problems = []
    for number, rule in enumerate(rules):
        found = [*_too_wide(rule), *_past(rule, today), *_unanswered(rule)]
        found += _shadowed(number, rules)
        if used is not None and not used.get(rule):
            found.append(("it covered nothing in this scan", "remove it if that stays so"))
        problems += [Problem(rule.where, f"`{rule.path}`: {message}", hint) for message, hint in found]
    return problems


def lines(problems: Iterable[Problem]) -> list[str]:
    """Return problems for a person, each hint indented beneath."""
    from dockyard.text import printable

    found = []
    for problem in problems:
        found.append(printable(f"{problem.where}: {problem.message}"))
        found += [f"  hint: {printable(problem.hint)}"] if problem.hint else []
    return found


def rows(problems: Iterable[Problem]) -> list[dict[str, str]]:
    """Return problems for a machine."""
    return [problem._asdict() for problem in problems]


Found = Iterator[tuple[str, str]]
"""Messages with their hints."""


def _too_wide(rule: Rule) -> Found:
    pattern = read(rule.path)
    if _is_top_level(pattern):
        yield "it covers a whole top-level directory, or all of them", "name the directory that changes"
    if rule.executable and pattern.is_wild:
        yield "it allows any program to be added there", "remove the wildcards or `executable`"
    if "device" in rule.kinds:
        yield "it allows new devices: one can give access to the host's disks", "remove `device`"
    if _is_everywhere(rule) and pattern.is_wild and _is_system(pattern):
        yield "it has wildcards in a system directory, for all containers", "name the containers"
    if rule.until is None and _is_wide(rule, pattern):
        yield "it is broad and never expires", "set `until` to a day"


def _is_top_level(pattern: Pattern) -> bool:
    return pattern.is_wild and (not pattern.literals or (pattern.literals == 1 and pattern.is_whole))


def _is_everywhere(rule: Rule) -> bool:
    return "*" in rule.containers and rule.only is None


def _is_system(pattern: Pattern) -> bool:
    return not pattern.literals or any(f"{pattern.anchor}/".startswith(f"{place}/") for place in SYSTEM)


def _is_wide(rule: Rule, pattern: Pattern) -> bool:
    return (
        "device" in rule.kinds
        or _is_top_level(pattern)
        or (pattern.is_wild and (rule.executable or (_is_everywhere(rule) and _is_system(pattern))))
    )


def _past(rule: Rule, today: dt.date) -> Found:
    if rule.until is None:
        return
    if rule.until < today:
        yield f"it expired after {rule.until}", "remove it, or review its reason"
    elif rule.until - today <= SOON:
        yield f"it expires after {rule.until}", "review its reason"


def _unanswered(rule: Rule) -> Found:
    if not rule.by.strip():
        yield "it does not say who is responsible for it", "set `by` to a name"


def _shadowed(number: int, rules: Sequence[Rule]) -> Found:
    """Yield which other rule covers everything that one covers; of two duplicates, the later is reported."""
    rule = rules[number]
    for place, other in enumerate(rules):
        if place != number and _includes(other, rule):
            if not _includes(rule, other):
                yield f"the rule at {other.where} covers all of it", "remove one of them"
                return
            if place < number:
                yield f"it is a duplicate of the rule at {other.where}", "remove one of them"
                return


def _includes(wide: Rule, narrow: Rule) -> bool:
    """Return whether one rule certainly covers everything that another covers; if in doubt, False."""
    return (
        set(narrow.what) <= set(wide.what)
        and set(narrow.kinds) <= set(wide.kinds)
        and (wide.executable or not narrow.executable)
        and (narrow.append_only or not wide.append_only)
        and (wide.only is None or (narrow.only is not None and narrow.only <= wide.only))
        and all(_is_same_or_any(getattr(wide, name), getattr(narrow, name)) for name in ("owner", "group", "max_count"))
        and _is_no_less(wide.max_size, narrow.max_size)
        and _is_no_less(wide.until, narrow.until)
        and all(_has_containers(wide, pattern) for pattern in narrow.containers)
        and _has_paths(read(wide.path), read(narrow.path), same=wide.path == narrow.path)
    )


def _is_same_or_any(wide: int | None, narrow: int | None) -> bool:
    return wide is None or wide == narrow


def _is_no_less(wide: int | dt.date | None, narrow: int | dt.date | None) -> bool:
    return wide is None or (narrow is not None and narrow <= wide)  # type: ignore[operator]


def _has_containers(wide: Rule, pattern: str) -> bool:
    is_name = not any(character in pattern for character in "*?[")
    return any(other in {"*", pattern} or (is_name and fnmatchcase(pattern, other)) for other in wide.containers)


def _has_paths(wide: Pattern, narrow: Pattern, *, same: bool) -> bool:
    if same or not narrow.is_wild:
        return same or wide.matches(narrow.anchor)
    is_all_below = wide.below and wide.literals == len(wide.components)
    return is_all_below and narrow.anchor.startswith(wide.anchor)
