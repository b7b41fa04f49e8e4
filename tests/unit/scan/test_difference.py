"""What is different in edited texts: shown where anybody may read it, counted where it may be a secret."""

import os
from pathlib import Path

import pytest

from dockyard.scan.difference import LONGEST, diff_of, may_be_secret, text_diff
from dockyard.scan.layer import EDITED, NEW, Change
from dockyard.scan.where import Place


def test_lines_that_differ_are_told_with_a_line_around() -> None:
    """As in a unified difference."""
    assert text_diff(b"a\nb\nc\nd\n", b"a\nb\nX\nd\n") == [" b", "-c", "+X", " d"]
    assert text_diff(b"same", b"same") == []


def test_lines_cannot_act_on_a_terminal() -> None:
    """Whatever is in a line is escaped, and it is cut; so is the number of lines."""
    found = text_diff(b"", b"\x1b[2J\r" + b"y" * 999 + b"\nz" * 100, 3)
    assert all(line.isprintable() and len(line) <= LONGEST for line in found)
    assert found[1].startswith("+\\x1b[2J\\x0d")
    assert found[-1].endswith("more lines")
    assert len(found) == 4


@pytest.mark.parametrize("data", [b"\0binary", b"\xff\xfe", b"x" * 65_537])
def test_what_is_no_small_text_is_not_shown(data: bytes) -> None:
    """Binary files, other encodings, large files: nothing, on either side."""
    assert text_diff(b"a", data) == text_diff(data, b"a") == []


def test_what_is_hard_to_compare_is_counted() -> None:
    """Texts of many lines that are made to be compared slowly are not compared."""
    assert text_diff(b"a\nb\nc\n" * 10_000, b"c\nb\na\n" * 10_000) == ["60000 lines differ"]


@pytest.mark.parametrize(
    ("path", "mode", "secret"),
    [
        ("/etc/passwd", 0o644, False),
        ("/etc/passwd", 0o640, True),
        ("/etc/shadow", 0o644, True),
        ("/etc/ssl/site.KEY", 0o644, True),
        ("/srv/app/api_token.txt", 0o644, True),
        ("/run/secrets/db", 0o644, True),
        ("/etc/ssh/sshd_config", 0o644, False),
    ],
)
def test_what_may_be_a_secret(path: str, mode: int, *, secret: bool) -> None:
    """By its name, or because others have no right to it."""
    assert may_be_secret(path, mode) is secret


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An upper directory and two layers, with an edited text in a directory of each."""
    for layer, text in (("upper", "new\n"), ("middle", "old\n"), ("base", "oldest\n")):
        (tmp_path / layer / "etc").mkdir(parents=True)
        (tmp_path / layer / "etc/motd").write_text(text)
        (tmp_path / layer / "etc/motd").chmod(0o644)
    return Place(str(tmp_path / "upper"), (str(tmp_path / "middle"), str(tmp_path / "base")), frozenset())


def test_both_sides_are_read_from_the_layers(place: Place) -> None:
    """The uppermost layer of the image that has the file is what it was; a new file was nothing."""
    assert diff_of(place, Change("/etc/motd", EDITED, "file")) == ["-old", "+new", " "]
    assert diff_of(place, Change("/etc/motd", NEW, "file")) == []


def test_secret_is_only_counted(place: Place) -> None:
    """A file that others may not read, before or after, gives no content."""
    for side in (place.upper, place.layers[0]):
        Path(side, "etc/motd").chmod(0o600)
        assert diff_of(place, Change("/etc/motd", EDITED, "file")) == ["1 line differs"]
        Path(side, "etc/motd").chmod(0o644)


@pytest.mark.parametrize("side", [0, 1])
def test_links_are_not_followed_and_pipes_not_opened(place: Place, tmp_path: Path, side: int) -> None:
    """In place of the file or of a directory on the way, on either side: there is nothing to show."""
    target = Path((place.upper, *place.layers)[side], "etc")
    (target / "motd").unlink()
    (target / "motd").symlink_to(tmp_path / "base/etc/motd")
    assert diff_of(place, Change("/etc/motd", EDITED, "file")) == []
    (target / "motd").unlink()
    os.mkfifo(target / "motd")
    assert diff_of(place, Change("/etc/motd", EDITED, "file")) == []
    target.rename(tmp_path / "aside")
    target.symlink_to(tmp_path / "base/etc")
    assert diff_of(place, Change("/etc/motd", EDITED, "file")) == []
