"""Run pages of the documentation: their code blocks in order, with the output that they show.

A block of `sh` is pasted unchanged. In a block of `console`, `$ ` begins a command and `> ` continues it; all other
lines are its output. `…` stands for any text, on a line by itself for any lines; blanks and empty lines are ignored.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

FENCED = re.compile(r"^```(sh|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = "end of step"


class Step(NamedTuple):
    """A command as it is pasted, and its expected output; None if the page does not show it."""

    command: str
    shown: str | None = None


def steps(page: str, names: Mapping[str, str]) -> list[Step]:
    """Return the steps of a page, with names of the tests instead of the page's, as in `names`."""
    for theirs, ours in names.items():
        assert theirs in page, f"the page says nothing of {theirs}"
        page = page.replace(theirs, ours)
    found: list[Step] = []
    for language, block in FENCED.findall(page):
        found += _console(block) if language == "console" else [Step(block)]
    return found


def _console(block: str) -> Iterable[Step]:
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        more = [line.removeprefix("> ") for line in lines[1:] if line.startswith("> ")]
        yield Step("\n".join([lines[0], *more]), "\n".join(line for line in lines[1:] if not line.startswith("> ")))


def script(page: list[Step]) -> str:
    """Return a shell script of the steps, with all its output on stdout; it must be run with `sh -e`."""
    return "exec 2>&1\n" + "".join(f"{step.command.rstrip()}\nprintf '\\n{MARK}\\n'\n" for step in page)


def outputs(written: str) -> list[str]:
    """Return the output of each step of a script."""
    return [part.strip("\n") for part in written.split(f"\n{MARK}\n")[:-1]]


def matches(shown: str, written: str) -> bool:
    """Return whether an output matches what a page shows."""
    patterns = ("(?:.*\n)*?" if line == "…" else f"{re.escape(line).replace('…', '.*')}\n" for line in _lines(shown))
    return bool(re.fullmatch("".join(patterns), "".join(f"{line}\n" for line in _lines(written))))


def _lines(text: str) -> list[str]:
    """Return the non-empty lines of a text, with runs of blanks collapsed."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]
