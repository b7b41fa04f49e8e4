"""One scan of all containers: finds their layers and the differences there, except expected ones."""

import datetime as dt
import gc
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

from dockyard.engine.entries import EngineEntry
from dockyard.errors import DockyardError
from dockyard.layers.store import Store, store_of
from dockyard.plan.switch import base_name
from dockyard.scan.budget import is_within
from dockyard.scan.content import Content, Layers
from dockyard.scan.engine_entries import EngineEntries
from dockyard.scan.freeze import Freezer
from dockyard.scan.layer import BUDGET, NEW, TOUCHED, Budget, Change
from dockyard.scan.reading import Proof, Reading, reading_of, root_device
from dockyard.scan.report import LISTED, Finding, Scanned, judged, worst_first
from dockyard.scan.rules import Expectations, Rule
from dockyard.scan.running import not_of_the_image
from dockyard.scan.undeclared import Sources
from dockyard.scan.where import Place, placed

if TYPE_CHECKING:
    from dockyard.engine.models import Container
    from dockyard.yard import Yard

KEPT = 20_000  # findings of a container; more are counted
ROOM = 32 * 1024 * 1024  # characters of their paths: those of directories in each other grow with their square


class Options(NamedTuple):
    """What is scanned, and how; `names` limits it to some containers, `rules` say what is expected.

    `entries` are the entries that the engine creates in containers.
    `stopped` includes stopped containers, `touched` also reports touched files. Without `consistent`, running processes
    are not inspected. `difference` returns how a text differs, in printable lines.
    """

    rules: tuple[Rule, ...] = ()
    names: frozenset[str] = frozenset()
    stopped: bool = False
    touched: bool = False
    freeze: bool = True
    consistent: bool = True
    proof: Proof = Proof()
    budget: Budget = BUDGET
    difference: Callable[[Place, Change], list[str]] | None = None
    entries: tuple[EngineEntry, ...] = ()


def scan_all(yard: "Yard", options: Options) -> list[Scanned]:
    """Scan every requested container. One that started or ended in the meantime is reported as not judged."""
    yard.forget_rows()
    before = _wanted(yard, options)
    containers = yard.engine.containers(list(before)) if before else []
    sources, store = Sources(yard, containers), store_of(yard.engine)
    with Freezer() as freezer:
        held = freezer if options.freeze else None
        found = [scan(one, store, options, sources, held) for one in containers]
    after = _wanted(yard, options)
    done = {one.id for one in found}
    gone = [(name, one, "it ended before it was scanned") for one, name in before.items() if one not in done]
    came = [(name, one, "it started during the scan") for one, name in after.items() if one not in before]
    found += [Scanned(name, one, unjudged={reason: 1}) for name, one, reason in (*gone, *came)]
    return sorted(found, key=lambda one: one.name)


def _wanted(yard: "Yard", options: Options) -> dict[str, str]:
    """Return the names of the containers to scan, by id."""
    rows = (row for row in yard.engine.rows() if options.stopped or row.is_up)
    return {
        row.id: row.name for row in rows if not options.names or row.name in options.names or row.id in options.names
    }


