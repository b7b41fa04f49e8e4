"""Secrets in texts: every value that dockyard resolved is replaced by `***`, however a program has encoded it.

`known` has the values that this process has resolved or found in containers. A text is masked on its way out: where it
is printed, stored or sent. What is too short or too common to be a secret is left alone, as is what a container reads
from files or computes itself: of that, dockyard knows nothing.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from typing import NamedTuple

MASK = "***"
MIN_CHARACTERS = 4
MIN_DIGITS = 6  # of a number: a shorter one is a port, a year, a count
MAX_HELD = 64 * 1024  # characters of a line without an end that a stream keeps back

COMMON = frozenset(
    [
        "true",
        "false",
        "none",
        "null",
        "auto",
        "default",
        "localhost",
        "root",
        "admin",
        "user",
        "test",
        "prod",
        "production",
        "info",
        "debug",
        "warning",
        "error",
        "password",
        "secret",
        "enabled",
        "disabled",
    ]
)
"""Values that are not masked, in lower case: logs are full of them, and none of them is a secret."""

_WRAPPED_LINE = re.compile(r"[\w+/=-]{48,}[ \t]*\r?\n", re.ASCII)
"""A line that may continue in the next one, as base64 and hexadecimal digits do."""
_LINE_END = re.compile(r"[ \t]*(?:\\n|\r?\n)[ \t]*")
"""Where lines of digits are divided, also within JSON."""
_IN_BASE64 = re.compile(r"[\w+/-]", re.ASCII)


class _Needles(NamedTuple):
    """What to look for: texts as they are; parts of base64, whose neighbours hold more bits; digits that may wrap."""

    plain: tuple[str, ...]
    base64: tuple[str, ...]
    digits: tuple[str, ...]


class Masker:
    """Knows values, and masks them in texts."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values: set[str] = set()
        self._needles: _Needles | None = None
        self.learn(values)

    def learn(self, values: Iterable[str]) -> None:
        """Mask these values from now on, and each line of them alone."""
        lines = (line.strip() for value in values for line in (value, *value.splitlines()))
        new = {line for line in lines if is_masked(line)} - self._values
        if new:
            self._values |= new
            self._needles = None

    def __bool__(self) -> bool:
        return bool(self._values)

    def hide(self, text: str) -> str:
        """Return a text without the values."""
        return _hide(text, self.spans(text)) if self._values else text

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return where in a text the values are, in order, none of them overlapping."""
        if not self._values:
            return []
        self._needles = self._needles or _needles_of(self._values)
        return _merge(_find(text, self._needles))

    def stream(self) -> "Stream":
        """Return what masks a text that comes in parts."""
        return Stream(self)


class Stream:
    """Masks a text that comes in parts, which may divide a value: whole lines are passed on, the last one is held."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._held = ""

    def write(self, text: str) -> str:
        """Take the next part, and return what can be passed on by now."""
        if not (self._masker or self._held):
            return text
        self._held += text
        cut = max(self._held.rfind("\n"), self._held.rfind("\r")) + 1
        if len(self._held) < MAX_HELD:
            cut = _before_wrapped_lines(self._held, cut)
        elif not cut:
            cut = len(self._held) // 2
        spans = self._masker.spans(self._held)
        cut = next((begin for begin, end in spans if begin < cut < end), cut)
        passed, self._held = self._held[:cut], self._held[cut:]
        return _hide(passed, [span for span in spans if span[1] <= cut])

    def end(self) -> str:
        """Return what was held."""
        held, self._held = self._held, ""
        return self._masker.hide(held)


known = Masker()
"""The values of this process: learned where secrets are resolved, and where a container that has some is inspected."""


def is_masked(value: str) -> bool:
    """Return whether a value is masked: neither too short nor too common."""
    if len(value) < MIN_CHARACTERS or value.casefold() in COMMON:
        return False
    return not (value.isdigit() and len(value) < MIN_DIGITS)


def _before_wrapped_lines(text: str, cut: int) -> int:
    """Return where the lines begin, of those before the cut, that may continue after it."""
    while cut:
        begin = text.rfind("\n", 0, cut - 1) + 1
        if not _WRAPPED_LINE.fullmatch(text[begin:cut].rpartition(" ")[2]):
            break
        cut = begin
    return cut


def _find(text: str, needles: _Needles) -> Iterator[tuple[int, int]]:
    for needle in needles.plain:
        yield from _places(text, needle)
    for needle in needles.base64:
        for begin, end in _places(text, needle):
            yield _with_neighbours(text, begin, end)
    if _WRAPPED_LINE.search(text):
        yield from _find_in_wrapped(text, needles.digits)


