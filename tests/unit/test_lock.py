"""The lock: who has it is told, and nobody has it for ever."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dockyard import lock
from dockyard.engine.dialect import DOCKER, PODMAN
from dockyard.engine.engine import Engine
from dockyard.errors import LOCKED, LockedError

HOLD = """
import sys
from pathlib import Path
from dockyard import lock
from dockyard.engine.dialect import DOCKER
from dockyard.engine.engine import Engine
lock.directory = lambda: Path(sys.argv[1])
with lock.held(Engine("docker", DOCKER), "web"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setattr(lock, "directory", lambda: tmp_path)
    return Engine("docker", DOCKER)


@pytest.fixture
def holder(tmp_path: Path):
    """Another process that holds the lock of `web`."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "held\n"
        yield child
        child.kill()


def test_a_lock_that_is_held_names_its_holder(docker: Engine, holder: subprocess.Popen[str]):
    with pytest.raises(LockedError, match=f"pid {holder.pid}") as error, lock.held(docker, "web"):
        pass
    assert error.value.exit_code == LOCKED


def test_a_holder_that_is_killed_frees_the_lock(docker: Engine, holder: subprocess.Popen[str]):
    holder.kill()
    holder.wait()
    with lock.held(docker, "web"):
        pass


STARTS_CLIENTS = """
import os, signal, subprocess, sys
from pathlib import Path
from dockyard import lock, process
from dockyard.engine.dialect import DOCKER
from dockyard.engine.engine import Engine
lock.directory = lambda: Path(sys.argv[1])
with lock.held(Engine("docker", DOCKER), "web"):
    works = subprocess.Popen(["sleep", "600"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for tell in process.STARTED:
        tell(works.pid)
    process.capture(("true",))
    print(works.pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_any_client_that_a_killed_holder_left_behind_is_waited_for_not_only_its_last(docker: Engine, tmp_path: Path):
    killed = subprocess.run([sys.executable, "-c", STARTS_CLIENTS, str(tmp_path)], capture_output=True, check=False)
    assert lock.lingering(docker) == ["web"]
    os.kill(int(killed.stdout), signal.SIGKILL)
    with lock.held(docker, "web"):
        assert lock.lingering(docker) == []


def test_other_containers_and_other_engines_are_not_locked(docker: Engine, holder: subprocess.Popen[str]):
    assert holder.poll() is None
    with lock.held(docker, "db"), lock.held(Engine("podman", PODMAN), "web"):
        pass


def test_a_lock_is_free_after_its_block(docker: Engine):
    for _ in range(2):
        with lock.held(docker, "web"):
            pass
