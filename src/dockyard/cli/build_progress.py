"""A build on a terminal: one line for each step, live while it runs; the whole log only if the build fails."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dockyard.build_steps import CACHED, DONE, Step, Steps
from dockyard.telling import Listener
from dockyard.text import printable

if TYPE_CHECKING:
    from rich.table import Table

REFRESHES = 4  # a second
SAVED = 16 * 1024 * 1024  # characters of the log, the last ones
_MARKS = {DONE: ("✓", "green"), CACHED: ("✓", "dim"), "": ("…", "yellow")}


class _Live:
    """The steps of one build on the terminal."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self.steps = Steps()
        self.log: list[str] = []
        self.unclaimed: list[str] = []
        self._shown = 0
        self._lock = threading.Lock()
        self.live = Live(
            console=Console(stderr=True),
            get_renderable=self._table,
            refresh_per_second=REFRESHES,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def show(self, line: str) -> None:
        """Take a line of the build."""
        with self._lock:
            self.log.append(line)
            if not self.steps.read(line):
                self.unclaimed.append(line)
            ended, self._shown = self.steps.ended[self._shown :], len(self.steps.ended)
        for step in ended:
            if step.is_of_dockerfile:
                self.live.console.print(self._rows([step]))

    def whole_log(self) -> str:
        """Return all that the build wrote."""
        return "".join(self.log)[-SAVED:]

    def _table(self) -> "Table":
        with self._lock:
            return self._rows(self.steps.running)

    def _rows(self, steps: tuple[Step, ...] | list[Step]) -> "Table":
        import time

        from rich.table import Table
        from rich.text import Text

        rows = Table(box=None, pad_edge=False, show_header=False, expand=True)
        rows.add_column(width=1)
        rows.add_column(ratio=3, no_wrap=True, overflow="ellipsis")
        rows.add_column(ratio=2, no_wrap=True, overflow="ellipsis")
        rows.add_column(width=7, justify="right", no_wrap=True)
        for step in steps:
            mark, style = _MARKS.get(step.result, ("✗", "red"))
            seconds = step.seconds if step.result else time.monotonic() - step.began
            detail = step.detail if not step.result else CACHED if step.result == CACHED else ""
            rows.add_row(
                Text(mark, style=style),
                Text(printable(step.name)),
                Text(printable(detail), style="dim"),
                Text(f"{seconds:.1f} s"),
            )
        return rows


@contextmanager
def live_build() -> Iterator[Listener]:
    """Yield what shows the lines of a build as its steps; then what belongs to no step, such as warnings.

    If the block fails, the whole log follows instead.
    """
    shown = _Live()
    try:
        with shown.live:
            yield shown.show
    except Exception:
        sys.stderr.write(shown.whole_log())
        sys.stderr.flush()
        raise
    sys.stderr.write("".join(shown.unclaimed).strip("\n") + "\n" * bool(shown.unclaimed))
