"""Pages of the documentation as programs: their blocks of code in order, and what they show of the output.

A block of `sh` is pasted as it stands. In one of `console`, `$ ` begins a command and `> ` goes on with it; all other
lines are what it writes. `…` stands for any text, alone in a line for any lines; blanks and empty lines do not
count.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

FENCED = re.compile(r"^```(sh|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MARK = "end of step"


class Step(NamedTuple):
    """A command as it is pasted, and what it is to write; None where the page does not show it."""

    command: str
    shown: str | None = None


def steps(page: str, names: Mapping[str, str]) -> list[Step]:
    """Return what a page has its reader do, with `names` of the tests' own in place of the page's."""
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
    """Return a script for a shell, which ends at the first failure; all that it writes is on stdout."""
    return "exec 2>&1\n" + "".join(f"{step.command.rstrip()}\nprintf '\\n{MARK}\\n'\n" for step in page)


def outputs(written: str) -> list[str]:
    """Return what each step of a script has written."""
    return [part.strip("\n") for part in written.split(f"\n{MARK}\n")[:-1]]


def matches(shown: str, written: str) -> bool:
    """Return whether a text is what a page shows of it."""
    patterns = ("(?:.*\n)*?" if line == "…" else f"{re.escape(line).replace('…', '.*')}\n" for line in _lines(shown))
    return bool(re.fullmatch("".join(patterns), "".join(f"{line}\n" for line in _lines(written))))


def _lines(text: str) -> list[str]:
    """Return the lines of a text that are not empty, each with single blanks."""
    return [" ".join(line.split()) for line in text.splitlines() if line.strip()]
