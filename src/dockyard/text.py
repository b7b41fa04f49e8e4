"""Names and texts from outside, made fit to print."""

from collections.abc import Iterable
from difflib import get_close_matches


def printable(text: str) -> str:
    r"""Return the text with every character that could act on a terminal as an escape, newlines and tabs apart.

    >>> printable("a\x1b[2Jb")
    'a\\x1b[2Jb'
    """
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the nearest known word, or an empty string where none is near."""
    near = get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean `{near[0]}`?" if near else ""


def listed(words: Iterable[str]) -> str:
    """Return the words as people list them: `a, b and c`."""
    *first, last = list(words) or ["none"]
    return f"{', '.join(first)} and {last}" if first else last
