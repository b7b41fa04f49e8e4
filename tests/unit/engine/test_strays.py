"""Processes that an engine no longer knows of are ended, and no others."""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from dockyard.engine.dialect import DOCKER
from dockyard.engine.engine import Engine
from dockyard.errors import EngineError
from tests.engines.world import wait_for

CONTAINER, OTHER = "ab" * 32, "cd" * 32
REFUSAL = f"Error response from daemon: failed to create task for container: task {CONTAINER}: already exists: unknown"


@pytest.fixture
def shim(tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Return what starts a process that looks like the shim of a container, with a child of its own."""
    program = shutil.copy("/bin/sh", tmp_path / DOCKER.shim)
    started = []

    def start(container: str) -> subprocess.Popen[str]:
        argv = (
            program,
            "-c",
            "sleep 1000 & echo $!; while :; do wait; done",
            "sh",
            "-namespace",
            "moby",
            "-id",
            container,
        )
        started.append(subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True))
        return started[-1]

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def engine_saying(tmp_path: Path, status: str) -> Engine:
    """Return an engine that knows one container, with this status."""
    answer = [{"Id": CONTAINER, "Name": "/web", "Image": "sha256:1", "State": {"Status": status}}]
    program = tmp_path / "docker"
    program.write_text(f"#!/bin/sh\necho '{json.dumps(answer)}'\n")
    program.chmod(0o755)
    return Engine(str(program), DOCKER)


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def test_leftover_shim_is_ended_with_what_runs_below_it(tmp_path: Path, shim: Callable[[str], subprocess.Popen[str]]):
    """Docker says that the container has exited, and cannot start it: its shim and that one's child are killed."""
    left, other = shim(CONTAINER), shim(OTHER)
    assert left.stdout
    child = int(left.stdout.readline())
    assert engine_saying(tmp_path, "exited").end_leftover_shim(EngineError(("docker", "start"), 1, REFUSAL))
    assert left.wait(timeout=10) < 0
    wait_for(lambda: not is_running(child), "the end of what ran below the shim")
    assert other.poll() is None, "the shim of another container was ended"


@pytest.mark.parametrize(("status", "words"), [("running", REFUSAL), ("exited", "no space left on device")])
def test_shim_is_left_alone_unless_its_container_is_down_and_cannot_start(
    tmp_path: Path, shim: Callable[[str], subprocess.Popen[str]], status: str, words: str
):
    """A container that is up keeps its shim, and any other refusal ends none."""
    kept = shim(CONTAINER)
    assert not engine_saying(tmp_path, status).end_leftover_shim(EngineError(("docker", "start"), 1, words))
    assert kept.poll() is None


def test_no_shim_is_left(tmp_path: Path):
    """The refusal came late: the shim has ended by itself, and the next try waits as usual."""
    assert not engine_saying(tmp_path, "exited").end_leftover_shim(EngineError(("docker", "start"), 1, REFUSAL))
