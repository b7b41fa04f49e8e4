"""What users read: one result, printed once, as text or as JSON; everything else goes to stderr."""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard import telling
from dockyard.masking import known
from dockyard.text import printable

if TYPE_CHECKING:
    from dockyard.plan.launch import LaunchPlan


class Result(NamedTuple):
    """What a command found or did: `data` for machines, `lines` for people. Without data there is nothing to list."""

    lines: Sequence[str] = ()
    data: Any = None
    exit_code: int = 0
    as_json: bool = False


def show(result: Result) -> int:
    """Print a result on stdout and return its exit code."""
    if result.as_json:
        import json

        print(known.hide(json.dumps(result.data, indent=2, ensure_ascii=True, default=str)))
    else:
        for line in result.lines:
            print(printable(known.hide(line)))
    return result.exit_code


def announce(plan: "LaunchPlan") -> None:
    """Print the notes on a launch, and which mounts the instance's user cannot use."""
    for note in plan.notes:
        say(f"note: {note}")
    for finding in plan.unfit:
        warn(f"{finding.where}: {finding.message}\n  hint: {finding.hint}")


def launched(plan: "LaunchPlan") -> Result:
    """Return the result of a launch; its notes are printed."""
    announce(plan)
    return Result([f"{plan.name} is up, from {plan.image}, {plan.image_id[:12]}"])


def say(text: str) -> None:
    """Print progress to stderr."""
    print(printable(known.hide(text)), file=sys.stderr, flush=True)


def warn(text: str) -> None:
    """Print a warning to stderr."""
    say(f"warning: {text}")


telling.listener = say


@contextmanager
def _build_display() -> Iterator[telling.Listener]:
    """Show a build as its steps on a terminal, and as it comes anywhere else."""
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from dockyard.cli.build_progress import live_build as display
    else:
        display = telling.as_it_comes
    with display() as show:
        yield show


telling.build_display = _build_display


def complain(program: str, lines: Iterable[str]) -> None:
    """Print an error: its first line after the program's name, hints beneath."""
    for number, line in enumerate(lines):
        print(known.hide(f"{program}: {line}" if not number else line), file=sys.stderr)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Result:
    """Return rows as a list: columns side by side, headed on a terminal, the whole rows as data."""
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    if sys.stdout.isatty() and rows:
        cells.insert(0, [column.upper().replace("_", " ") for column in columns])
    widths = [max((len(row[number]) for row in cells), default=0) for number in range(len(columns))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    return Result(lines, list(rows))


def _cell(value: object) -> str:
    if isinstance(value, (list, tuple)):
        return ",".join(str(item) for item in value) or "-"
    return "-" if value is None or value == "" else str(value)
