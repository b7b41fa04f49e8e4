"""A picture of a container is whole, or is taken in another way."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dockyard.engine.models import Container as Known
from dockyard.scan import reading
from dockyard.scan.freeze import Freezer, Group, Pause
from dockyard.scan.reading import FROZEN, Proof, reading_of
from tests.unit.scan.inside import Container

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    """A running container with one change."""
    made = Container(tmp_path)
    made.start()
    (made.merged / "new").touch()
    yield made
    made.stop()


class _Late(Freezer):
    """Holds nothing still, and tells that it did so until all was read."""

    @contextmanager
    def frozen(self, group: Group) -> Iterator[Pause]:  # noqa: ARG002 - whose is all the same
        pause = Pause()
        yield pause
        pause.was_whole = True


@pytest.mark.parametrize("cap", [0.0, 60.0])
def test_what_could_not_be_read_in_time(container: Container, monkeypatch: pytest.MonkeyPatch, cap: float) -> None:
    """A guard that wakes up late makes no whole picture of one that was cut."""
    group = Group(Path("/proc/self/nothing"), "", b"", b"", "", b"")
    monkeypatch.setattr(reading, "group_of", lambda *_: group)
    known = Known("0" * 64, "web", "running", "1" * 64, pid=container.pid)
    found = reading_of(known, container.place, _Late(cap), Proof(wanted=False))
    assert (found.how == FROZEN) == bool(cap)
    assert "/new" in {change.path for change in found.changes}
