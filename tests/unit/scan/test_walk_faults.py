"""Whatever call of a walk fails, at whatever time: nothing is missed in silence."""

import errno
import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from dockyard.scan.layer import TOUCHED
from tests.unit.scan.conftest import Mount, Overlay

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts overlays")

ERRORS = [
    getattr(errno, name)
    for name in [
        "ENOENT",
        "EACCES",
        "EPERM",
        "ENAMETOOLONG",
        "EIO",
        "EAGAIN",
        "ELOOP",
        "ESTALE",
        "ENOMEM",
        "EMFILE",
        "ENOTDIR",
    ]
]
CALLS = ("open", "stat", "fstat", "listxattr", "getxattr", "readlink", "read", "scandir")


class Fault:
    """Fails at one of the calls, and counts them."""

    def __init__(self, at: int, number: int) -> None:
        self.at, self.number, self.calls = at, number, 0

    def strike(self) -> None:
        """Count a call, and fail if it is the one."""
        self.calls += 1
        if self.calls == self.at:
            raise OSError(self.number, os.strerror(self.number))

    def around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return the call as it may fail."""

        def called(*arguments: object, **how: object) -> object:
            self.strike()
            return call(*arguments, **how)

        return called


class Entries:
    """A directory's entries, of which reading one, or its status, may fail."""

    def __init__(
        self,
        entries: Any,  # noqa: ANN401 - the type of os is not public
        reading: Fault | None,
        status: Fault | None,
    ) -> None:
        self.entries, self.reading, self.status = entries, reading, status

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.entries.close()

    def __iter__(self) -> Iterator[Any]:
        for entry in self.entries:
            if self.reading:
                self.reading.strike()
            yield Entry(entry, self.status) if self.status else entry


class Entry:
    """A directory's entry whose status may fail."""

    def __init__(self, entry: "os.DirEntry[str]", status: Fault) -> None:
        self.name, self.is_dir = entry.name, entry.is_dir
        self.stat = status.around(entry.stat)


@pytest.fixture
def changed(image: Path, mount: Mount, tmp_path: Path) -> Overlay:
    """Have a container with a change of each kind, over two layers."""
    top = tmp_path / "top"
    (top / "etc").mkdir(parents=True)
    (top / "etc/top").write_text("of the top")
    overlay = mount(top, image)
    merged = overlay.merged
    (merged / "etc/top").write_text("Of the top")
    (merged / "etc/link").unlink()
    (merged / "etc/link").symlink_to("shadow")
    (merged / "etc/ssl/cert").unlink()
    os.setxattr(merged / "bin/sh", "user.note", b"1")
    shutil.rmtree(merged / "opt/tool")
    (merged / "opt/tool").mkdir()
    (merged / "new/inner").mkdir(parents=True)
    (merged / "new/inner/program").touch(0o755)
    return overlay


def told(overlay: Overlay, *, defer: bool) -> tuple[set[str], bool]:
    """Return the paths that a walk tells of, and whether it says that it is complete."""
    walk = overlay.walk(defer=defer)
    try:
        found = {change.path for change in (*walk.changes(), *walk.compare()) if change.what != TOUCHED}
    except OSError:
        return set(), False  # nothing could be read: whoever asked tells that
    return found, walk.is_complete


def check(overlay: Overlay, inject: Callable[[Fault], None], undo: Callable[[], None]) -> None:
    """Let each call fail once with each error; a walk that says it is complete has found all."""
    for defer, number in itertools.product((False, True), ERRORS):
        expected, is_complete = told(overlay, defer=defer)
        assert is_complete
        assert len(expected) == 9
        for at in itertools.count(1):
            fault = Fault(at, number)
            inject(fault)
            found, is_complete = told(overlay, defer=defer)
            undo()
            assert not is_complete or found >= expected, (at, errno.errorcode[number], expected - found)
            if fault.calls < at:
                break
        assert at > 2


@pytest.mark.parametrize("call", CALLS)
def test_call_that_fails(changed: Overlay, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """A call that fails leads to something that is not judged, or to all findings."""
    real = getattr(os, call)
    check(changed, lambda fault: monkeypatch.setattr(os, call, fault.around(real)), monkeypatch.undo)


@pytest.mark.parametrize("what", ["reading", "status"])
def test_entry_that_fails(changed: Overlay, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """A directory that cannot be read to its end, or an entry without a status, is not judged."""
    real = os.scandir

    def inject(fault: Fault) -> None:
        reading, status = (fault, None) if what == "reading" else (None, fault)
        monkeypatch.setattr(os, "scandir", lambda place: Entries(real(place), reading, status))

    check(changed, inject, monkeypatch.undo)


def test_memory_that_runs_out(changed: Overlay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many copies to remember, or directories to read, are not judged; what else is different in them is told."""
    (changed.merged / "etc/passwd").chmod(0o666)
    monkeypatch.setattr("dockyard.scan.compare.PENDING", 0)
    walk = changed.walk(defer=True)
    assert "/etc/passwd" in {change.path for change in walk.changes()}
    assert walk.unjudged["too many copies to compare"] == 3
    monkeypatch.setattr("dockyard.scan.descent.WAITING", -1)
    walk = changed.walk()
    assert [change.path for change in walk.changes() if change.what != TOUCHED] == ["/new"]
    assert walk.unjudged["too many directories"] == 4


def test_only_files_and_directories_are_opened(image: Path, mount: Mount, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pipes, links and devices are looked at without opening them, and no path is more than one name."""
    overlay = mount(image)
    os.mkfifo(overlay.merged / "etc/pipe")
    os.mknod(overlay.merged / "etc/device", 0o20600, os.makedev(1, 5))
    (overlay.merged / "etc/out").symlink_to("/etc")
    (overlay.merged / "etc/passwd").write_text("x" * len("the image's etc/passwd"))
    opened = []
    real = os.open

    def spying(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        opened.append((path, dir_fd))
        return real(path, flags, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "open", spying)
    assert len(overlay.found()) == 4
    roots = {str(overlay.upper), *map(str, overlay.layers)}
    names = {path for path, _ in opened if path not in roots and not path.startswith("/proc/self/fd/")}
    assert names == {"etc", "passwd"}
    assert all(dir_fd is not None for path, dir_fd in opened if path in names)