def scan(  # noqa: PLR0913, PLR0917 - what is scanned, and beside what
    container: "Container",
    store: Store | None,
    options: Options,
    sources: Sources | None = None,
    freezer: Freezer | None = None,
    place: Place | None = None,
) -> Scanned:
    """Scan one container; reasons why it could not be judged are in the result.

    In the middle of a switch, a container has the rules of its service.
    `store` is as in `placed`, whose result may be given as `place`. Without `sources` it is not compared with any.
    """
    began = time.monotonic()

    def unread(reason: str) -> Scanned:
        return Scanned(container.name, container.id, unjudged={reason: 1})

    try:
        with nullcontext(place) if place else placed(container, store) as here:
            if not options.consistent:
                container = container._replace(pid=0)
            reading = reading_of(container, here, freezer, options.proof, options.budget)
            told = _Told(container, sources, reading, options)
            with closing(reading), _uncollected():
                told.read()
    except DockyardError as error:
        return unread(str(error))
    except OSError as error:
        return unread(f"its layers cannot be read: {error.strerror}")
    return told.scanned(time.monotonic() - began)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Disable garbage collection in the block: there are no cycles, and it would visit all findings each time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Told:
    """Collects the findings of one container."""

    def __init__(self, container: "Container", sources: Sources | None, reading: Reading, options: Options) -> None:
        self.container, self.sources, self.reading, self.options = container, sources, reading, options
        self.findings: dict[tuple[str, str], Finding] = {}
        self.omitted = 0
        self.room = ROOM
        self.problems: list[str] = []
        self.used: Mapping[Rule, int] = {}

    def read(self) -> None:
        """Read everything, and collect what no rule covers. Raises OSError if there is nothing to read."""
        today = dt.datetime.now(tz=dt.UTC).date()
        place = self.reading.place
        with Layers(place.upper, place.layers) as content:
            expected = Expectations(base_name(self.container.name), self.options.rules, today, content)
            moved = self.reading.moved
            for change in expected.told(self._changes(content)):
                if moved:
                    self._forget_moved()
                self._keep(change)
            for change in expected.told(self._beside()):
                self._keep(change)
        self.used = expected.used
        self._tell_differences()

    def _changes(self, content: Content) -> Iterator[Change]:
        """Yield the differences, except those of the scan and the engine, and irrelevant ones."""
        reading, place, touched = self.reading, self.reading.place, self.options.touched
        is_mapped = any(place.ids)
        engines = EngineEntries(self.container, place, self.options.entries)
        for change in reading.changes:
            if (touched or change.what != TOUCHED) and not (
                change.path in engines.paths and engines.has(change, content)
            ):
                yield change.seen_by(place.ids) if is_mapped else change

    def _beside(self) -> Iterator[Change]:
        """Yield running code that is not from the image, and what no source declares."""
        place = self.reading.place
        if self.container.pid:
            device = root_device(self.container.pid)
            runs = not_of_the_image(self.reading.codes, device, place.mounts, self.reading.changed_codes)
            yield from (change.seen_by(place.ids) for change in runs)
        if not self.sources:
            return
        compared = self.sources.compared(self.container, place.mounted if self.container.pid else frozenset())
        self.problems += compared.problems
        yield from compared.changes

    def _forget_moved(self) -> None:
        """Discard the findings of entries that changed: they are being read again."""
        if not self.reading.moved:
            return
        moved = {path.rstrip("/") for path in self.reading.moved}
        self.reading.moved.clear()
        for key in [key for key in self.findings if is_within(key[0], moved)]:
            del self.findings[key]
            self.room += len(key[0])

    def _keep(self, change: Change) -> None:
        key = (change.path, change.what)
        if key not in self.findings:
            if len(self.findings) >= KEPT or self.room < len(change.path):
                self.omitted += 1
                return
            self.room -= len(change.path)
        self.findings[key] = judged(change)

    def _tell_differences(self) -> None:
        """Add differences of edited texts, only for listed findings: this reads each file once more."""
        if not self.options.difference:
            return
        for finding in worst_first(self.findings.values())[:LISTED]:
            change = finding.change
            if change.kind == "file" and change.what != NEW:
                told = finding._replace(difference=tuple(self.options.difference(self.reading.place, change)))
                self.findings[change.path, change.what] = told

    def scanned(self, seconds: float) -> Scanned:
        """Return the result."""
        reading, walk = self.reading, self.reading.walk
        tokens = reading.tokens
        unseen = tokens.missing if tokens else []
        problems = [*reading.problems, *self.problems, *(f"the canary was not found: {what}" for what in unseen)]
        unjudged = dict(walk.unjudged)
        for problem in problems:
            unjudged[problem] = unjudged.get(problem, 0) + 1
        return Scanned(
            self.container.name,
            self.container.id,
            tuple(self.findings.values()),
            unjudged,
            dict(walk.example),
            walk.entries,
            seconds,
            self.omitted,
            reading.how,
            reading.paused,
            tuple(what for path, what in tokens.planted.items() if path in tokens.found) if tokens else (),
            tuple(reading.notes),
            self.used,
        )
