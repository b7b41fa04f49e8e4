"""Names and texts from outside, made fit to print."""

from collections.abc import Iterable

NEAR = 0.6  # how alike two words are, from 0 to 1, before one is taken for the other misspelt


def printable(text: str) -> str:
    r"""Return the text with every character that could act on a terminal as an escape, newlines and tabs apart.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def escaped(name: str) -> str:
    r"""Return a file's name with every byte that could act on a terminal, or end a line, as `\xNN`.

    >>> escaped("a\nb\udcff\\")
    'a\\x0ab\\xff\\\\'
    """
    return "".join(c if c.isprintable() and c != "\\" else "\\\\" if c == "\\" else _bytes_of(c) for c in name)


def _bytes_of(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the nearest known word, of equals the first; an empty string where none is near."""
    from difflib import SequenceMatcher

    likeness = {other: SequenceMatcher(None, word, other).ratio() for other in known}
    nearest = max(likeness, key=lambda other: likeness[other], default="")
    return f"did you mean `{nearest}`?" if likeness.get(nearest, 0) >= NEAR else ""


def listed(words: Iterable[str]) -> str:
    """Return the words as people list them: `a, b and c`."""
    *first, last = list(words) or ["none"]
    return f"{', '.join(first)} and {last}" if first else last


def readable_size(space: float) -> str:
    """Return a number of bytes in the unit that suits it."""
    units = ["bytes", "KiB", "MiB", "GiB", "TiB"]
    while space >= 1024 and len(units) > 1:  # noqa: PLR2004 - what the units mean
        space /= 1024
        units.pop(0)
    return f"{space:.1f} {units[0]}" if units[0] != "bytes" else f"{space} bytes"
