"""Changes that a scan makes itself: in the container's own files alone, whatever is done there meanwhile."""

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockyard.errors import DockyardError
from dockyard.scan import token
from dockyard.scan.layer import DELETED, EDITED, METADATA, NEW
from dockyard.scan.token import PREFIX, planted
from tests.unit.scan.inside import Container

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")

DOCUMENTATION = "usr/share/doc"
ZERO = os.makedev(1, 5)


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    """A running container whose image has some documentation."""
    made = Container(tmp_path)
    (made.image / DOCUMENTATION).mkdir(parents=True)
    for name in ("a", "b", "c", "d"):
        (made.image / DOCUMENTATION / name).write_text(f"about {name}")
    made.start()
    yield made
    made.stop()


def texts(container: Container) -> dict[str, str]:
    """Return what is in the container's documentation."""
    return {one.name: one.read_text() for one in (container.merged / DOCUMENTATION).iterdir()}


def test_each_kind_is_made_and_undone(container: Container) -> None:
    """All of them are there in the block, and nothing of them is left afterwards."""
    before = texts(container)
    with planted(container.pid, container.place, prove=True) as tokens:
        assert list(tokens.planted.values()) == [NEW, EDITED, DELETED, METADATA]
        assert {change.path: change.what for change in container.changes()}.items() >= tokens.planted.items()
    assert texts(container) == before
    assert container.changes() == []


def test_process_that_is_not_the_containers(container: Container) -> None:
    """The number of a process that has ended may be a host's by now: nothing is made there."""
    with pytest.raises(DockyardError), planted(os.getpid(), container.place):
        pass
    with pytest.raises(DockyardError), planted(os.getpid(), container.place._replace(mounts=())):
        pass
    assert not [path for path in Path("/").iterdir() if path.name.startswith(PREFIX)]


def _device(container: Container, name: str) -> None:
    (container.merged / DOCUMENTATION / name).unlink()
    os.mknod(container.merged / DOCUMENTATION / name, stat.S_IFCHR | 0o666, ZERO)


def _mounted(container: Container, name: str) -> None:
    ours = container.merged.parent / "ours"
    ours.write_text("of the host")
    argv = ("mount", "--bind", ours, container.merged / DOCUMENTATION / name)
    subprocess.run(("nsenter", f"--mount=/proc/{container.pid}/ns/mnt", *argv), check=True)  # noqa: S607


@pytest.mark.parametrize(("swap", "place"), [(_device, 0), (_device, 2), (_mounted, 0), (_mounted, 1), (_mounted, 2)])
def test_what_is_put_there_after_it_was_looked_at(
    container: Container, monkeypatch: pytest.MonkeyPatch, swap: Callable[[Container, str], None], place: int
) -> None:
    """No device is ever opened, and no file of the host's that is mounted there is changed, even for a moment."""
    names = ["b", "c", "d"]
    names[place] = "a"
    monkeypatch.setattr(token, "_harmless", lambda _: iter([f"/{DOCUMENTATION}/{name}" for name in names]))
    swap(container, "a")
    with pytest.raises(OSError), planted(container.pid, container.place, prove=True):  # noqa: PT011 - of any kind
        pass
    ours = container.merged.parent / "ours"
    assert not ours.exists() or ours.read_text() == "of the host"


def test_what_is_mounted_is_not_taken(container: Container) -> None:
    """Another file serves in its place."""
    _mounted(container, "a")
    with planted(container.pid, container.place, prove=True) as tokens:
        assert [Path(path).name for path in tokens.planted][1:] == ["b", "c", "d"]


def test_what_is_written_meanwhile_stays(container: Container) -> None:
    """Where a container is not held still, what it makes of these files is its own."""
    with planted(container.pid, container.place, prove=True):
        (container.merged / DOCUMENTATION / "a").write_text("mine a")
        (container.merged / DOCUMENTATION / "b").write_text("mine b")
        (container.merged / DOCUMENTATION / "c").chmod(0o600)
    assert texts(container) == {"a": "mine a", "b": "mine b", "c": "about c", "d": "about d"}
    assert stat.S_IMODE((container.merged / DOCUMENTATION / "c").stat().st_mode) == 0o600


def test_documentation_without_end(container: Container) -> None:
    """Directories within each other are followed some levels down and no further."""

    def deep() -> None:
        os.chdir(f"/{DOCUMENTATION}")
        for _ in range(1500):
            Path("0").mkdir()
            os.chdir("0")

    container.do(deep)
    with planted(container.pid, container.place, prove=True) as tokens:
        assert len(tokens.planted) == 4
