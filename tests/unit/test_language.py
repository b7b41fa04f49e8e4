"""Texts that users read: in plain words, the field's own.

The table has words and turns that are wrong in every text of this project, and what to write instead. A use that is
right all the same is listed with its reason; a use that is listed and not there any more fails, too.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from dockyard.cli import d, d_build, d_cowscan, d_map, d_run, verbs
from dockyard.cli.verb import TOPICS, VERBS
from dockyard.errors import EXIT_CODES
from dockyard.settings.keys import KEYS

if TYPE_CHECKING:
    from dockyard.cli.command import Option

assert verbs  # importing it registers the verbs

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src/dockyard"

WORDS = {
    r"(is|are) told|told|tells?": "report, print, list, warn, notify",
    r"anew": "again, re-",
    r"(is|are|was|were|be|been) away|away for": "is down, downtime",
    r"(go|goes|come|comes|came|went) back": "roll back, return, be restored",
    r"(go|goes|went) on\b(?! (a|the) (schedule|network))": "continue",
    r"whoever|whomever|somebody|nobody": "anyone who, the user; unowned, unprivileged; or the passive",
    r"stands (twice|in|there|here|at|on|before|beside|written)": "is; duplicate",
    r"in place of": "instead of",
    r"beside (its|the) image": "on top of its image; relative to its image",
    r"meanwhile": "in the meantime, concurrently",
    r"mend(s|ed)?": "fix",
    r"by the clock": "on a schedule",
    r"puts? (\w+ )?in(to)? order": "recover",
    r"(a|the|no|without|has|have) leave": "permission",
    r"(gets?|got|getting) (un)?healthy": "become healthy",
    r"dossiers?": "failure report",
    r"twins?": "test copy",
    r"(?<!there )(is|are|was|were) no (?!longer|more\b|such|match)": "is not a",
    r"look(s|ed)? (into|at)": "inspect",
    r"(has|have|is|are) to be": "must be",
    r"of (no )?use(?! \w)": "used, unused",
    r"the engine's own": "the engine's",
    r"most (time|processes|memory|entries|bytes|open files)": "maximum",
    r"taken back": "undone, rolled back",
}
"""What is always wrong, as regular expressions, and what to write instead."""

JUSTIFIED = {
    "'$.dossier'": "a field of stored events",
}
"""Pieces of texts in which such a word is right, each with its reason."""


_BANNED = re.compile("|".join(rf"\b(?:{word})\b" for word in WORDS), re.IGNORECASE)
_CODE = re.compile(r"`[^`\n]*`")
_BLOCK = re.compile(r"^```.*?^```|^~~~.*?^~~~|(?:^\n(?:^ {4,}(?![-*\d])[^\n]*\n)+)", re.DOTALL | re.MULTILINE)
"""Blocks of code: fenced, or indented after an empty line."""
_GENERATED = "do not edit"


class Text(NamedTuple):
    """One text, and where it comes from."""

    where: str
    text: str


def help_texts() -> Iterator[Text]:
    """Yield the help of all programs, verbs, options, keys and exit codes, and the headings of `d help`."""
    programs: dict[str, tuple[str | None, tuple[Option, ...]]] = {
        "d": (d.DESCRIPTION, ()),
        "d-run": (d_run.DESCRIPTION, tuple(d_run.OPTIONS)),
        "d-build": (d_build.DESCRIPTION, tuple(d_build.OPTIONS)),
        "d-cowscan": (d_cowscan.PARSER.description, tuple(d_cowscan.OPTIONS)),
        "d-map": (d_map.PARSER.description, ()),
        **{f"d {verb.name}": (verb.description, verb.options) for verb in VERBS.values()},
    }
    for program, (description, options) in programs.items():
        yield Text(f"{program} --help", description or "")
        for entry in options:
            yield Text(f"{program} {entry.names[0]}", entry.help)
    for key in KEYS.values():
        yield Text(f"key {key.names[0]}", key.help)
    for code, text in EXIT_CODES.items():
        yield Text(f"exit code {code}", text)
    for topic in TOPICS.values():
        yield Text("d help", topic)


def literals() -> Iterator[Text]:
    """Yield each text of the sources that is no docstring: errors, hints, notes, warnings, reports, tables."""
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        skipped = {id(node) for node in _not_shown(tree)}
        for node in ast.walk(tree):
            text = _text(node) if id(node) not in skipped else ""
            if " " in text.strip():
                yield Text(f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}", text)


def _not_shown(tree: ast.AST) -> Iterator[ast.AST]:
    """Yield docstrings, and the parts of texts that are read as a whole."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield from node.values


def _text(node: ast.AST) -> str:
    """Return the text of a literal; empty for any other node."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "{…}" for part in parts)
    return ""


def pages() -> Iterator[Text]:
    """Yield what is written by hand in README, docs and changes, a paragraph each, without code."""
    written = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for path in [*written, *sorted((ROOT / "changes").glob("*.md"))]:
        whole = path.read_text(encoding="utf-8")
        if _GENERATED in whole[:200].lower():
            continue
        without = without_code(whole)
        for found in re.finditer(r"(?:^.*\S.*\n?)+", without, re.MULTILINE):
            yield Text(f"{path.relative_to(ROOT)}:{without.count(chr(10), 0, found.start()) + 1}", found.group())


def without_code(page: str) -> str:
    """Return a page with empty lines instead of its blocks of code."""
    return _BLOCK.sub(lambda found: "\n" * found.group().count("\n"), page)


def all_texts() -> list[Text]:
    """Return every text that users read."""
    return [*help_texts(), *literals(), *pages()]


def findings(text: str) -> list[str]:
    """Return the words of a text that the table has, without what is justified."""
    for piece in JUSTIFIED:
        text = text.replace(piece, "")
    return [found.group() for found in _BANNED.finditer(_CODE.sub("", " ".join(text.split())))]


def test_no_text_has_a_word_of_the_table() -> None:
    """The message names each place, the word, and the whole text."""
    wrong = [
        f"{entry.where}: {', '.join(words)}: {entry.text}" for entry in all_texts() if (words := findings(entry.text))
    ]
    assert not wrong, f"{len(wrong)} texts; tests/unit/test_language.py says what to write:\n" + "\n".join(wrong)


def test_texts_of_all_kinds_are_read() -> None:
    """A collector that reads nothing would find nothing."""
    assert len(list(help_texts())) > 250
    assert len(list(literals())) > 2000
    assert len(list(pages())) > 400


@pytest.mark.parametrize("code", ["    make test\n    make check\n", "```sh\nmake test\n```\n"])
def test_what_follows_code_is_read(code: str) -> None:
    text = without_code(f"before\n\n{code}\nafter\n\n{code}\nat the end\n")
    assert text.split() == ["before", "after", "at", "the", "end"]


def test_each_verb_has_a_heading() -> None:
    """The heading says what its verbs are about; the name of a module does not."""
    assert {verb.topic for verb in VERBS.values()} == set(TOPICS.values())


def test_what_is_justified_is_there() -> None:
    texts = [entry.text for entry in all_texts()]
    assert not [piece for piece in JUSTIFIED if not any(piece in text for text in texts)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("production is away for 2 s", ["is away"]),
        ("what is wrong is told", ["is told"]),
        ("use `in place of` as it is", []),
        ("there is no image", []),
        ("instead of a file, in place\n    of it", ["in place of"]),
        ("this is no image", ["is no"]),
    ],
)
def test_words_are_found(text: str, expected: list[str]) -> None:
    assert [found.strip() for found in findings(text)] == expected