def _find_in_wrapped(text: str, needles: tuple[str, ...]) -> Iterator[tuple[int, int]]:
    """Yield where digits are that lines of them divide."""
    parts, starts, offsets = [], [0], [0]
    end = length = 0
    for gap in _LINE_END.finditer(text):
        parts.append(text[end : gap.start()])
        length += gap.start() - end
        end = gap.end()
        starts.append(length)
        offsets.append(end - length)
    unwrapped = "".join([*parts, text[end:]])

    def original(place: int) -> int:
        return place + offsets[bisect_right(starts, place) - 1]

    for needle in needles:
        for first, after in _places(unwrapped, needle):
            yield _with_neighbours(text, original(first), original(after - 1) + 1)


def _places(text: str, needle: str) -> Iterator[tuple[int, int]]:
    begin = text.find(needle)
    while begin >= 0:
        yield begin, begin + len(needle)
        begin = text.find(needle, begin + 1)


def _with_neighbours(text: str, begin: int, end: int) -> tuple[int, int]:
    """Return the place with the digit before and after it, which share a byte of the value with others."""
    if begin and _IN_BASE64.match(text[begin - 1]):
        begin -= 1
    if end < len(text) and _IN_BASE64.match(text[end]):
        end += 1
    return begin, end


def _merge(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if merged and begin < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def _hide(text: str, spans: list[tuple[int, int]]) -> str:
    parts, last = [], 0
    for begin, end in spans:
        parts += [text[last:begin], MASK]
        last = end
    return "".join([*parts, text[last:]])


# ---------------------------------------------------------------------------------------------------------- encodings
def _needles_of(values: Iterable[str]) -> _Needles:
    plain, base64, hexadecimal = set[str](), set[str](), set[str]()
    for value in values:
        data = value.encode("utf-8", "surrogateescape")
        plain |= {value, *_quoted_forms(value), *_percent(data), *_hexadecimal(data)}
        base64 |= set(_base64(data))
        hexadecimal |= {data.hex(), data.hex().upper()}
    return _Needles(_long_enough(plain), _long_enough(base64), _long_enough(base64 | hexadecimal))


def _long_enough(needles: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted(needle for needle in needles if len(needle) >= MIN_CHARACTERS))


def _quoted_forms(value: str) -> Iterator[str]:
    """Yield a value as JSON, Python, HTML and shells quote it, without the quotes around it."""
    import html
    import json

    for ascii_only in (True, False):
        quoted = json.dumps(value, ensure_ascii=ascii_only)
        yield from (quoted[1:-1], quoted[1:-1].replace("/", "\\/"), json.dumps(quoted, ensure_ascii=ascii_only)[3:-3])
    yield repr(value)[1:-1]
    yield from (html.escape(value), html.escape(value).replace("&#x27;", "&#39;"))
    yield from (value.replace("'", within) for within in ("'\\''", "'\"'\"'", "\\'"))
    yield re.sub(r'(["\\$`])', r"\\\1", value)
    yield re.sub(r"([^\w@%+=:,./-])", r"\\\1", value)


def _percent(data: bytes) -> Iterator[str]:
    """Yield data as parts of URLs, with the characters left alone that one encoder or another leaves alone."""
    from urllib.parse import quote, quote_plus

    for left_alone in ("", "/", "!*'()", ":/@", "!$&'()*+,;=:@", "!#$&'()*+,/:;=?@"):
        once = quote(data, safe=left_alone)
        for text in (once, once.replace("~", "%7E"), quote(once, safe=""), quote_plus(data, safe=left_alone)):
            yield from (text, re.sub(r"%[0-9A-F]{2}", lambda found: found[0].lower(), text))
    yield from ("".join(f"%{byte:02X}" for byte in data), "".join(f"%{byte:02x}" for byte in data))


def _hexadecimal(data: bytes) -> Iterator[str]:
    for digits in (data.hex(), data.hex(":"), data.hex(" "), "".join(f"\\x{byte:02x}" for byte in data)):
        yield from (digits, digits.upper())


def _base64(data: bytes) -> Iterator[str]:
    """Yield the digits that are the data's alone, wherever in encoded bytes it begins: after 0, 1 or 2 of three."""
    from base64 import b64encode

    for before in range(3):
        digits = b64encode(bytes(before) + data).decode("ascii")
        first, last = -(-8 * before // 6), 8 * (before + len(data)) // 6
        core = digits[first:last]
        yield from (core, core.replace("+", "-").replace("/", "_"))
