"""One consistent snapshot of a container: read while it is frozen, or with everything that changes read again."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, NamedTuple

from dockyard.engine.models import Container
from dockyard.errors import DockyardError
from dockyard.scan.freeze import Freezer, Group, group_of
from dockyard.scan.layer import BUDGET, TOUCHED, Budget, Change, Walk
from dockyard.scan.running import Code, codes, processes_of
from dockyard.scan.token import Tokens, planted
from dockyard.scan.where import Place

if TYPE_CHECKING:
    from dockyard.scan.fanotify import Journal

ROUNDS = 5  # how often what moved during a walk is read again
TRIES = 3  # of freezing a container
RESERVE = 0.01  # seconds of a pause that are kept to begin a journal
OFTEN = 2000  # changes after which the journal is read
MOVED = 100_000  # paths that moved and are remembered
AT_A_TIME = 64  # changes until the clock is looked at again
LENGTH = 32 * 1024 * 1024  # characters of these
STILL, FROZEN, WATCHED = "still", "frozen", "watched"
"""How a snapshot is kept consistent: nothing runs, all was frozen, or what changed was read again."""


class Proof(NamedTuple):
    """The canary changes that a scan makes: none, a new file, or with `all_kinds` one of each kind.

    `container` limits them to one container; `file` is the path of the new file.
    """

    wanted: bool = True
    all_kinds: bool = False
    container: str = ""
    file: str = ""

    def concerns(self, container: Container) -> bool:
        """Return whether they are made in a container."""
        return self.wanted and bool(container.pid) and (not self.container or self.container == container.name)


def walk_of(place: Place, budget: Budget = BUDGET, *, defer: bool = False) -> Walk:
    """Return a walk of a place."""
    return Walk(
        place.upper,
        place.layers,
        budget,
        defer=defer,
        marks=place.marks,
        whole=place.is_whole,
        ids=place.image_ids,
    )


class Reading:
    """One reading of a container, until it is closed; everything but `changes` is final once these are consumed."""

    def __init__(self, place: Place, budget: Budget, *, defer: bool) -> None:
        self.walk = walk_of(place, budget, defer=defer)
        self.place = place
        self.changes: Iterable[Change] = ()
        self.how = STILL
        self.paused = 0.0
        self.codes: list[Code] = []
        self.changed_codes: frozenset[str] = frozenset()
        self.tokens: Tokens | None = None
        self.notes: list[str] = []
        self.problems: list[str] = []
        self.moved: list[str] = []
        self.is_consistent = True
        self._journals = ExitStack()

    def follow(self) -> "Journal | None":
        """Start a journal of changes; if that is impossible, it is noted as a problem."""
        from dockyard.scan.fanotify import Journal

        try:
            return self._journals.enter_context(Journal([self.place.upper]))
        except DockyardError as error:
            self.problems.append(f"it was neither frozen nor watched: {error}")
            self.is_consistent = False
            return None

    def close(self) -> None:
        """End what was begun for it."""
        self._journals.close()

    def less_tokens(self, found: list[Change]) -> list[Change]:
        """Return changes without the scan's own, which are noted as found."""
        tokens = self.tokens
        return [change for change in found if not tokens.owns(change)] if tokens else found

    def where_tokens_were(self) -> Iterator[Change]:
        """Yield what differs where tokens were, now that they are gone."""
        return self.walk.again(self.tokens.planted) if self.tokens else iter(())

    def note_processes(self, pids: Iterable[int]) -> None:
        """Note what processes run, and which of it differs from the image."""
        self.codes, unseen = codes(pids)
        walk = walk_of(self.place, self.walk.tally.budget)
        paths = {code.path for code in self.codes}
        self.changed_codes = frozenset(change.path for change in walk.again(paths) if change.what != TOUCHED)
        unseen += sum(walk.unjudged.values())
        if unseen:
            self.problems.append(f"{unseen} processes could not be inspected")


