"""What an upper directory says against the image below it: made here by hand, as the kernel would."""

import errno
import itertools
import os
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from dockyard.scan.expected import is_passing
from dockyard.scan.layer import DELETED, METADATA, NEW, REPLACED, TOUCHED, TYPE, Budget, Walk
from tests.unit.scan.deep import NAME, bury

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
    """Return what changed, by path; all of it was judged."""
    walk = Walk(str(upper), [str(image) for image in images])
    changes = {change.path: change.what for change in walk.changes() if change.what != TOUCHED}
    assert walk.is_complete, walk.unjudged
    return changes


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
    "edited, same size": (lambda upper: (copied_up(upper) / "passwd").write_text("tooR"), {"/etc/passwd": REPLACED}),
    "new": (lambda upper: (copied_up(upper) / "new").touch(), {"/etc/new": NEW}),
    "deleted": (lambda upper: whiteout(copied_up(upper) / "passwd"), {"/etc/passwd": DELETED}),
    "another link": (lambda upper: (copied_up(upper) / "link").symlink_to("shadow"), {"/etc/link": REPLACED}),
    "the same link": (lambda upper: (copied_up(upper) / "link").symlink_to("passwd"), {}),
    "a link in place of a file": (
        lambda upper: (copied_up(upper) / "passwd").symlink_to("/etc/shadow"),
        {"/etc/passwd": TYPE},
    ),
    "a mode": (lambda upper: copied_up(upper).chmod(0o700), {"/etc": METADATA}),
    "a pipe": (lambda upper: os.mkfifo(copied_up(upper) / "pipe"), {"/etc/pipe": NEW}),
}


@pytest.mark.parametrize(("make", "expected"), CASES.values(), ids=CASES)
def test_change(layers: tuple[Path, Path], make: Callable[[Path], object], expected: dict[str, str]) -> None:
    """Each kind of change is told as what it is, and nothing else is."""
    upper, image = layers
    make(upper)
    assert found(upper, image) == expected


def test_opaque_directory_hides_the_image(layers: tuple[Path, Path]) -> None:
    """What the image has in a directory that replaces its own is deleted, but for what is there again."""
    upper, image = layers
    etc = copied_up(upper)
    os.setxattr(etc, "trusted.overlay.opaque", b"y")
    (etc / "passwd").write_text("root")
    (etc / "new").touch()
    assert found(upper, image) == {"/etc/link": DELETED, "/etc/new": NEW}


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
    assert found(upper, image) == {"/var": TYPE, "/var/file": NEW}


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
        *[(path, True) for path in ("/tmp/x", "/run", "/run/a.pid")],  # noqa: S108
        *[(path, False) for path in ("/etc/passwd", "/etc/hosts", "/runx", "/data/file")],
    ],
)
def test_passing_paths(path: str, expected: bool) -> None:
    """What is gone after a restart of any system says nothing; a file that the engine mounts is not among it."""
    assert is_passing(path) is expected


def test_depth_past_what_a_path_can_be(layers: tuple[Path, Path]) -> None:
    """A file under 3,000 directories with long names is found, and all else is read too."""
    upper, image = layers
    (upper / "zz").touch()
    bury(upper, 3000)
    changes = found(upper, image)
    assert f"/{'/'.join([NAME] * 3000)}/payload" in changes
    assert "/zz" in changes
    assert len(changes) == 3002


def test_budget_is_told(layers: tuple[Path, Path]) -> None:
    """A walk that would take too long ends, and says that it is not complete."""
    upper, image = layers
    for number in range(50):
        (upper / str(number)).touch()
    walk = Walk(str(upper), [str(image)], Budget(entries=20))
    assert len(list(walk.changes())) == 20
    assert list(walk.unjudged) == ["more than 20 entries"]


@pytest.mark.parametrize(
    "number", [errno.ENOENT, errno.EACCES, errno.EIO, errno.ELOOP, errno.EAGAIN, errno.ENAMETOOLONG]
)
@pytest.mark.parametrize("call", ["scandir", "open", "fstat", "listxattr", "getxattr", "readlink", "read", "stat"])
def test_errors_are_never_silent(
    layers: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    """Whatever call of a walk fails, at whatever time, the walk is not complete, or finds what it would have found."""
    upper, image = layers
    etc = copied_up(upper)
    (etc / "passwd").write_text("tooR")
    (etc / "link").symlink_to("shadow")
    (upper / "bin").mkdir()
    (upper / "bin/sh").write_text("trojan")
    (upper / "bin/sh").chmod(0o4755)
    (upper / "bin/new").touch()
    (upper / "bin/new").chmod(0o755)
    os.setxattr(upper / "bin/new", "user.note", b"1")
    expected = set(found(upper, image))
    real = getattr(os, call)
    times = 0
    for at in itertools.count(1):
        times = 0

        def failing(*arguments: object, at: int = at, **how: object) -> object:
            nonlocal times
            times += 1
            if times == at:
                raise OSError(number, os.strerror(number))
            return real(*arguments, **how)

        walk = Walk(str(upper), [str(image)])
        with monkeypatch.context() as patch:
            patch.setattr(os, call, failing)
            try:
                changes = {change.path for change in walk.changes() if change.what != TOUCHED}
            except OSError:
                continue  # nothing could be read: whoever asked tells that
        assert not walk.is_complete or changes >= expected  # what is told not to be there below is new
        if times < at:
            break
    assert changes == expected
    assert at > 1


def test_moved_while_it_is_read(layers: tuple[Path, Path]) -> None:
    """A directory that is moved out of a deep tree while that is read makes the walk incomplete, nothing worse."""
    upper, image = layers
    above = upper
    for _ in range(200):
        above /= "d"
        above.mkdir()
    (above / "last").touch()
    walk = Walk(str(upper), [str(image)])
    for change in walk.changes():
        if change.path.endswith("last"):
            (upper / "d/d").rename(upper / "e")
    assert "moved while it was read" in walk.unjudged
