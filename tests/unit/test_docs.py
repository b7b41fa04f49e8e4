"""The documentation describes everything that exists, and nothing that does not."""

import argparse
import ast
import re
import shlex
import tomllib
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dockyard.cli.command import REST
from dockyard.cli.parser import Parser
from dockyard.cli.verb import WORDS, Verb
from dockyard.docs.commands import VERBS
from dockyard.docs.host import FILES, VARIABLES
from dockyard.settings.key import Scope
from dockyard.settings.keys import KEYS
from dockyard.settings.load import read_file

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "src/dockyard"
README = REPOSITORY / "README.md"
PAGES = [*sorted((REPOSITORY / "docs").rglob("*.md")), README]
MODULES = [path for path in sorted(SOURCE.rglob("*.py")) if path.parent.name != "docs"]
REFERENCE = (REPOSITORY / "docs/reference/commands.md").read_text(encoding="utf-8")
PROGRAMS = {
    name: import_module(target.partition(":")[0])
    for name, target in tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"].items()
    if name != "dockyard-python"
}


def _name(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def _actions(parser: Parser) -> list[argparse.Action]:
    return parser._actions  # noqa: SLF001 - its table


def _flags(parser: Parser) -> list[str]:
    """Return the flags that users see, except those of all programs and the negations of others."""
    shown = (action for action in _actions(parser) if action.help != argparse.SUPPRESS)
    of_all = {"-h", "--help", "--json", "--wait"}
    pairs = ((name, action) for action in shown for name in action.option_strings if name not in of_all)
    return [n for n, a in pairs if not (n.startswith("--no-") and isinstance(a, argparse.BooleanOptionalAction))]


def _parser(program: str) -> Parser:
    return Parser(program, "", PROGRAMS[program].OPTIONS)


# ----------------------------------------------------------------------------------------------------------- reference
@pytest.mark.parametrize("verb", VERBS.values(), ids=VERBS)
def test_every_verb_with_its_other_words_and_flags_is_in_the_reference(verb: Verb):
    """The reference lists everything that d parses."""
    row = next(row for row in REFERENCE.splitlines() if row.startswith((f"| `{verb.name} ", f"| `{verb.name}` | ")))
    assert set(verb.aliases) <= set(row.split("`")[1].split())
    rows = [row for row in REFERENCE.splitlines() if row.startswith(f"| `{verb.name}` | `-")]
    for flag in _flags(verb.parser()):
        assert any(f"`{flag}`" in row for row in rows), flag


@pytest.mark.parametrize("program", sorted(PROGRAMS.keys() - {"d"}))
def test_every_flag_of_a_program_is_in_the_reference(program: str):
    """The reference lists everything that a program parses."""
    section = REFERENCE.partition(f"\n## {program}\n")[2].partition("\n## ")[0]
    for flag in _flags(_parser(program)):
        assert f"`{flag}`" in section, flag


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_every_variable_that_is_read_is_in_the_reference(path: Path):
    """Each environment variable in the source is a setting or in the table of other variables."""
    known = {name for key in KEYS.values() for name in key.variables()} | {one.name for one in VARIABLES}
    text = path.read_text(encoding="utf-8")
    read = set(re.findall(r"environ(?:\.get\(|\[)[\"']([A-Z0-9_]+)", text))
    read |= set(re.findall(r"= \"(DOCKYARD_[A-Z_]+)\"$", text, re.MULTILINE))
    assert read <= known


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_every_file_of_ours_is_in_the_reference(path: Path):
    """Each path in dockyard's directories, and each file in its state directory, is in the table."""
    text = path.read_text(encoding="utf-8")
    strings = (node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant))
    ours = re.compile(r"/(?:etc|run|var/lib|var/cache)/dockyard(?:/[a-z./-]*[a-z])?")
    named = {match for string in strings if isinstance(string, str) for match in ours.findall(string)}
    kept = set(re.findall(r"state_directory\(\) / \"([^\"]+)\"", text))
    assert named | kept <= {place.path for place in FILES}


@pytest.mark.parametrize("page", ["settings.md", "host-file.md"])
def test_no_cell_of_the_settings_reference_has_more_than_40_words(page: str):
    """A table can be scanned; what needs more words is a paragraph under it."""
    rows = re.findall(r"^\|.*\|$", (REPOSITORY / "docs/reference" / page).read_text(encoding="utf-8"), re.MULTILINE)
    cells = [cell for row in rows for cell in re.split(r"(?<!\\)\|", row)]
    assert len(cells) > len(KEYS)
    assert [cell for cell in cells if len(cell.split()) > 40] == []


