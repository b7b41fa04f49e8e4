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


class Located(NamedTuple):
    """An instruction, and where each character of its value is in the text, but for those of here-documents."""

    instruction: Instruction
    places: tuple[int, ...]


class _Line(NamedTuple):
    """One line, or several that were joined: where each of its characters is in the text."""

    text: str
    places: tuple[int, ...]

    def strip(self) -> "_Line":
        """Return the line without what is blank at its ends."""
        begin = len(self.text) - len(self.text.lstrip())
        end = max(len(self.text.rstrip()), begin)
        return _Line(self.text[begin:end], self.places[begin:end])


class _Document(NamedTuple):
    """A here-document that a line announces: the word that ends it, and whether tabs may stand before that word."""

    end: str
    may_indent: bool


def instructions(text: str) -> tuple[Instruction, ...]:
    """Return all instructions, in order."""
    return tuple(located.instruction for located in located_instructions(text))


def located_instructions(text: str) -> tuple[Located, ...]:
    """Return all instructions, in order, with the places of what they say."""
    places = _lines(text)
    lines = [line.text for line in places]
    escape = escape_character(text)
    found: list[Located] = []
    number = 0
    while number < len(lines):
        begin = number
        line, number = _joined(places, number, escape)
        contents, number = _documents_below(line.text, lines, number)
        if line.text:
            name, *rest = line.text.split(maxsplit=1)
            value = rest[0] if rest else ""
            instruction = Instruction(name.upper(), "\n".join([value, *contents]), begin + 1)
            found.append(Located(instruction, line.places[len(line.text) - len(value) :]))
    return tuple(found)


def _lines(text: str) -> list[_Line]:
    """Return the lines without what ends them, and without the mark that may be before the first."""
    place = len(text) - len(text.removeprefix(_BYTE_ORDER_MARK))
    found = []
    for line in text[place:].split("\n"):
        bare = line.rstrip("\r")
        found.append(_Line(bare, tuple(range(place, place + len(bare)))))
        place += len(line) + 1
    return found


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


def _joined(lines: list[_Line], number: int, escape: str) -> tuple[_Line, int]:
    """Return the line at a number with those that continue it, empty for a comment, and the number of the next one."""
    line, number = lines[number], number + 1
    if line.text.lstrip().startswith("#"):
        return _Line("", ()), number
    text, is_continued = _without_continuation(line.text, escape)
    places = line.places[: len(text)]
    while is_continued and number < len(lines):
        line, number = lines[number], number + 1
        if line.text.strip() and not line.text.lstrip().startswith("#"):
            part, is_continued = _without_continuation(line.text, escape)
            text += part
            places += line.places[: len(part)]
    return _Line(text, places).strip(), number


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