def reading_of(
    container: Container, place: Place, freezer: Freezer | None, proof: Proof, budget: Budget = BUDGET
) -> Reading:
    """Start to read a container; without a freezer, or if that takes too long, with a journal of changes.

    Raises OSError if there is nothing to read.
    """
    if not container.pid:
        return _still(place, budget)
    group: Group | None = None
    problem = ""
    try:
        group = group_of(container.id, container.pid)
        if freezer and container.status != "paused":
            frozen = _frozen_at_last(container, place, freezer, group, proof, budget)
            if frozen:
                return frozen
    except DockyardError as error:
        problem = str(error)
    watched = _watched(container, place, group, proof, budget)
    if problem:
        watched.notes.append(problem)
    return watched


def _still(place: Place, budget: Budget) -> Reading:
    reading = Reading(place, budget, defer=False)
    reading.changes = reading.walk.changes()
    return reading


def _frozen_at_last(  # noqa: PLR0913, PLR0917 - what is read, and how
    container: Container, place: Place, freezer: Freezer, group: Group, proof: Proof, budget: Budget
) -> Reading | None:
    """Do as `_frozen`, several times where the host is too busy to read while the container stands still.

    What was read once is read faster, which helps a user: only root can watch what there was no time for.
    Raises DockyardError where it could not be frozen at the last try.
    """
    for left in reversed(range(TRIES)):
        try:
            frozen = _frozen(container, place, freezer, group, proof, budget)
            if frozen and (frozen.is_consistent or not left):
                return frozen
            if frozen:
                frozen.close()
        except DockyardError:
            if not left:
                raise
    return None


def _frozen(  # noqa: PLR0913, PLR0917 - what is read, and how
    container: Container, place: Place, freezer: Freezer, group: Group, proof: Proof, budget: Budget
) -> Reading | None:
    """Read everything but contents while a container is frozen; the rest is read with a journal if time runs out.

    Returns None if it was thawed before the journal had started.
    """
    import dockyard.scan.fanotify  # noqa: F401 - now, as that takes its time

    reading = Reading(place, budget, defer=True)
    changes = reading.walk.changes()
    journal = None
    with freezer.frozen(group) as pause:
        with _Planting(container, reading, proof):
            found, is_all = _until(time.monotonic() + freezer.cap - RESERVE, changes)
            found = reading.less_tokens(found)
            found += reading.less_tokens(_missed_tokens(reading))
            if is_all:
                reading.note_processes(group.processes())
        if not is_all:
            journal = reading.follow()
    if not pause.was_whole:
        reading.close()
        return None
    reading.paused = pause.seconds
    reading.how = FROZEN if is_all else WATCHED
    reading.changes = _then(found, reading) if is_all else _rest(found, changes, reading, journal, group)
    return reading


def _until(deadline: float, changes: Iterator[Change]) -> tuple[list[Change], bool]:
    """Return changes as far as they come before the deadline, or little later, and whether that is all."""
    found: list[Change] = []
    for change in changes:
        found.append(change)
        if not len(found) % AT_A_TIME and time.monotonic() > deadline:
            return found, False
    return found, True


def _then(found: list[Change], reading: Reading) -> Iterator[Change]:
    yield from found
    yield from reading.where_tokens_were()
    yield from reading.walk.compare()


def _rest(
    found: list[Change], changes: Iterator[Change], reading: Reading, journal: "Journal | None", group: Group
) -> Iterator[Change]:
    """Yield what was found while a container was frozen, and read the rest."""
    yield from found
    reading.walk.compare_at_once()
    noted = Noted(reading.place.upper)
    yield from _followed(reading, changes, journal, noted)
    reading.note_processes(group.processes())
    yield from reading.where_tokens_were()
    yield from reading.walk.compare()
    yield from _moved(reading, journal, noted)


def _missed_tokens(reading: Reading) -> list[Change]:
    """Return what tells of tokens that were not yet come to, or that only bytes tell of: they are gone soon."""
    tokens = reading.tokens
    if not tokens or not tokens.missing:
        return []
    place = reading.place
    return list(walk_of(place).again(tokens.planted))


def _watched(container: Container, place: Place, group: Group | None, proof: Proof, budget: Budget) -> Reading:
    reading = Reading(place, budget, defer=False)
    reading.how = WATCHED
    reading.changes = _all_followed(container, reading, group, proof)
    return reading


