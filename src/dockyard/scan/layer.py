"""A container's upper directory, read from the host: all that differs from the image below it.

Nothing is opened but regular files and directories, no link is followed, no path is ever given to the kernel whole, and
the container notices nothing. What cannot be judged is counted: a walk is complete, or says that it is not.
The kernel's own marks (whiteouts, opaque directories, origins) are described in docs/decisions/scanning.md.
"""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from dockyard.engine.models import IdMap
from dockyard.scan.attributes import has_named_marks, namespaces
from dockyard.scan.budget import BUDGET, Budget, StoppedError, Tally, is_within
from dockyard.scan.change import DELETED, EDITED, METADATA, NEW, REPLACED, TOUCHED, TYPE, Change
from dockyard.scan.compare import Pending
from dockyard.scan.descent import Descent, Frame
from dockyard.scan.judge import Judge
from dockyard.scan.lower import deleted_by, is_named_mark, is_whiteout

__all__ = [
    "BUDGET",
    "DELETED",
    "EDITED",
    "METADATA",
    "NEW",
    "REPLACED",
    "TOUCHED",
    "TYPE",
    "Budget",
    "Change",
    "Walk",
]


class Walk:
    """One reading of an upper directory; `layers` are the image's directories, the uppermost first.

    With `defer` no file is read during `changes` and `again`: copies that are as large as the image's wait for
    `compare`. `marks` begin the overlay's own attributes (see dockyard.scan.attributes); `ids` map the image's owners.
    `whole` is for a directory that holds the whole tree of a container: what it lacks is deleted.
    Afterwards `unjudged` counts what could not be judged, by reason; `example` has one path of each.
    """

    def __init__(  # noqa: PLR0913 - what is read, and how
        self,
        upper: str,
        layers: Sequence[str],
        budget: Budget = BUDGET,
        *,
        defer: bool = False,
        marks: tuple[str, ...] | None = None,
        whole: bool = False,
        ids: IdMap | None = None,
    ) -> None:
        self.whole = whole
        self.upper, self.layers = upper, layers
        self.marks = namespaces() if marks is None else marks
        self.tally = Tally(budget)
        self._pending = Pending()
        self._judge = Judge(self.marks, self.tally, self._pending if defer else None, ids)

    @property
    def entries(self) -> int:
        """How many entries were looked at."""
        return self.tally.entries

    @property
    def unjudged(self) -> Counter[str]:
        """How many could not be judged, by reason."""
        return self.tally.unjudged

    @property
    def example(self) -> dict[str, str]:
        """One path for each of those reasons where there is one."""
        return self.tally.example

    @property
    def failed(self) -> dict[str, str]:
        """The first of the paths that could not be judged, with the reasons: `again` may settle them."""
        return self.tally.failed

    @property
    def is_complete(self) -> bool:
        """Whether everything was judged; what waits for `compare` is not yet."""
        return not self.tally.unjudged

    def changes(self) -> Iterator[Change]:
        """Yield what differs, directories before what is in them. Raises OSError where there is nothing to read."""
        with self._descent() as way, suppress(StoppedError):
            yield from self._read(way)
            yield from self._below(way)

    def again(self, paths: Iterable[str]) -> Iterator[Change]:
        """Yield what differs at these paths and below them, and take back what could not be judged there.

        A path that is gone is none, nor is one that only leads there. Raises OSError as `changes` does.
        """
        wanted = {path.rstrip("/") for path in paths}
        self.tally.forget(wanted)
        self._pending.forget(wanted)
        outermost = sorted(path for path in wanted if not path or not is_within(path.rpartition("/")[0], wanted))
        with self._descent() as way, suppress(StoppedError):
            for path in outermost:
                yield from self._one(way, path)

    def compare(self) -> Iterator[Change]:
        """Yield what is to be told of the copies that wait, each compared with the image's.

        One that is no longer where it was, or as it was, cannot be judged; what else was different in it is told.
        Raises OSError as `changes` does; then they still wait.
        """
        if not self._pending:
            return
        with self._descent() as way:
            for directory, records in self._pending.take():
                yield from self._judge.late(way, directory, records)

    def compare_at_once(self) -> None:
        """Read files as they come from now on; what waits for `compare` still does."""
        self._judge.pending = None

    def _descent(self) -> Descent:
        return Descent(self.upper, self.layers, self.marks, whole=self.whole)

    # ------------------------------------------------------------------------------------------------------- the walk
    def _below(self, way: Descent) -> Iterator[Change]:
        """Read all that waits in the directory that the way leads to, and come back to it."""
        floor = len(way.frames)
        while True:
            name = way.last.next_name()
            try:
                if name is not None:
                    way.enter(name)
                elif len(way.frames) > floor:
                    way.leave()
                    continue
                else:
                    return
            except OSError as error:
                self.tally.fail(way.path if name is None else f"{way.path}/{name}", error)
                if name is None:
                    raise StoppedError from None  # the way back is lost, and what waited there
                continue
            yield from self._read(way)

    def _read(self, way: Descent) -> Iterator[Change]:
        """Yield what differs in one directory, and remember the directories in it."""
        frame, path, tally, judge = way.last, way.path, self.tally, self._judge
        has_image = bool(frame.layers)
        try:
            with os.scandir(frame.here) as entries:
                for entry in entries:
                    tally.count()
                    name = entry.name
                    try:
                        status = entry.stat(follow_symlinks=False)
                        if is_named_mark(name, status, self.marks):
                            if has_image:
                                yield from judge.marked(frame, path, deleted_by(name))
                            continue
                        if stat.S_ISDIR(status.st_mode):
                            self._wait(way, path, name)
                        if has_image or (is_whiteout(status) and has_named_marks(self.marks)):
                            yield from judge.beside(frame, path, name, status)
                        else:
                            yield judge.new(frame, path, name, status)
                    except OSError as error:
                        tally.fail(f"{path}/{name}", error)
            if frame.hides and has_image:
                yield from judge.hidden(frame, path)
        except OSError as error:
            tally.fail(path, error)

    def _wait(self, way: Descent, path: str, name: str) -> None:
        """Have a directory read later; it is judged even if there is no room for what is in it."""
        try:
            way.wait(name)
        except OSError as error:
            self.tally.fail(f"{path}/{name}", error)

    def _one(self, way: Descent, path: str) -> Iterator[Change]:
        above, _, name = path.rpartition("/")
        try:
            frame = way.go(above.split("/")[1:])
            if not path:
                yield from self._read(way)
            else:
                yield from self._look(way, frame, above, name)
        except (FileNotFoundError, NotADirectoryError):
            return  # what leads there is gone, and that is an entry of its own
        except OSError as error:
            self.tally.fail(path, error)
            return
        yield from self._below(way)

    def _look(self, way: Descent, frame: Frame, above: str, name: str) -> Iterator[Change]:
        self.tally.count()
        try:
            status = os.stat(name, dir_fd=frame.here, follow_symlinks=False)
        except FileNotFoundError:
            if frame.hides:
                yield from self._judge.hidden(frame, above, name)
            return
        try:
            if stat.S_ISDIR(status.st_mode):
                self._wait(way, above, name)
            yield from self._judge.beside(frame, above, name, status)
        except OSError as error:
            self.tally.fail(f"{above}/{name}", error)
