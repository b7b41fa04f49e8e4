"""A picture of a container is whole, or is taken in another way."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from dockyard.engine.models import Container as Known
from dockyard.errors import DockyardError
from dockyard.scan import fanotify, reading
from dockyard.scan.fanotify import Batch, Event
from dockyard.scan.freeze import Freezer, Group, Pause
from dockyard.scan.reading import FROZEN, WATCHED, Proof, Reading, reading_of
from tests.unit.scan.inside import Container

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    """A running container with two changes."""
    made = Container(tmp_path)
    made.start()
    (made.merged / "new").touch()
    (made.merged / "late").touch()
    yield made
    made.stop()


class _Untrue(Freezer):
    """Holds nothing still, and tells that it did so until all was read, or that it did not."""

    def __init__(self, cap: float, *, was_whole: bool = True) -> None:
        super().__init__(cap)
        self._was_whole = was_whole

    @contextmanager
    def frozen(self, group: Group) -> Iterator[Pause]:  # noqa: ARG002 - whose is all the same
        pause = Pause()
        yield pause
        pause.was_whole = self._was_whole


@pytest.fixture
def read(container: Container, monkeypatch: pytest.MonkeyPatch) -> Callable[[Freezer], Reading]:
    """Return what begins to read the container, and looks at the clock at each change."""
    group = Group(Path("/proc/self/nothing"), "", b"", b"", "", b"")
    monkeypatch.setattr(reading, "group_of", lambda *_: group)
    monkeypatch.setattr(reading, "AT_A_TIME", 1)
    known = Known("0" * 64, "web", "running", "1" * 64, pid=container.pid)
    return lambda freezer: reading_of(known, container.place, freezer, Proof())


@pytest.mark.parametrize("cap", [0.0, 60.0])
def test_what_could_not_be_read_in_time(read: Callable[[Freezer], Reading], cap: float) -> None:
    """A guard that wakes up late makes no whole picture of one that was cut; the rest is read all the same."""
    with closing(read(_Untrue(cap))) as found:
        assert (found.how == FROZEN) == bool(cap)
        assert {"/new", "/late"} <= {change.path for change in found.changes}
        assert found.tokens
        assert not found.tokens.missing
        assert not found.problems


def test_what_moves_after_a_pause_that_was_too_short_is_read_again(
    container: Container, read: Callable[[Freezer], Reading]
) -> None:
    """The journal begins before the container goes on."""
    with closing(read(_Untrue(0))) as found:
        others = "rm new late; mkdir new late; touch later"  # what the scan's own process does is not told
        subprocess.run(("sh", "-c", others), cwd=container.merged, check=True)  # noqa: S607
        told = [(change.path, change.kind) for change in found.changes]
        assert {("/new", "directory"), ("/late", "directory"), ("/later", "file")} <= set(told)
        assert {"/new", "/late", "/later"} <= set(found.moved)
        assert found.how == WATCHED


def test_directories_that_are_gone_leave_no_doubt(container: Container, read: Callable[[Freezer], Reading]) -> None:
    """In the container the one above them that is left tells of them."""
    with closing(read(_Untrue(0))) as found:
        others = "rm late; mkdir -p late/deep/er; touch late/deep/er/file; rm -r late"
        subprocess.run(("sh", "-c", others), cwd=container.merged, check=True)  # noqa: S607
        told = {change.path for change in found.changes}
        assert "/late" in found.moved
        assert told <= {"/new", "/late"}
        assert not found.problems


def test_only_lost_events_leave_doubt() -> None:
    """Where a directory was that is gone cannot always be told."""

    class Told(NamedTuple):
        batch: Batch

        def read(self, _timeout: float) -> Batch:
            return self.batch

    gone = Event("", "x", frozenset(("created",)), 1, "", is_gone=True)
    for batch, is_certain in ((Batch([gone]), True), (Batch([gone], overflowed=True), False)):
        noted = reading.Noted("/upper")
        noted.look(Told(batch))  # type: ignore[arg-type]
        assert noted.is_certain == is_certain
        assert noted.taken() == set()


def test_a_picture_is_begun_anew_where_the_pause_ended_before_the_journal_began(
    read: Callable[[Freezer], Reading],
) -> None:
    """Nobody knows what moved in between."""
    with closing(read(_Untrue(0, was_whole=False))) as found:
        assert {"/new", "/late"} <= {change.path for change in found.changes}
        assert (found.how, found.paused) == (WATCHED, 0)


class _Busy(_Untrue):
    """Cannot hold anything still, or not for long enough, as often as that; then it can."""

    def __init__(self, *faults: type[Exception] | None) -> None:
        super().__init__(60.0)
        self.faults = list(faults)

    @contextmanager
    def frozen(self, group: Group) -> Iterator[Pause]:
        is_cut = bool(self.faults)
        if is_cut and (fault := self.faults.pop(0)):
            raise fault("it could not be frozen")
        with super().frozen(group) as pause:
            yield pause
        pause.was_whole = not is_cut


@pytest.mark.parametrize("faults", [(DockyardError,), (None,), (None, DockyardError), (DockyardError, None)])
def test_freezing_is_tried_again(
    read: Callable[[Freezer], Reading], faults: tuple[type[Exception] | None, ...]
) -> None:
    """A host that was too busy for a moment is no reason to watch: nothing is said of it."""
    with closing(read(_Busy(*faults))) as found:
        assert found.how == FROZEN
        assert found.notes == []


def test_without_a_journal_there_has_to_be_time(
    read: Callable[[Freezer], Reading], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A user cannot watch: where the time was too short, it is read once more, and INCOMPLETE at the last try."""

    def refuse(_: object) -> None:
        raise DockyardError("its file system cannot be watched")

    monkeypatch.setattr(fanotify, "Journal", refuse)
    caps = [0.0, 60.0]

    class Short(_Untrue):
        @contextmanager
        def frozen(self, group: Group) -> Iterator[Pause]:
            with super().frozen(group) as pause:
                yield pause
            self.cap = caps.pop(0) if caps else 0.0

    with closing(read(Short(0.0))) as found:
        assert (found.how, found.problems) == (FROZEN, [])
    with closing(read(Short(0.0))) as found:
        assert found.problems == ["it was neither frozen nor watched: its file system cannot be watched"]


def test_freezing_is_given_up(read: Callable[[Freezer], Reading]) -> None:
    """What cannot be frozen is watched, and the reason is noted."""
    with closing(read(_Busy(*[DockyardError] * 9))) as found:
        assert found.how == WATCHED
        assert found.notes == ["it could not be frozen"]
