"""What is opened below a directory is below it, on the same mount, and behind no link."""

import errno
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockyard.errors import DockyardError
from dockyard.scan import confined
from dockyard.scan.confined import NO_REPLACE, moved, opened_beneath
from dockyard.scan.removal import remove
from tests.unit.scan.inside import Container


@pytest.fixture
def top(tmp_path: Path) -> Iterator[int]:
    """A directory with an entry of each kind that matters, and something beside it."""
    (tmp_path / "outside").write_text("outside")
    (tmp_path / "top/directory").mkdir(parents=True)
    (tmp_path / "top/directory/file").write_text("inside")
    (tmp_path / "top/link").symlink_to("directory")
    (tmp_path / "top/out").symlink_to(tmp_path / "outside")
    descriptor = os.open(tmp_path / "top", os.O_PATH)
    yield descriptor
    os.close(descriptor)


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("link/file", errno.ELOOP),
        ("../outside", errno.EXDEV),
        ("directory/../../outside", errno.EXDEV),
        ("/etc/passwd", errno.EXDEV),
        ("nothing", errno.ENOENT),
    ],
)
def test_ways_out(top: int, path: str, number: int) -> None:
    """No link, no parent and no absolute path leads anywhere."""
    with pytest.raises(OSError, match=re.escape(os.strerror(number))):
        opened_beneath(top, path)


def test_links_are_pinned_or_refused(top: int) -> None:
    """A link at the end can be pinned as itself, and is never opened."""
    pinned = opened_beneath(top, "out")
    assert Path(os.readlink("", dir_fd=pinned)).name == "outside"
    os.close(pinned)
    with pytest.raises(OSError, match=re.escape(os.strerror(errno.ELOOP))):
        opened_beneath(top, "out", os.O_RDONLY)


def test_file_below(top: int) -> None:
    """What is there is opened, closed to programs that are run later."""
    descriptor = opened_beneath(top, "directory/file", os.O_RDONLY)
    assert os.read(descriptor, 10) == b"inside"
    assert not os.get_inheritable(descriptor)
    os.close(descriptor)


def test_new_name_that_is_taken(top: int) -> None:
    """A rename that may not replace does not."""
    with pytest.raises(FileExistsError):
        moved(top, "link", "out", NO_REPLACE)
    moved(top, "link", "elsewhere", NO_REPLACE)
    assert Path(os.readlink("elsewhere", dir_fd=top)) == Path("directory")


def test_old_kernel(top: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel without openat2 says so, and nothing else is tried in its place."""
    monkeypatch.setattr(confined, "OPENAT2", 1023)
    with pytest.raises(DockyardError, match="openat2") as caught:
        opened_beneath(top, "directory")
    assert "5.6" in caught.value.hint


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
@pytest.mark.parametrize("target", ["/new/file", "/new"])
def test_mounts_inside_are_not_entered(tmp_path: Path, target: str) -> None:
    """A host's file or directory that is mounted over an entry is neither removed nor given another's mode."""
    container = Container(tmp_path)
    host = tmp_path / "host"
    host.mkdir()
    (host / "file").write_text("of the host")
    container.start()
    try:
        container.do(lambda: (Path("/new").mkdir(), Path("/new/file").touch()))
        changes = container.changes()
        words = ("nsenter", f"--mount=/proc/{container.pid}/ns/mnt", "mount", "--bind")
        source = host if target == "/new" else host / "file"
        subprocess.run((*words, source, f"{tmp_path}/merged{target}"), check=True)
        before = ((host / "file").stat(), host.stat())
        removed = remove("web", "0123", container.pid, container.place, changes, container.quarantine)
        assert "something is mounted there" in {one.reason for one in removed.refused}
        after = ((host / "file").stat(), host.stat())
        assert [one.st_ctime_ns for one in after] == [one.st_ctime_ns for one in before]
        assert (host / "file").read_text() == "of the host"
    finally:
        container.stop()