def _all_followed(container: Container, reading: Reading, group: Group | None, proof: Proof) -> Iterator[Change]:
    """Yield the differences; entries that change in the meantime are added to `moved` and yielded again."""
    noted = Noted(reading.place.upper)
    journal = reading.follow() if container.status != "paused" else None
    with _Planting(container, reading, proof):
        yield from _followed(reading, reading.walk.changes(), journal, noted)
        reading.note_processes(group.processes() if group else processes_of(container.pid))
    yield from reading.where_tokens_were()
    yield from _moved(reading, journal, noted)


def _followed(
    reading: Reading, changes: Iterator[Change], journal: "Journal | None", noted: "Noted"
) -> Iterator[Change]:
    """Yield changes except the scan's own, and note what changes in the meantime."""
    for number, change in enumerate(changes, 1):
        if not (reading.tokens and reading.tokens.owns(change)):
            yield change
        if journal and not number % OFTEN:  # or whatever else moves on the host fills the kernel's queue
            noted.look(journal)


def _moved(reading: Reading, journal: "Journal | None", noted: "Noted") -> Iterator[Change]:
    """Yield what differs where something has moved, until nothing does that has not told anything."""
    if not journal:
        return
    told: set[str] = set()
    for _ in range(ROUNDS):
        noted.look(journal)
        moved = noted.taken() - told
        if not moved:
            break
        reading.moved += moved
        for change in reading.walk.again(moved):
            if change.path in moved:
                told.add(change.path)
            yield change
    noted.look(journal)
    if noted.taken() - told:
        reading.problems.append("it changes faster than it can be read")
    if not noted.is_certain:
        reading.problems.append("more changed in it than could be followed")


class Noted:
    """What a journal has reported about one upper directory so far."""

    def __init__(self, upper: str) -> None:
        self.upper = upper
        self.is_certain = True
        self._paths: set[str] = set()
        self._length = 0

    def look(self, journal: "Journal") -> None:
        """Read what there is to read."""
        from dockyard.scan.fanotify import events_below

        batch = journal.read(0)
        # A directory that is gone, and that nobody can tell the place of, was elsewhere, or it went with one above it
        # whose parent is still there, and that is told of. So it is enough that no event was lost.
        self.is_certain = self.is_certain and not batch.overflowed
        if len(self._paths) < MOVED and self._length < LENGTH:
            new = events_below(batch, self.upper) - self._paths
            self._length += sum(map(len, new))
            self._paths |= new
        else:
            self.is_certain = False

    def taken(self) -> set[str]:
        """Return the paths, and forget them."""
        paths, self._paths, self._length = self._paths, set(), 0
        return paths


class _Planting:
    """Plant canaries for the block if requested; if that fails, the scan continues."""

    def __init__(self, container: Container, reading: Reading, proof: Proof) -> None:
        self.container, self.reading, self.proof = container, reading, proof
        self.stack = ExitStack()

    def __enter__(self) -> None:
        container, proof = self.container, self.proof
        if not proof.concerns(container):
            return
        if container.is_read_only:
            self.reading.notes.append("no canary: it is read-only")
            return
        try:
            tokens = planted(container.pid, self.reading.place, proof.file, prove=proof.all_kinds)
            self.reading.tokens = self.stack.enter_context(tokens)
        except OSError as error:
            place = f"{proof.file}: " if proof.file else ""
            self.reading.problems.append(f"no canary could be created: {place}{error.strerror}")
        except DockyardError as error:
            self.reading.problems.append(f"no canary could be created: {error}")

    def __exit__(self, *failure: object) -> None:
        try:
            self.stack.close()
        except OSError as error:
            self.reading.problems.append(f"the canary could not be removed: {error.strerror}")


def root_device(pid: int) -> int:
    """Return the device of a container's root as its processes' files have it; 0 if it is not known."""
    with suppress(OSError):
        return os.stat(f"/proc/{pid}/root").st_dev  # noqa: PTH116 - a link of the kernel's
    return 0
