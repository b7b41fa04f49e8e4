"""The instructions of a Dockerfile: lines joined, comments dropped, here-documents attached, as BuildKit does it."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from dockyard.dockerfile_words import WordError, expand_word, split_words

_BYTE_ORDER_MARK = "\N{ZERO WIDTH NO-BREAK SPACE}"
_DIRECTIVE = re.compile(r"#\s*([a-zA-Z][a-zA-Z0-9]*)\s*=\s*(.+?)\s*")
_DOCUMENT = re.compile(r"\d*<<(-?)([^<]+)")
_TAKES_DOCUMENTS = re.compile(r"(onbuild\s+)?(add|copy|run)\s+(?!\[)", re.IGNORECASE)


class Instruction(NamedTuple):
    """One instruction, its lines joined, with the here-documents that it holds; `line` counts from 1."""

    name: str
    value: str
    line: int


class _Document(NamedTuple):
    """A here-document that a line announces: the word that ends it, and whether tabs may stand before that word."""

    end: str
    may_indent: bool


def instructions(text: str) -> tuple[Instruction, ...]:
    """Return all instructions, in order."""
    lines = [line.rstrip("\r") for line in text.removeprefix(_BYTE_ORDER_MARK).split("\n")]
    escape = escape_character(text)
    found: list[Instruction] = []
    number = 0
    while number < len(lines):
        begin = number
        line, number = _joined(lines, number, escape)
        contents, number = _documents_below(line, lines, number)
        if line:
            name, _, value = "\t".join(line.split(maxsplit=1)).partition("\t")
            found.append(Instruction(name.upper(), "\n".join([value.strip(), *contents]), begin + 1))
    return tuple(found)


def escape_character(text: str) -> str:
    r"""Return what continues a line: a backslash, or what the directive `# escape=` names.

    Directives are the comments at the top that look like one; the first line of another kind ends them.
    """
    for line in text.removeprefix(_BYTE_ORDER_MARK).split("\n"):
        directive = _DIRECTIVE.fullmatch(line.strip())
        if not directive and not line.startswith("#!"):
            break
        if directive and directive[1].lower() == "escape" and directive[2] in {"\\", "`"}:
            return directive[2]
    return "\\"


def _joined(lines: list[str], number: int, escape: str) -> tuple[str, int]:
    """Return the line at a number with those that continue it, empty for a comment, and the number of the next one."""
    line, number = lines[number].lstrip(), number + 1
    if line.startswith("#"):
        return "", number
    joined, is_continued = _without_continuation(line, escape)
    while is_continued and number < len(lines):
        line, number = lines[number], number + 1
        if line.strip() and not line.lstrip().startswith("#"):
            part, is_continued = _without_continuation(line, escape)
            joined += part
    return joined.strip(), number


def _without_continuation(line: str, escape: str) -> tuple[str, bool]:
    """Return a line without the escape at its end, and whether there was one; two of them continue nothing."""
    bare = line.rstrip(" \t")
    is_continued = bare.endswith(escape) and not bare.endswith(escape * 2)
    return (bare[:-1], True) if is_continued else (line, False)


def _documents_below(line: str, lines: list[str], number: int) -> tuple[list[str], int]:
    """Return the contents of the here-documents that a line announces, and the number of the line after them.

    One that does not end is none: BuildKit refuses it, and the legacy builder knows no here-documents.
    """
    contents = []
    for document in _announced(line):
        end = next((later for later in range(number, len(lines)) if _is_end(lines[later], document)), None)
        if end is None:
            break
        contents.append("\n".join(lines[number:end]))
        number = end + 1
    return contents, number


def _is_end(line: str, document: _Document) -> bool:
    return (line.lstrip("\t") if document.may_indent else line) == document.end


def _announced(line: str) -> Iterator[_Document]:
    if "<<" not in line or not _TAKES_DOCUMENTS.match(line):
        return
    try:
        for word in split_words(line):
            found = _DOCUMENT.fullmatch(word)
            if found:
                yield _Document(expand_word(found[2], None), bool(found[1]))
    except WordError:
        return
