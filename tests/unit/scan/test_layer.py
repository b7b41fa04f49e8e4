"""What an upper directory says against the image below it: made here by hand, as the kernel would."""

import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dockyard.scan.expected import is_expected
from dockyard.scan.layer import CHANGED, DELETED, NEW, changes

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes whiteouts")


@pytest.fixture
def layers(tmp_path: Path) -> tuple[Path, Path]:
    """An empty upper directory, and an image with some entries."""
    upper, image = tmp_path / "upper", tmp_path / "image"
    upper.mkdir()
    (image / "etc").mkdir(parents=True)
    (image / "etc/passwd").write_text("root")
    (image / "etc/link").symlink_to("passwd")
    (image / "bin").mkdir()
    (image / "bin/sh").write_text("shell")
    return upper, image


def found(upper: Path, *images: Path) -> dict[str, str]:
    """Return what changed, by path."""
    return {change.path: change.what for change in changes(str(upper), [str(image) for image in images])}


def copied_up(upper: Path) -> Path:
    """Have the image's etc/ in the upper directory, as when something in it changed."""
    (upper / "etc").mkdir()
    return upper / "etc"


def whiteout(path: Path) -> None:
    """Mark an entry as deleted."""
    os.mknod(path, stat.S_IFCHR, 0)


CASES: dict[str, tuple[Callable[[Path], object], dict[str, str]]] = {
    "nothing": (lambda _: None, {}),
    "a directory on the way": (copied_up, {}),
    "an unchanged copy": (lambda upper: (copied_up(upper) / "passwd").write_text("root"), {}),
    "edited, same size": (lambda upper: (copied_up(upper) / "passwd").write_text("tooR"), {"/etc/passwd": CHANGED}),
    "new": (lambda upper: (copied_up(upper) / "new").touch(), {"/etc/new": NEW}),
    "deleted": (lambda upper: whiteout(copied_up(upper) / "passwd"), {"/etc/passwd": DELETED}),
    "another link": (lambda upper: (copied_up(upper) / "link").symlink_to("shadow"), {"/etc/link": CHANGED}),
    "the same link": (lambda upper: (copied_up(upper) / "link").symlink_to("passwd"), {}),
    "a link in place of a file": (
        lambda upper: (copied_up(upper) / "passwd").symlink_to("/etc/shadow"),
        {"/etc/passwd": CHANGED},
    ),
    "a mode": (lambda upper: copied_up(upper).chmod(0o700), {"/etc": CHANGED}),
    "a pipe": (lambda upper: os.mkfifo(copied_up(upper) / "pipe"), {"/etc/pipe": NEW}),
}


@pytest.mark.parametrize(("make", "expected"), CASES.values(), ids=CASES)
def test_change(layers: tuple[Path, Path], make: Callable[[Path], object], expected: dict[str, str]) -> None:
    """Each kind of change is told as what it is, and nothing else is."""
    upper, image = layers
    make(upper)
    assert found(upper, image) == expected


def test_opaque_directory_hides_the_image(layers: tuple[Path, Path]) -> None:
    """What lies in a directory that replaces the image's is new, even if the image has the same."""
    upper, image = layers
    etc = copied_up(upper)
    os.setxattr(etc, "trusted.overlay.opaque", b"y")
    (etc / "passwd").write_text("root")
    assert found(upper, image) == {"/etc/passwd": NEW}


def test_upper_layers_of_the_image_decide(layers: tuple[Path, Path], tmp_path: Path) -> None:
    """A file that a later layer of the image deleted is new when it is there again."""
    upper, image = layers
    later = tmp_path / "later"
    (later / "etc").mkdir(parents=True)
    whiteout(later / "etc/passwd")
    (copied_up(upper) / "passwd").write_text("root")
    assert found(upper, image) == {}
    assert found(upper, later, image) == {"/etc/passwd": NEW}


def test_link_that_an_image_makes_is_not_followed(layers: tuple[Path, Path], tmp_path: Path) -> None:
    """A directory that is a link in the image leads nowhere on the host."""
    upper, image = layers
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/file").write_text("same")
    (image / "var").symlink_to(tmp_path / "outside")
    (upper / "var").mkdir()
    (upper / "var/file").write_text("same")
    assert found(upper, image) == {"/var": CHANGED, "/var/file": NEW}


def test_socket_and_odd_names_are_told(layers: tuple[Path, Path]) -> None:
    """A socket, a name with a line break, and one that is no UTF-8."""
    upper, image = layers
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(upper / "s"))
        (upper / "a\nb").touch()
        (upper / os.fsdecode(b"\xff")).touch()
        assert set(found(upper, image)) == {"/s", "/a\nb", f"/{os.fsdecode(bytes([255]))}"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        *[(path, True) for path in ("/tmp/x", "/run/a.pid", "/etc/hosts", "/dev/x", "/data", "/srv")],  # noqa: S108
        *[(path, False) for path in ("/etc/passwd", "/runx", "/data/file", "/srv/www")],
    ],
)
def test_what_is_expected(path: str, expected: bool) -> None:
    """What passes, what the engine makes, and a mount's place with what leads there; not what is beside them."""
    assert is_expected(path, ["/data", "/srv/data"]) is expected
