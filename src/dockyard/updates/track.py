"""Which versions of an image a service follows: `^16`, `~3.12`, `>=1.2 <2`, any, a pattern, or only its own tag."""

import operator
import re
from collections.abc import Callable
from typing import NamedTuple

from dockyard.updates.tag_pattern import PatternError, TagPattern
from dockyard.updates.version import Version

SAME_TAG = "tag"
"""What `track` says if only the tag itself is followed; the default."""

ANY = "any"
"""What `track` says if all versions are followed; `*` is the same, but YAML wants it in quotes."""

_NUMBER = r"v?(\d{1,18}(?:\.\d{1,18}){0,7})"
PATTERN = rf"\s*(?:{SAME_TAG}|{ANY}|\*|/.+/|[~^]{_NUMBER}|(?:(?:>=|<=|>|<|=)\s*{_NUMBER}[\s,]*)+)\s*"
"""What a text that says what to follow looks like."""
_CARET = re.compile(rf"\^{_NUMBER}", re.ASCII)
_TILDE = re.compile(rf"~{_NUMBER}", re.ASCII)
_COMPARISON = re.compile(rf"(>=|<=|>|<|=)\s*{_NUMBER}", re.ASCII)
_COMPARE: dict[str, Callable[["Numbers", "Numbers"], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "=": operator.eq,
}

Numbers = tuple[int, ...]


class TrackError(ValueError):
    """A text that does not say which versions to follow."""


class Limit(NamedTuple):
    """One comparison that a version must pass."""

    operator: str
    numbers: Numbers

    def allows(self, numbers: Numbers) -> bool:
        """Return whether numbers pass; parts that one side does not have count as 0."""
        length = max(len(numbers), len(self.numbers))
        return bool(_COMPARE[self.operator](_pad_numbers(numbers, length), _pad_numbers(self.numbers, length)))


class Track(NamedTuple):
    """The versions that are followed: those within all limits, or those whose tags match a pattern.

    `text` is how it is written.
    """

    text: str = SAME_TAG
    limits: tuple[Limit, ...] = ()
    pattern: TagPattern | None = None

    @property
    def is_same_tag(self) -> bool:
        """Whether only the tag itself is followed, so that a registry's list of tags is not needed."""
        return self.text == SAME_TAG

    def includes(self, current: Version, version: Version) -> bool:
        """Return whether a version may replace the current one, of whose family it is.

        Only a pattern can allow that the number of the variant changes, as from `-alpine3.20` to `-alpine3.21`.
        """
        if self.is_same_tag:
            return False
        if self.pattern:
            return self.pattern.is_match(version.tag)
        return version.variants == current.variants and all(limit.allows(version.numbers) for limit in self.limits)


def parse_track(text: str) -> Track:
    """Return what a text says to follow. Raises TrackError."""
    wanted = text.strip()
    if wanted in {"", SAME_TAG}:
        return Track()
    if wanted.startswith("/"):
        return Track(wanted, (), _pattern(wanted))
    return Track(ANY) if wanted in {ANY, "*"} else Track(wanted, _limits(wanted))


def _pattern(text: str) -> TagPattern:
    if len(text) < 3 or not text.endswith("/"):  # noqa: PLR2004 - two slashes and what is between them
        raise TrackError("a pattern must be between two slashes")
    try:
        return TagPattern(text[1:-1])
    except PatternError as error:
        raise TrackError(str(error)) from None


def _limits(text: str) -> tuple[Limit, ...]:
    if found := _CARET.fullmatch(text):
        return _up_to_first_change(found[1])
    if found := _TILDE.fullmatch(text):
        return _within(found[1], 2)
    if re.fullmatch(rf"(?:{_COMPARISON.pattern}[\s,]*)+", text, re.ASCII):
        return tuple(Limit(sign, _numbers(number)) for sign, number in _COMPARISON.findall(text))
    raise TrackError(f"`{text}` is not a range")


def _up_to_first_change(number: str) -> tuple[Limit, ...]:
    """Return the limits of `^`: before the next major version; of 0.5 before 0.6, as there everything may change."""
    leading = next((place for place, part in enumerate(_numbers(number)) if part), len(_numbers(number)) - 1)
    return _within(number, leading + 1)


def _within(number: str, parts: int) -> tuple[Limit, ...]:
    """Return the limits of what is not older and has the same first parts."""
    numbers = _numbers(number)
    same = numbers[:parts]
    return (Limit(">=", numbers), Limit("<", (*same[:-1], same[-1] + 1)))


def _numbers(text: str) -> Numbers:
    return tuple(int(part) for part in text.split("."))


def _pad_numbers(numbers: Numbers, length: int) -> Numbers:
    return numbers + (0,) * (length - len(numbers))
