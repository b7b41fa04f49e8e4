"""Holding a control group still: never for longer than the cap, and nothing that somebody else holds still."""

import os
import signal
from pathlib import Path

import pytest

from dockyard.errors import DockyardError
from dockyard.scan.freeze import Freezer, Group

ON, OFF = b"FROZEN", b"THAWED"


@pytest.fixture
def group(tmp_path: Path) -> Group:
    """A control group as far as its one file goes, which says that it is still as soon as it is to be."""
    (tmp_path / "state").write_bytes(OFF)
    return Group(tmp_path, "state", ON, OFF, "state", ON)


def test_still_during_the_block(group: Group) -> None:
    """It is frozen within, thawed after, and known to have been so until the end."""
    with Freezer(cap=60) as freezer, freezer.frozen(group) as pause:
        assert group.is_still()
    assert not group.is_still()
    assert pause.was_whole


def test_what_is_paused_already(group: Group) -> None:
    """Whoever has paused a container meanwhile finds it paused afterwards."""
    group.set(ON)
    with Freezer() as freezer, pytest.raises(DockyardError, match="frozen already"), freezer.frozen(group):
        pass
    assert group.is_still()


def test_what_another_thaws(group: Group) -> None:
    """A second scan, or whoever lets the container go on, is told from a whole pause."""
    with Freezer(cap=60) as freezer:
        with freezer.frozen(group) as pause:
            group.set(OFF)
        assert not pause.was_whole


def test_container_that_is_removed_meanwhile(group: Group) -> None:
    """It was not whole, and the next one is frozen all the same."""
    with Freezer(cap=60) as freezer:
        with freezer.frozen(group) as pause:
            (group.path / "state").unlink()
            group.path.rmdir()
        assert not pause.was_whole
        group.path.mkdir()
        (group.path / "state").write_bytes(OFF)
        with freezer.frozen(group) as pause:
            pass
        assert pause.was_whole


def test_guard_that_is_killed(group: Group) -> None:
    """What it has frozen is thawed, and the next container has a guard of its own."""
    with Freezer(cap=60) as freezer:
        with freezer.frozen(group) as pause:
            os.kill(freezer.guard, signal.SIGKILL)
        assert not group.is_still()
        assert not pause.was_whole
        with freezer.frozen(group) as pause:
            os.kill(freezer.guard, 0)
        assert pause.was_whole
        os.kill(freezer.guard, signal.SIGKILL)
        with pytest.raises(DockyardError, match="guard"), freezer.frozen(group):
            pass
        assert not group.is_still()
