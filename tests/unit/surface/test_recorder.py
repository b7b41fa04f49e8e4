"""Recording without an engine: whose a process is, what it asks for, and how a launch is told."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dockyard.errors import DockyardError
from dockyard.surface.asked import asked_by
from dockyard.surface.processes import SERVICE, Processes
from dockyard.surface.recorder import tell


def test_a_file_that_somebody_waits_to_open_is_known_by_the_name_that_they_use(tmp_path: Path):
    """A process waits for the other end of a pipe; it has asked for it by a relative path, through a link."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "name").symlink_to("pipe")
    argv = (sys.executable, "-c", "open('../here/name')")
    (tmp_path / "here").symlink_to(".")
    (tmp_path / "inner").mkdir()
    with subprocess.Popen(argv, cwd=tmp_path / "inner") as child:
        deadline = time.monotonic() + 10
        while "name" not in (found := asked_by(child.pid)).path and time.monotonic() < deadline:
            time.sleep(0.01)
        (tmp_path / "pipe").write_text("")
    assert found.path == f"{tmp_path}/inner/../here/name"


def test_a_process_that_is_gone_has_asked_for_nothing():
    with subprocess.Popen(("true",)) as child:  # noqa: S607
        child.wait()
        gone = child.pid
    assert asked_by(gone) == ("", ())
    assert Processes("c" * 64, ()).owner(gone) == ""


def test_a_process_outside_is_nobodys(monkeypatch: pytest.MonkeyPatch):
    """An engine that reads a file out of a container, or a shell in its directory, does not count."""
    processes = Processes("c" * 64, ())
    assert processes.owner(os.getpid()) == ""
    monkeypatch.setattr(Processes, "_is_inside", lambda _self, pid: pid == os.getpid())
    assert processes.owner(os.getpid()) == SERVICE


def test_a_recorder_that_is_gone_is_an_error_that_says_so(tmp_path: Path):
    """An instance that is to be recorded is not launched without."""
    with pytest.raises(DockyardError, match="No such file"):
        tell(str(tmp_path / "socket"), "c" * 64)
