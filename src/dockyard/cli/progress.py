"""Show the progress of many services: a live table on a terminal, otherwise one line for each event."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from dockyard.cli.output import Result, say, table
from dockyard.fleet.crew import RESULTS, Done, Watcher, exit_code
from dockyard.text import printable

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = 15  # lines of the output of a service that failed


class Lines:
    """A line on stderr for each event; `quiet`: only for what fails."""

    def __init__(self, *, quiet: bool = False) -> None:
        self.quiet = quiet

    def doing(self, name: str, what: str) -> None:
        """Report the current activity for a service."""
        if not self.quiet:
            say(f"{time.strftime('%H:%M:%S')} {name}: {what}")

    def done(self, done: Done) -> None:
        """Report how it ended, and, if it failed, the last of its output."""
        if done.is_ok and self.quiet:
            return
        what = done.text
        say(f"{time.strftime('%H:%M:%S')} {done.name}: {done.result}{f', {what}' if what else ''}")
        for line in () if done.is_ok else last_lines(done):
            say(f"  {done.name} | {line}")

    def tick(self) -> None:
        """Nothing moves on paper."""


def last_lines(done: Done) -> list[str]:
    """Return the last lines that the work on a service wrote, and the hint."""
    return [*done.output.rstrip().splitlines()[-SHOWN:], *done.hint.splitlines()]


class Live:
    """A table on the terminal that shows what each service is doing."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live as LiveTable

        self.state: dict[str, tuple[str, float, str]] = {}
        self.live = LiveTable(console=Console(stderr=True), auto_refresh=False, transient=True)
        self.failed: list[Done] = []
        self.shown = 0.0

    def doing(self, name: str, what: str) -> None:
        """Report the current activity for a service."""
        began = self.state.get(name, ("", time.monotonic(), ""))[1]
        self.state[name] = (what, began, "")
        self._show()

    def done(self, done: Done) -> None:
        """Report how it ended."""
        self.state[done.name] = (done.text or done.result, done.took, done.result)
        if not done.is_ok:
            self.failed.append(done)
        self._show()

    def tick(self) -> None:
        """Update the clocks."""
        if time.monotonic() - self.shown > 1:
            self._show()

    def _show(self) -> None:
        self.shown = time.monotonic()
        self.live.update(self._table(), refresh=True)

    def _table(self) -> "Table":
        from rich.table import Table
        from rich.text import Text

        shown = Table(box=None, pad_edge=False, show_header=False)
        for name, (what, clock, result) in self.state.items():
            seconds = clock if result else time.monotonic() - clock
            style = {"ok": "green", "": "yellow", "held": "yellow"}.get(result, "red")
            mark = {"ok": "✓", "": "…", "held": "="}.get(result, "✗")
            shown.add_row(
                Text(mark, style=style), Text(name), Text(f"{seconds:.0f} s", justify="right"), Text(printable(what))
            )
        return shown


@contextmanager
def watching(*, quiet: bool = False) -> Iterator[Watcher]:
    """Yield what shows a fleet's work, in the way that fits where stderr goes."""
    if quiet or not sys.stderr.isatty():
        yield Lines(quiet=quiet)
        return
    shown = Live()
    with shown.live:
        yield shown
    for done in shown.failed:
        for line in last_lines(done):
            say(f"{done.name} | {line}")


COLUMNS = ("service", "result", "seconds", "what")


def summary(finished: Sequence[Done], *, quiet: bool = False, **more: Any) -> Result:  # noqa: ANN401 - into the data
    """Return what a fleet's work came to: a row for each service, then how many did what."""
    listed = table([done.row for done in finished if not (quiet and done.is_ok)], COLUMNS)
    counts = {result: sum(done.result == result for done in finished) for result in RESULTS}
    told = ", ".join(f"{count} {result}" for result, count in counts.items() if count) or "nothing to do"
    lines = list(listed.lines) if quiet else [*listed.lines, told]
    return Result(lines, {"services": [done.row for done in finished], **more}, exit_code(finished))
