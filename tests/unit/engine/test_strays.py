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

from dockyard import telling
from dockyard.engine import strays
from dockyard.engine.dialect import DOCKER
from dockyard.engine.engine import Engine
from dockyard.engine.task_state import remove_task_state
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


def is_running(pid: int) -> bool:
    """Return whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False


def refusing(tmp_path: Path, status: str = "exited", words: str = REFUSAL) -> Engine:
    """Return an engine that knows one container, and refuses to start it for as long as its shim is left."""
    answer = [{"Id": CONTAINER, "Name": "/web", "Image": "sha256:1", "State": {"Status": status}}]
    (tmp_path / "refusal").write_text(f"{words}\n")
    program = tmp_path / "docker"
    program.write_text(f"""\
#!/bin/sh
[ "$1" = start ] || {{ echo '{json.dumps(answer)}'; exit; }}
echo start >>{tmp_path}/tries
[ -e {tmp_path}/stubborn ] || pgrep -f -- "-id {CONTAINER}" >/dev/null || {{ echo web; exit; }}
cat {tmp_path}/refusal >&2
exit 1
""")
    program.chmod(0o755)
    return Engine(str(program), DOCKER)


def tries(tmp_path: Path) -> int:
    """Return how often the engine was asked to start the container."""
    return len((tmp_path / "tries").read_text().split())


def test_leftover_shim_is_ended_and_the_container_starts(
    tmp_path: Path, shim: Callable[[str], subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Docker says that the container has exited, and cannot start it: its shim and that one's child are killed."""
    told: list[str] = []
    monkeypatch.setattr(telling, "listener", told.append)
    left, other = shim(CONTAINER), shim(OTHER)
    assert left.stdout
    child = int(left.stdout.readline())
    assert refusing(tmp_path).call("start", "web") == "web\n"
    assert left.wait(timeout=10) < 0
    wait_for(lambda: not is_running(child), "the end of what ran below the shim")
    assert other.poll() is None, "the shim of another container was ended"
    assert tries(tmp_path) == 2
    assert told == [f"warning: web: ended the shim that a killed engine left (process {left.pid}); starting again"]


@pytest.mark.parametrize(("status", "words"), [("running", REFUSAL), ("exited", "no space left on device")])
def test_shim_is_left_alone_unless_its_container_is_down_and_cannot_start(
    tmp_path: Path, shim: Callable[[str], subprocess.Popen[str]], status: str, words: str
) -> None:
    """A container that is up keeps its shim, and any other refusal ends none."""
    kept = shim(CONTAINER)
    with pytest.raises(EngineError):
        refusing(tmp_path, status, words).call("start", "web")
    assert kept.poll() is None
    assert tries(tmp_path) == 1


def test_no_shim_is_left(tmp_path: Path) -> None:
    """The refusal came late: the shim has ended by itself, and the recovery tries again as usual."""
    (tmp_path / "stubborn").touch()
    with pytest.raises(EngineError, match="already exists"):
        refusing(tmp_path).call("start", "web")
    assert tries(tmp_path) == 1


def test_a_process_that_has_changed_is_not_killed(shim: Callable[[str], subprocess.Popen[str]]) -> None:
    """What is no shim of that container when it is about to be killed is another process with its id."""
    kept = shim(CONTAINER)
    strays._kill(kept.pid, lambda: False)  # noqa: SLF001
    assert kept.poll() is None


def stuck(tmp_path: Path, status: str = "exited") -> tuple[Engine, Path]:
    """Return an engine that refuses to start a container for as long as its state is left, and where that is."""
    place = tmp_path / "io.containerd.runtime.v2.task/moby"
    for name in (CONTAINER, f".{CONTAINER}", OTHER):
        (place / name).mkdir(parents=True)
        (place / name / "init.pid").write_text("1")
    engine = refusing(
        tmp_path, status, f"Error: failed to create task for container: mkdir {place}/{CONTAINER}: file exists"
    )
    program = Path(engine.program)
    program.write_text(
        program.read_text().replace(f'pgrep -f -- "-id {CONTAINER}" >/dev/null', f"[ -e {place}/{CONTAINER} ]")
    )
    return engine, place


def test_state_that_a_killed_containerd_left_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The container starts; what belongs to another one stays."""
    told: list[str] = []
    monkeypatch.setattr(telling, "listener", told.append)
    engine, place = stuck(tmp_path)
    assert engine.call("start", "web") == "web\n"
    assert [entry.name for entry in place.iterdir()] == [OTHER]
    assert told == [f"warning: web: removed the state that a killed engine left in {place}; starting again"]


def test_state_of_a_running_container_is_kept(tmp_path: Path) -> None:
    engine, place = stuck(tmp_path, "running")
    with pytest.raises(EngineError, match="file exists"):
        engine.call("start", "web")
    assert (place / CONTAINER / "init.pid").exists()
    assert tries(tmp_path) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting takes root")
def test_state_with_a_mount_below_is_kept(tmp_path: Path) -> None:
    """A root that is still mounted there is data, and not ours to remove."""
    _, place = stuck(tmp_path)
    (place / CONTAINER / "rootfs").mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "none", place / CONTAINER / "rootfs"), check=True)  # noqa: S607
    try:
        assert not remove_task_state(str(place), CONTAINER)
    finally:
        subprocess.run(("umount", place / CONTAINER / "rootfs"), check=True)  # noqa: S607
    assert (place / CONTAINER / "init.pid").exists()


def test_state_of_another_host_is_not_looked_for(tmp_path: Path) -> None:
    assert not remove_task_state(str(tmp_path / "missing"), CONTAINER)
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / CONTAINER).mkdir()
    assert not remove_task_state(str(tmp_path / "link"), CONTAINER)
