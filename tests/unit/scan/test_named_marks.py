"""The marks that fuse-overlayfs gives by names, in the upper directory and in an image; and names that are none."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dockyard.scan.attributes import KERNELS_OF_USERS, USERS
from dockyard.scan.layer import DELETED, NEW, TOUCHED, TYPE, Walk

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes whiteouts")

OPAQUE = "user.fuseoverlayfs.opaque"


class Layers:
    """An upper directory over two layers of an image: `top` deletes some of what `base` has."""

    def __init__(self, place: Path) -> None:
        self.upper, self.top, self.base = (place / name for name in ("upper", "top", "base"))
        for name in ("etc/a", "etc/b", "etc/old", "data/x", "data/y", "srv/www/page", "gone/x"):
            _write(self.base / name)
        for name in ("etc/.wh.old", "data/.wh..wh..opq", ".wh.gone", "srv/own"):
            _write(self.top / name, b"" if ".wh." in name else b"own")
        _write(self.top / "data/z")
        self.upper.mkdir()

    def changes(self, marks: tuple[str, ...] = USERS) -> dict[str, str]:
        """Return what differs, by path; everything has to be judged."""
        walk = Walk(str(self.upper), (str(self.top), str(self.base)), marks=marks)
        found = {change.path: change.what for change in walk.changes() if change.what != TOUCHED}
        assert walk.is_complete, walk.unjudged
        return found

    def create_opaque(self, name: str) -> Path:
        """Make a directory as the program does that hides what is below it."""
        place = self.upper / name
        place.mkdir(parents=True)
        os.setxattr(place, OPAQUE, b"y")
        _write(place / ".wh..wh..opq", b"")
        os.mknod(place / ".wh..opq", stat.S_IFCHR, 0)
        return place


def _write(path: Path, text: bytes = b"text") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text)


@pytest.fixture
def layers(tmp_path: Path) -> Layers:
    """Such layers."""
    return Layers(tmp_path)


def test_new_directory(layers: Layers) -> None:
    """Its marks are no entries of it."""
    layers.create_opaque("new")
    assert layers.changes() == {"/new": NEW}


def test_directory_made_again(layers: Layers) -> None:
    """What the image had there is deleted, what its own layers had deleted already is not."""
    _write(layers.create_opaque("etc") / "a")
    found = layers.changes()
    assert found["/etc/b"] == DELETED
    assert not {"/etc/old", "/etc/.wh.old", "/etc/a"} & found.keys()
    layers.create_opaque("data")
    assert {path for path in layers.changes() if path.startswith("/data/")} == {"/data/z"}


@pytest.mark.parametrize("mark", [lambda path: _write(path, b""), lambda path: os.mknod(path, stat.S_IFCHR, 0)])
def test_deletion(layers: Layers, mark: Callable[[Path], None]) -> None:
    """A mark in the upper directory deletes what the image has; one of what it has not says nothing."""
    (layers.upper / "etc").mkdir()
    for name in ("a", "old", "never"):
        mark(layers.upper / f"etc/.wh.{name}")
    assert layers.changes() == {"/etc/a": DELETED}


def test_deletion_of_nothing(layers: Layers) -> None:
    """The program leaves a mark of whatever was there, in the image's directories and in new ones."""
    for name in ("etc/never", "new/never"):
        (layers.upper / name).parent.mkdir()
        os.mknod(layers.upper / name, stat.S_IFCHR, 0)
    assert layers.changes() == {"/new": NEW}


def test_image_without_what_it_deletes(layers: Layers) -> None:
    """What a layer of the image deletes is new where it is there again, whatever a layer below has."""
    for name in ("etc/old", "gone/x", "data/x", "srv/www/page"):
        _write(layers.upper / name)
    found = layers.changes()
    assert {path: what for path, what in found.items() if what == NEW} == {
        **dict.fromkeys(("/etc/old", "/gone", "/gone/x", "/data/x"), NEW)
    }


def test_deleted_directory_in_a_files_place(layers: Layers) -> None:
    """What was in it is told without the marks of the image."""
    _write(layers.upper / "etc")
    assert layers.changes() == {"/etc": TYPE, "/etc/a": DELETED, "/etc/b": DELETED}


def test_content_under_the_name_of_a_mark(layers: Layers) -> None:
    """It is no mark."""
    _write(layers.upper / "etc/.wh.a")
    assert layers.changes() == {"/etc/.wh.a": NEW}


def test_other_overlays_have_no_such_names(layers: Layers) -> None:
    """There a container may give them to anything."""
    _write(layers.upper / "new/.wh.a", b"")
    _write(layers.upper / "new/.wh..wh..opq", b"")
    assert {"/new/.wh.a", "/new/.wh..wh..opq"} <= layers.changes(KERNELS_OF_USERS).keys()


def test_longest_names(layers: Layers) -> None:
    """A name for whose mark there is no room has none."""
    name = "x" * 255
    _write(layers.upper / "etc" / name)
    assert layers.changes() == {f"/etc/{name}": NEW}