# --------------------------------------------------------------------------------------------------------------- prose
FENCED = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^ {4,}\S.*\n|^ *\n)+", re.MULTILINE)


def _code(text: str) -> Iterable[tuple[str, str]]:
    """Yield the language and the text of each code block."""
    yield from FENCED.findall(text)
    yield from (("", block) for block in INDENTED.findall(FENCED.sub("", text)))


def _commands(text: str) -> Iterable[list[str]]:
    """Yield the words of each code line that calls one of our programs."""
    for language, block in _code(text):
        for line in block.splitlines() if language != "text" else ():
            command = line.strip().removeprefix("$ ").partition(" || ")[0].partition(" && ")[0]
            if command.partition(" ")[0] in PROGRAMS:
                yield shlex.split(command, comments=True)


def _read_by(program: str, words: list[str]) -> tuple[Parser, list[str]]:
    """Return the parser of a command line and the words that it parses. Raises KeyError for an unknown verb."""
    if program != "d" or not words or words[0].startswith("-"):
        return _parser(program) if program != "d" else Parser("d", "", ()), words
    return WORDS[words[0]].parser(), words[1:]


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_every_command_of_a_page_has_a_verb_and_flags_that_there_are(path: Path):
    """The programs can parse each command of a page."""
    for program, *words in _commands(path.read_text(encoding="utf-8")):
        parser, given = _read_by(program, words)
        known = {name for action in _actions(parser) for name in action.option_strings}
        passed_on = any(action.nargs == REST for action in _actions(parser))
        unknown = [word for word in given if word.startswith("-") and word.partition("=")[0] not in known]
        assert passed_on or not unknown, f"{program} {words}"


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_yaml_of_a_page_is_as_dockyard_reads_it(path: Path):
    """A settings block names its file in the first line, and is valid."""
    for language, block in _code(path.read_text(encoding="utf-8")):
        if language == "yaml":
            of_host, of_service = (name in block.partition("\n")[0] for name in ("host.yaml", "settings.yaml"))
            assert of_host or of_service
            read_file(block, _name(path), Scope.HOST if of_host else Scope.SERVICE)


NAMED = re.compile(r"`((?:src|tests|docs|examples|scripts|bench|requirements)/[\w./-]+)`")


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_files_of_the_repository_that_a_page_names_are_there(path: Path):
    """Each file of the repository that a page names exists."""
    named = NAMED.findall(path.read_text(encoding="utf-8"))
    assert [name for name in named if not (REPOSITORY / name).exists()] == []


def test_who_starts_here_is_led_to_the_source():
    """The table of `Start here` names files, so that the test above has something to check."""
    text = (REPOSITORY / "docs/explanation/architecture.md").read_text(encoding="utf-8")
    table = text.partition("Start here\n")[2].partition("\n## ")[0]
    rows = [row for row in table.splitlines() if row.startswith("| a")]
    assert len(rows) > 10
    assert [row for row in rows if not NAMED.search(row)] == []


# --------------------------------------------------------------------------------------------------------------- links
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


@pytest.mark.parametrize("path", PAGES, ids=_name)
def test_links_to_elsewhere_are_well_formed(path: Path):
    """Only their form is checked, as there may be no network. Links within the site are checked when it is built."""
    for link in LINK.findall(FENCED.sub("", path.read_text(encoding="utf-8"))):
        if ":" in link:
            scheme, host, *_ = urlsplit(link)
            assert scheme == "https", link
            assert re.fullmatch(r"[a-z0-9-]+(\.[a-z0-9-]+)+", host), link


def test_links_of_the_readme_lead_somewhere():
    """The README is not a page of the site, so its links are checked here."""
    for link in LINK.findall(README.read_text(encoding="utf-8")):
        page, _, anchor = link.partition("#")
        if ":" not in link:
            assert (REPOSITORY / page).exists(), link
            headings = re.findall(r"^#+ (.*)$", (REPOSITORY / page).read_text(), re.MULTILINE) if anchor else []
            assert anchor in ["", *(re.sub(r"[^\w -]", "", one).lower().replace(" ", "-") for one in headings)], link
