r"""Patterns of rules: the wildcards of .gitignore, on whole paths, without backtracking that a name could make slow.

`*` and `?` match within a name, `[a-z]` is one character, `**` is any number of directories. A `/` or `/**` at the end
matches everything below; without it, a pattern matches only that path. A backslash makes the next character literal,
and `\x1b` is a byte, so that a path can be written as it is reported. There are no other exceptions: names that begin
with a dot match, case is significant, and a line break is an ordinary character.
"""

import re
from functools import cache
from typing import NamedTuple

WIDEST = "name the directory that changes"


class PatternError(ValueError):
    """The text is not a pattern; `hint` says how to write one."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Pattern(NamedTuple):
    """A parsed pattern: `anchor` is the text with which each of its paths begins.

    `components` are those before a `/` or `/**` at the end, each as a regular expression, or `**`; `literals` is the
    number of leading ones without wildcards. `below`: the pattern had such an end.
    """

    expression: "re.Pattern[str]"
    anchor: str
    components: tuple[str, ...]
    literals: int
    below: bool

    def matches(self, path: str) -> bool:
        return self.expression.match(path) is not None

    @property
    def is_wild(self) -> bool:
        """Whether it can match more than one path."""
        return self.below or self.literals < len(self.components)

    @property
    def is_whole(self) -> bool:
        """Whether it covers everything in its leading directory, as `/etc/` and `/etc/*` do."""
        return self.is_wild and all(part in {_ANY, "**"} for part in self.components[self.literals :])


_ANY = "[^/]+"
_END = r"(?=/|\Z)"
_TOKEN = re.compile(
    r"(?s)\\x(?P<byte>[0-9a-fA-F]{2})|\\(?P<plain>.)|(?P<star>\*+)|(?P<one>\?)|\[(?P<set>[!^]?\]?[^\]]*)\]"
)


@cache
def read(text: str) -> Pattern:
    """Parse a pattern; raises PatternError."""
    _refuse_others(text)
    parts = text[1:].split("/")
    below = False
    while parts and parts[-1] in {"", "**"}:
        below = True
        parts.pop()
    if wrong := [part for part in parts if part in {"", ".", ".."}]:
        raise PatternError(f"`{text}` matches nothing: no path contains `{wrong[0] or '//'}`", "remove it")
    read_parts = [_component(part, text) for part in parts]
    if not any(has_text for _, _, has_text in read_parts):
        raise PatternError(f"`{text}` covers everything", WIDEST)
    components = tuple(expression for expression, _, _ in read_parts)
    names = [name for _, name, _ in read_parts]
    literals = names.index(None) if None in names else len(names)
    whole = [name for name in names[:literals] if name is not None]
    anchor = "/" + "".join(f"{name}/" for name in whole)
    if literals == len(names) and not below:
        anchor = anchor[:-1]
    return Pattern(re.compile(_expression(components, below=below)), anchor, components, literals, below)


def _refuse_others(text: str) -> None:
    if text.startswith("!"):
        raise PatternError(
            f"`{text}`: a rule cannot exclude paths from another rule",
            "make the other rule narrower: changes that no rule covers are reported",
        )
    if not text.startswith("/"):
        raise PatternError(f"`{text}` does not begin with `/`", f"write /{text}, or /**/{text} for any directory")


def _expression(components: tuple[str, ...], *, below: bool) -> str:
    """Return the regular expression of all components.

    The components between two `**` match at their first occurrence only: if the rest matches anywhere, it matches after
    that occurrence too. So the expression never backtracks, however long the path is.
    """
    blocks: list[list[str]] = [] if components[0] == "**" else [[]]
    for part in components:
        if part == "**":
            blocks += [[]] if not blocks or blocks[-1] else []
        else:
            blocks[-1].append(part)
    first = "" if components[0] == "**" else "/".join(blocks.pop(0))
    floating = [f"(?:{_ANY}/)*?{'/'.join(block)}" for block in blocks]
    end = "/" if below else r"\Z"
    taken = [f"(?>{part}{_END})" for part in floating[:-1]]
    last = [f"(?>{part}(?=/))/" if below else rf"{part}\Z" for part in floating[-1:]]
    if not last:
        return f"/{first}{end}"
    return "/" + "/".join([*([first] if first else []), *taken, *last])


def _component(part: str, text: str) -> tuple[str, str | None, bool]:
    """Return a name's regular expression, the name if it has no wildcards, and whether it requires any character."""
    if part == "**":
        return "**", None, False
    pieces, literal, is_wild = [""], "", False
    has_text = False
    for token in _tokens(part, text):
        is_text = not isinstance(token, tuple)
        has_text |= is_text
        is_wild |= not is_text
        if isinstance(token, str):
            literal += token
            continue
        pieces[-1] += re.escape(_joined(literal))
        literal = ""
        if token == ("*",):
            pieces.append("")
        else:
            pieces[-1] += token[0]
    pieces[-1] += re.escape(_joined(literal))
    return _starred(pieces), None if is_wild else _joined(literal), has_text


def _starred(pieces: list[str]) -> str:
    """Return an expression for the pieces with a star between each two; each piece matches at its first occurrence."""
    if not any(pieces):
        return _ANY
    first, *rest = pieces
    if not rest:
        return first
    *between, last = rest
    return first + "".join(f"(?>[^/]*?{piece})" for piece in between if piece) + f"[^/]*{last}{_END}"


def _tokens(part: str, text: str) -> list[str | tuple[str]]:
    """Return the characters of a name, and its wildcards as tuples: a star, or a regular expression."""
    found: list[str | tuple[str]] = []
    place = 0
    while place < len(part):
        match = _TOKEN.match(part, place)
        if not match:
            if part[place] in "[\\":
                hint = f"write \\{part[place]} for the character itself"
                raise PatternError(f"`{text}`: `{part[place]}` is not closed", hint)
            found.append(part[place])
            place += 1
            continue
        found.append(_token(match, text))
        place = match.end()
    return found


def _token(match: "re.Match[str]", text: str) -> str | tuple[str]:
    if match["byte"]:
        number = int(match["byte"], 16)
        return chr(number) if number < 0x80 else chr(0xDC00 + number)  # noqa: PLR2004 - as a path has bytes
    if match["plain"]:
        return match["plain"]
    if match["star"]:
        return ("*",)
    return ("[^/]",) if match["one"] else (_set(match["set"], text),)


def _set(inside: str, text: str) -> str:
    """Return the regular expression of `[…]`, which never matches `/`."""
    negated = inside[:1] in {"!", "^"}
    characters = inside[1:] if negated else inside
    if not characters or any(word in characters for word in ("[", "\\", "--")):
        raise PatternError(
            f"`{text}`: `[{inside}]` is not a set of characters", "write a set such as `[a-z0-9]` or `[!a-z]`"
        )
    escaped = "".join(c if c == "-" else re.escape(c) for c in characters)
    try:
        re.compile(f"[{escaped}]")
    except re.error:
        raise PatternError(
            f"`{text}`: `[{inside}]` is not a set of characters", "write a set such as `[a-z0-9]`"
        ) from None
    return f"(?!/)[{'^' * negated}{escaped}]"


def _joined(literal: str) -> str:
    """Return characters as in a path: bytes that form UTF-8 become one character."""
    return literal.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")


def literal(path: str) -> str:
    r"""Return the pattern of one path or of a part of one, in printable characters.

    >>> literal("/a*b\n")
    '/a\\*b\\x0a'
    """
    return "".join(_written(character) for character in path)


def _written(character: str) -> str:
    if character in "*?[\\":
        return f"\\{character}"
    if character.isprintable():
        return character
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))
