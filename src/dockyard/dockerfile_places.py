"""Where a Dockerfile names images: to the character, so that a reference can be replaced and nothing else."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from dockyard.dockerfile import SCRATCH, Stage, is_reference, stages
from dockyard.dockerfile_text import Located, escape_character, located_instructions
from dockyard.dockerfile_words import WordError, split_words

_VARIABLE = r"\$(?:\w+|\{[^}]*\})"
_ENDS_IN_VARIABLE = re.compile(r"([^$]*)\$(?:(\w+)|\{(\w+)\})", re.ASCII)
_AFTER_VARIABLES = re.compile(rf".*{_VARIABLE}([^$}}]*)", re.ASCII)
_MOUNTED_FROM = re.compile(r'(?:^|,)[\s"]*from=([^,"]*)', re.IGNORECASE)


class Place(NamedTuple):
    """One mention of an image: the reference that it stands for, its line, and the part of the text to replace.

    `head` is what of the reference is not in that part, as it is before a variable. `reason` says why the reference
    cannot be replaced; empty if it can. `word` is where all of it is in the text, with variables and quotes: whatever
    is there can stand for the reference in a copy of the text that is only built from.
    """

    reference: str
    line: int
    word: tuple[int, int]
    begin: int = 0
    end: int = 0
    head: str = ""
    reason: str = ""


class _Word(NamedTuple):
    """A word of an instruction, and the place in the text of each of its characters."""

    text: str
    places: tuple[int, ...]
    line: int

    def part(self, begin: int, end: int) -> "_Word":
        return _Word(self.text[begin:end], self.places[begin:end], self.line)

    @property
    def is_apart(self) -> bool:
        """Whether something is between its characters: the end of a line."""
        return bool(self.places) and self.places[-1] - self.places[0] != len(self.places) - 1

    @property
    def span(self) -> tuple[int, int]:
        """Where it begins and ends in the text."""
        return self.places[0], self.places[-1] + 1

    def place(self, reference: str, part: "_Word | None" = None, head: str = "") -> Place:
        """Return the place of the reference that the word stands for; its last part, or all of it, will be replaced."""
        part = part or self
        if part.is_apart:
            return self.refuse(reference, "it spans two lines")
        return Place(reference, self.line, self.span, *part.span, head)

    def refuse(self, reference: str, reason: str) -> Place:
        return Place(reference, self.line, self.span, reason=reason)


def image_places(text: str, arguments: Mapping[str, str]) -> tuple[Place, ...]:
    """Return every place at which a Dockerfile takes something from an image, in order.

    The references are those of `base_images`.
    """
    every = stages(text, arguments)
    reader = _Reader(located_instructions(text), arguments, escape_character(text))
    found = [*reader.bases(every), *reader.sources(every)]
    is_image = (place for place in found if place.reference != SCRATCH and is_reference(place.reference))
    return tuple(sorted(is_image, key=lambda place: (place.line, place.begin)))


class _Reader:
    def __init__(self, located: Sequence[Located], arguments: Mapping[str, str], escape: str) -> None:
        self._arguments = arguments
        self._escape = escape
        self._froms = [one for one in located if one.instruction.name == "FROM"]
        first = located.index(self._froms[0]) if self._froms else len(located)
        self._above, self._below = located[:first], located[first:]

    def bases(self, every: Sequence[Stage]) -> Iterator[Place]:
        """Yield the places of FROM that name images."""
        for stage, located in zip(every, self._froms, strict=True):
            if stage.is_from_image and (words := _words_after_options(located)):
                yield self._base(stage.base, words[0])

    def sources(self, every: Sequence[Stage]) -> Iterator[Place]:
        """Yield the places of COPY and RUN that name images."""
        names = {stage.name for stage in every if stage.name}
        for word in (word for located in self._below for word in _sources(located)):
            if word.text and not word.text.isdecimal() and word.text.lower() not in names:
                yield word.place(word.text)

    def _base(self, base: str, word: _Word) -> Place:
        bare = _without_quotes(word)
        if any(character in bare.text for character in ("'", '"', self._escape)):
            return word.refuse(base, "it has quotes or escapes")
        if "$" not in bare.text:
            return word.place(base, bare)
        if ending := _ending(word):
            return self._argument(base, word, ending[1])
        after = _AFTER_VARIABLES.fullmatch(bare.text)
        if after and after[1] and base.endswith(after[1]) and _has_tag(base, after[1]):
            return word.place(base, bare.part(after.start(1), after.end(1)), base.removesuffix(after[1]))
        return word.refuse(base, "its tag contains a variable: write the whole tag in FROM, or all of it in one ARG")

    def _argument(self, base: str, word: _Word, name: str) -> Place:
        """Return the place of the default of the ARG that a FROM ends in, if nothing else depends on it."""
        if name in self._arguments:
            return word.refuse(base, f"its end is the build argument `{name}`, which is not set in the Dockerfile")
        defaults = [value for key, value in self._global_arguments() if key == name]
        if len(defaults) != 1 or defaults[0] is None:
            return word.refuse(base, f"ARG {name} must occur once, with a default")
        default = _without_quotes(defaults[0])
        if not default.text or any(character in default.text for character in ("'", '"', "$", self._escape)):
            return word.refuse(base, f"the default of ARG {name} is not a plain text")
        if line := self._other_use(name, word):
            return word.refuse(base, f"line {line} also uses ARG {name}")
        if not base.endswith(default.text):
            return word.refuse(base, f"it does not end in the default of ARG {name}")
        return word.place(base, default, base.removesuffix(default.text))

    def _global_arguments(self) -> Iterator[tuple[str, _Word | None]]:
        """Yield the names and defaults of the ARGs above the first FROM."""
        for located in (one for one in self._above if one.instruction.name == "ARG"):
            value, position = located.instruction.value, 0
            for text in _split(value, self._escape):
                position = value.index(text, position)
                name, is_set, _ = text.partition("=")
                word = _Word(value, located.places, located.instruction.line)
                yield name, word.part(position + len(name) + 1, position + len(text)) if is_set else None
                position += len(text)

    def _other_use(self, name: str, word: _Word) -> int:
        """Return the line of something else that uses an argument; 0 if there is none."""
        is_used = re.compile(rf"\$\{{?{name}\b", re.ASCII)
        for located in (*self._above, *self._froms):
            own = _words_after_options(located)[:1] if located.instruction.name == "FROM" else []
            others = (one for one in _words(located) if not (one in own and _ending(one) == _ending(word)))
            if any(is_used.search(one.text) for one in others):
                return located.instruction.line
        for located in self._below:
            names = _split(located.instruction.value, self._escape) if located.instruction.name == "ARG" else []
            if name in names:
                return located.instruction.line
        return 0


def _ending(word: _Word) -> tuple[str, str] | None:
    """Return what is before the variable in which a word ends, and its name."""
    found = _ENDS_IN_VARIABLE.fullmatch(_without_quotes(word).text)
    return (found[1], found[2] or found[3]) if found else None


def _has_tag(reference: str, tail: str) -> bool:
    """Return whether the tag of a reference, and its digest, are all in its tail."""
    last = reference.partition("@")[0].rpartition("/")[2]
    return ":" in last and len(tail) >= len(reference) - reference.rindex(last) - last.index(":")


def _sources(located: Located) -> Iterator[_Word]:
    """Yield what COPY and RUN take files from: stages and images."""
    options = _options(located)
    if located.instruction.name == "COPY":
        found = (word for word in options if word.text.startswith("--from="))
        for word in list(found)[:1]:
            yield word.part(len("--from="), len(word.text))
    elif located.instruction.name == "RUN":
        for word in (word for word in options if word.text.startswith("--mount=")):
            fields = word.part(len("--mount="), len(word.text))
            for match in list(_MOUNTED_FROM.finditer(fields.text))[-1:]:
                yield fields.part(*match.span(1))


def _words(located: Located) -> list[_Word]:
    """Return the words of an instruction's own lines."""
    text, line = located.instruction.value[: len(located.places)], located.instruction.line
    return [_Word(found[0], located.places[found.start() : found.end()], line) for found in re.finditer(r"\S+", text)]


def _options(located: Located) -> list[_Word]:
    words = _words(located)
    return words[: len(words) - len(_words_after_options(located))]


def _words_after_options(located: Located) -> list[_Word]:
    words = _words(located)
    number = next((place for place, word in enumerate(words) if not word.text.startswith("--")), len(words))
    return words[number:]


def _without_quotes(word: _Word) -> _Word:
    """Return a word without the quotes around it; variables in single quotes are none, and stay in them."""
    is_quoted = len(word.text) > 1 and word.text[0] == word.text[-1] and word.text[0] in {"'", '"'}
    is_literal = is_quoted and word.text[0] == "'" and "$" in word.text
    return word.part(1, len(word.text) - 1) if is_quoted and not is_literal else word


def _split(value: str, escape: str) -> list[str]:
    try:
        return split_words(value, escape)
    except WordError:
        return value.split()
