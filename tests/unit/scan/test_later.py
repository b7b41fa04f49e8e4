"""What is left for later, and what is looked at again."""

import os
import shutil
from pathlib import Path
from random import Random

import pytest

from dockyard.scan.layer import DELETED, EDITED, METADATA, NEW, TOUCHED, Budget, Walk
from dockyard.scan.report import judged
from tests.unit.scan.conftest import Mount, Overlay
from tests.unit.scan.deep import bury
from tests.unit.scan.test_overlay import edit, remake

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts overlays")


@pytest.fixture
def overlay(image: Path, mount: Mount) -> Overlay:
    """Have a container with an edited file, and one with another mode."""
    overlay = mount(image)
    edit(overlay.merged / "etc/passwd")
    (overlay.merged / "bin/sh").chmod(0o4755)
    return overlay


def words(walk: Walk, *, late: bool = True) -> list[tuple[str, str]]:
    """Return what a walk tells, now or when bytes are compared."""
    return [(change.path, change.what) for change in (walk.compare() if late else walk.changes())]


def test_no_file_is_read_before_it_is_time(overlay: Overlay, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of the same size are told of after they were compared, and once; until then no file is opened."""
    walk = overlay.walk(defer=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "read", lambda *_: pytest.fail("a file was read"))
        assert words(walk, late=False) == []
    assert sorted(words(walk)) == [("/bin/sh", METADATA), ("/etc/passwd", EDITED)]
    assert words(walk) == []
    assert walk.is_complete


def test_file_that_changed_since(overlay: Overlay) -> None:
    """A file that is no longer what it was is not judged; what else was different in it is told."""
    walk = overlay.walk(defer=True)
    assert words(walk, late=False) == []
    (overlay.merged / "bin/sh").chmod(0o755)
    (overlay.merged / "etc/passwd").rename(overlay.merged / "etc/moved")
    assert words(walk) == [("/bin/sh", METADATA)]
    assert walk.unjudged.total() == 2
    assert set(walk.failed) == {"/bin/sh", "/etc/passwd"}


def test_directory_that_moved_since(overlay: Overlay) -> None:
    """Files below a directory that is elsewhere are not judged, nor what a link in its place leads to."""
    walk = overlay.walk(defer=True)
    assert words(walk, late=False) == []
    (overlay.upper / "bin").rename(overlay.upper / "moved")
    (overlay.upper / "bin").symlink_to("moved")
    assert sorted(words(walk)) == [("/bin/sh", METADATA), ("/etc/passwd", EDITED)]
    assert walk.example == {"Not a directory": "/bin/sh"}


def test_stop_while_comparing(overlay: Overlay) -> None:
    """What cannot be compared in time is told as not done, and no difference in modes is lost."""
    walk = Walk(str(overlay.upper), [str(overlay.layers[0])], Budget(seconds=-1), defer=True)
    assert words(walk, late=False) == []
    assert words(walk) == [("/bin/sh", METADATA)]
    assert list(walk.unjudged) == ["not finished within -1 s"]


def test_bytes_that_are_too_many(overlay: Overlay) -> None:
    """A file past the number of bytes is not judged, and all else is."""
    walk = Walk(str(overlay.upper), [str(overlay.layers[0])], Budget(compared=20))
    assert {change.path for change in walk.changes()} == {"/bin/sh"}
    assert walk.unjudged == {"more than 20 bytes to compare": 1}


def test_again(overlay: Overlay) -> None:
    """Paths that are looked at again are told as they are now, with all below them; those that are gone are not."""
    walk = overlay.walk()
    assert len(words(walk, late=False)) == 2
    merged = overlay.merged
    (merged / "new/inner").mkdir(parents=True)
    (merged / "new/inner/file").touch()
    (merged / "etc/ssl/cert").unlink()
    again = [
        (change.path, change.what)
        for change in walk.again(["/new", "/new/inner", "/gone", "/gone/too", "/etc/ssl/cert", "/bin/sh/none"])
    ]
    assert again == [("/etc/ssl/cert", DELETED), ("/new", NEW), ("/new/inner", NEW), ("/new/inner/file", NEW)]
    assert sorted(change.path for change in walk.again(["/"])) == sorted(overlay.changes())
    assert walk.is_complete


def test_again_settles_what_had_moved(overlay: Overlay) -> None:
    """What could not be judged is taken back when it is looked at again; copies that waited are compared once."""
    walk = overlay.walk(defer=True)
    assert words(walk, late=False) == []
    (overlay.merged / "etc/passwd").chmod(0o600)
    assert words(walk) == [("/bin/sh", METADATA)]
    assert not walk.is_complete
    assert list(walk.again(walk.failed)) == []
    assert walk.is_complete
    assert list(walk.again(["/etc/passwd"])) == []
    assert words(walk) == [("/etc/passwd", EDITED)]


def test_again_in_a_directory_made_anew(overlay: Overlay) -> None:
    """A name that is gone from a directory that hides the image's is a deletion."""
    remake(overlay.merged / "etc")
    walk = overlay.walk()
    assert [(change.path, change.what) for change in walk.again(["/etc/ssl"])] == [("/etc/ssl", DELETED)]


def test_names_of_any_bytes(overlay: Overlay) -> None:
    """Of 10,000 names of random bytes the exact bytes come back, and none acts on a terminal."""
    random, names = Random(5), set()  # noqa: S311 - reproducible, and no secret
    allowed = bytes(sorted(set(range(1, 256)) - {ord("/")}))
    while len(names) < 10_000:
        names.add(bytes(random.choices(allowed, k=random.randint(1, 60))))
    names -= {b".", b"..", b"etc", b"bin", b"opt"}
    for name in names:
        os.close(os.open(os.fsencode(overlay.merged) + b"/" + name, os.O_CREAT | os.O_WRONLY))
    found = [change for change in overlay.walk().changes() if change.what == NEW]
    assert {os.fsencode(change.path)[1:] for change in found} == names
    assert all(judged(change).line().isprintable() for change in found)


def test_again_where_it_is_deep(tmp_path: Path) -> None:
    """A file under 3,000 directories is judged again by its path, which no call could take."""
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    upper.mkdir()
    lower.mkdir()
    bury(upper, 3000)
    walk = Walk(str(upper), [str(lower)])
    last = next(path for path in (change.path for change in walk.changes()) if path.endswith("payload"))
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    assert [change.path for change in walk.again([last])] == [last]
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
    assert walk.is_complete


def test_descriptors_are_given_back(overlay: Overlay) -> None:
    """A walk that is left in its middle closes what it had opened."""
    shutil.copytree(overlay.merged / "opt", overlay.merged / "copied")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    changes = overlay.walk().changes()
    assert next(changes).what in {NEW, METADATA, EDITED, TOUCHED}
    changes.close()  # type: ignore[attr-defined]
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208
