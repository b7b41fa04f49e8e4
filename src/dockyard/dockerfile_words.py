"""Words and variables of a Dockerfile, as BuildKit's shell lexer reads them: quotes, escapes, `$X`, `${X:-default}`."""

import re
from collections.abc import Mapping

_NAME = re.compile(r"[0-9]+|[@*#?$!0-]|[^\W\d]\w*")
_OPERATORS = {"-", "+", "?", "#", "%", "/"}


class WordError(ValueError):
    """A word that BuildKit refuses: a quote or a brace that does not end, or a variable that must have a value."""


def split_words(text: str, escape: str = "\\") -> list[str]:
    """Return the words of a line, with their quotes and escapes. Raises WordError for a quote that does not end."""
    words: list[str] = []
    word, quote, position = "", "", 0
    while position < len(text):
        character = text[position]
        width = 2 if character == escape and quote != "'" else 1
        part = text[position : position + width]
        position += width
        if character.isspace() and not quote:
            words += [word] if word else []
            word = ""
            continue
        word += part
        if part == quote:
            quote = ""
        elif part in {"'", '"'} and not quote:
            quote = part
    if quote:
        raise WordError(f"the quote {quote} is not closed")
    return [*words, word] if word else words


def expand_word(word: str, variables: Mapping[str, str] | None, escape: str = "\\") -> str:
    """Return a word without its quotes and escapes, its variables replaced; None for `variables` leaves these alone.

    Raises WordError if BuildKit does.
    """
    return _Reader(word, variables, escape).read_until("")


class _Reader:
    def __init__(self, text: str, variables: Mapping[str, str] | None, escape: str) -> None:
        self._text = text
        self._variables = variables
        self._escape = escape
        self._position = 0

    def read_until(self, stop: str) -> str:
        """Return what comes before the character `stop`, which is consumed; all of the text if it is empty."""
        found = ""
        while character := self._next():
            if character == stop:
                return found
            found += self._read(character)
        if stop:
            raise WordError(f"`{stop}` is missing in `{self._text}`")
        return found

    def _read(self, character: str) -> str:
        if character == "'":
            return self._single_quoted()
        if character == '"':
            return self._double_quoted()
        if character == self._escape:
            return self._next()
        return self._variable() if character == "$" and self._variables is not None else character

    def _next(self) -> str:
        self._position += 1
        return self._text[self._position - 1 : self._position]

    def _single_quoted(self) -> str:
        end = self._text.find("'", self._position)
        if end < 0:
            raise WordError(f"the quote ' is not closed in `{self._text}`")
        found = self._text[self._position : end]
        self._position = end + 1
        return found

    def _double_quoted(self) -> str:
        found = ""
        while (character := self._next()) != '"':
            if not character:
                raise WordError(f'the quote " does not end in `{self._text}`')
            if character == self._escape:
                following = self._next()
                found += following if following in {'"', "$", self._escape} else character + following
            else:
                found += self._variable() if character == "$" and self._variables is not None else character
        return found

    def _variable(self) -> str:
        """Return the value of what follows a dollar."""
        if not self._text.startswith("{", self._position):
            name = self._name()
            return (self._variables or {}).get(name, "") if name else "$"
        self._position += 1
        name = self._name()
        operator = self._next()
        if not name or operator not in {"}", ":", *_OPERATORS}:
            raise WordError(f"`{self._text}` has a variable that cannot be parsed")
        value = (self._variables or {}).get(name)
        if operator == "}":
            return value or ""
        if operator == ":":
            value, operator = value or None, self._next()
        return self._chosen(name, value, operator)

    def _name(self) -> str:
        found = _NAME.match(self._text, self._position)
        self._position = found.end() if found else self._position
        return found[0] if found else ""

    def _chosen(self, name: str, value: str | None, operator: str) -> str:
        """Return what an operator makes of a value, None if it is unset."""
        if operator == "/":
            every = self._text.startswith("/", self._position)
            self._position += every
            pattern, replacement = self.read_until("/"), self.read_until("}")
            return re.sub(_pattern(pattern), lambda _: replacement, value or "", count=0 if every else 1)
        word = self.read_until("}")
        if operator in {"#", "%"}:
            return _trimmed(value or "", operator, word)
        if operator == "-":
            return word if value is None else value
        if operator == "+":
            return "" if value is None else word
        if operator != "?" or value is None:
            raise WordError(f"variable `{name}`: {word or 'it has no value'}")
        return value


def _trimmed(value: str, operator: str, word: str) -> str:
    """Return a value without the beginning (`#`) or end (`%`) that a pattern matches; doubled: the longest one."""
    longest = word.startswith(operator)
    pattern = _pattern(word.removeprefix(operator))
    cuts = range(len(value) + 1)
    if operator == "#":
        matching = [cut for cut in cuts if re.fullmatch(pattern, value[:cut])]
        return value[(max if longest else min)(matching, default=0) :]
    matching = [cut for cut in cuts if re.fullmatch(pattern, value[cut:])]
    return value[: (min if longest else max)(matching, default=len(value))]


def _pattern(word: str) -> str:
    """Return a shell pattern as a regular expression: only `*` and `?` mean something, as in BuildKit."""
    return "".join({"*": "(?s:.*)", "?": "(?s:.)"}.get(character, re.escape(character)) for character in word)
