r"""Regular expressions for tags: a small part of the language, matched in time linear in the length of a tag.

Python's own would need ages for a tag that fits `(\d+)*$` nearly: tags come from registries.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

LONGEST_PATTERN = 200
MOST_REPEATS = 20
_MOST_STATES = 5000
_CLASSES = {"d": "0123456789", "w": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", "s": ""}
_PUNCTUATION = set(".-_+*?()[]{}|^$/\\")

Test = Callable[[str], bool]
Build = Callable[["_Machine", int], int]
"""Adds the states of a part before a state, and returns where the part begins."""


class PatternError(ValueError):
    """A pattern that is not one, or says more than this language can."""


class _State(NamedTuple):
    """Where one can go from a state: with a character that passes the test, or without any."""

    test: Test | None
    after: tuple[int, ...]


class TagPattern:
    r"""A pattern for whole tags: literals, `.`, `\d`, `\w`, `[a-z]`, groups, `|`, `*`, `+`, `?` and `{1,3}`.

    Raises PatternError.
    """

    def __init__(self, text: str) -> None:
        if len(text) > LONGEST_PATTERN:
            raise PatternError(f"the pattern has more than {LONGEST_PATTERN} characters")
        bare = text.removeprefix("^")
        if bare.endswith("$") and not bare.endswith("\\$"):
            bare = bare[:-1]
        self._machine = _Machine()
        build = _Reader(bare).read_all()
        self._begin = build(self._machine, self._machine.add(None, ()))

    def is_match(self, tag: str) -> bool:
        """Return whether the pattern matches a tag as a whole."""
        states = self._machine.reach({self._begin})
        for character in tag:
            states = self._machine.step(states, character)
        return self._machine.is_end(states)


class _Machine:
    """States of a nondeterministic automaton; the first one is the end."""

    def __init__(self) -> None:
        self._states: list[_State] = []

    def add(self, test: Test | None, after: tuple[int, ...]) -> int:
        if len(self._states) >= _MOST_STATES:
            raise PatternError("the pattern repeats too much")
        self._states.append(_State(test, after))
        return len(self._states) - 1

    def close_loop(self, state: int, begin: int) -> None:
        """Lead from a state back to where its part begins as well."""
        self._states[state] = _State(None, (begin, *self._states[state].after))

    def reach(self, states: set[int]) -> set[int]:
        """Return the states that can be reached without a character."""
        found, waiting = set(states), list(states)
        while waiting:
            state = self._states[waiting.pop()]
            new = set(state.after) - found if state.test is None else set()
            found |= new
            waiting += new
        return found

    def step(self, states: set[int], character: str) -> set[int]:
        """Return the states that can be reached with a character."""
        entries = (self._states[number] for number in states)
        return self.reach({state.after[0] for state in entries if state.test and state.test(character)})

    @staticmethod
    def is_end(states: set[int]) -> bool:
        return 0 in states


class _Reader:
    """Reads a pattern into what builds its machine."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0

    def read_all(self) -> Build:
        build = self._choice()
        if self._position < len(self._text):
            raise PatternError(f"`{self._text[self._position]}` is not expected here")
        return build

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _take(self) -> str:
        character = self._peek()
        self._position += 1
        return character

    def _choice(self) -> Build:
        parts = [self._sequence()]
        while self._peek() == "|":
            self._take()
            parts.append(self._sequence())
        if len(parts) == 1:
            return parts[0]
        return lambda machine, after: machine.add(None, tuple(build(machine, after) for build in parts))

    def _sequence(self) -> Build:
        parts: list[Build] = []
        while self._peek() and self._peek() not in "|)":
            parts.append(self._repeated(self._atom()))

        def build(machine: _Machine, after: int) -> int:
            for part in reversed(parts):
                after = part(machine, after)
            return after

        return build

    def _repeated(self, part: Build) -> Build:
        character = self._peek()
        if character not in {"*", "+", "?", "{"}:
            return part
        least, most = self._limits()
        if self._peek() in {"*", "+", "?", "{"}:
            raise PatternError("a repeat cannot be repeated")
        return _repeat(part, least, most)

    def _limits(self) -> tuple[int, int | None]:
        character = self._take()
        if character != "{":
            return {"*": (0, None), "+": (1, None), "?": (0, 1)}[character]
        found = re.compile(r"(\d{1,3})(,?)(\d{0,3})\}", re.ASCII).match(self._text, self._position)
        if not found:
            raise PatternError("`{` must begin a number of repeats, such as `{1,3}`")
        self._position = found.end()
        least = int(found[1])
        most = int(found[3]) if found[3] else None if found[2] else least
        if least > MOST_REPEATS or (most is not None and not least <= most <= MOST_REPEATS):
            raise PatternError(f"`{{{found[0]}` is not a number of repeats from 0 to {MOST_REPEATS}")
        return least, most

    def _atom(self) -> Build:
        character = self._take()
        if character == "(":
            return self._group()
        if character in "*+?{":
            raise PatternError(f"`{character}` has nothing to repeat")
        if character in "^$":
            raise PatternError(f"`{character}` can only be at the beginning or the end")
        return _single(self._test(character))

    def _group(self) -> Build:
        if self._text.startswith("?:", self._position):
            self._position += 2
        elif self._peek() == "?":
            raise PatternError("a group cannot begin with `?`")
        build = self._choice()
        if self._take() != ")":
            raise PatternError("`)` is missing")
        return build

    def _test(self, character: str) -> Test:
        if character == ".":
            return lambda _: True
        if character == "[":
            return self._class()
        if character == "\\":
            characters = self._escaped()
            return lambda other: other in characters
        return lambda other: other == character

    def _escaped(self) -> str:
        character = self._take()
        if character in _CLASSES and character:
            return _CLASSES[character]
        if character not in _PUNCTUATION:
            raise PatternError(f"`\\{character}` means nothing here")
        return character

    def _class(self) -> Test:
        is_inverse = self._peek() == "^"
        self._position += is_inverse
        characters = ""
        while (character := self._take()) != "]" or not characters:
            if not character:
                raise PatternError("`]` is missing")
            if character == "\\":
                characters += self._escaped()
            elif self._peek() == "-" and self._text[self._position + 1 : self._position + 2] not in {"", "]"}:
                self._take()
                characters += _span(character, self._take())
            else:
                characters += character
        return lambda other: (other in characters) != is_inverse


def _span(first: str, last: str) -> str:
    if not (first.isascii() and last.isascii() and first <= last):
        raise PatternError(f"`{first}-{last}` is not a range")
    return "".join(map(chr, range(ord(first), ord(last) + 1)))


def _single(test: Test) -> Build:
    return lambda machine, after: machine.add(test, (after,))


def _repeat(part: Build, least: int, most: int | None) -> Build:
    def build(machine: _Machine, after: int) -> int:
        if most is None:
            after = machine.add(None, (after,))
            machine.close_loop(after, part(machine, after))
        for _ in range((most or least) - least):
            after = machine.add(None, (part(machine, after), after))
        for _ in range(least):
            after = part(machine, after)
        return after

    return build
