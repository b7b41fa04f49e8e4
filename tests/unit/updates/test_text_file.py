"""Files that are edited: bytes, mode and owner survive, links and changes in between are refused."""

import os
from pathlib import Path

import pytest

from dockyard.errors import DockyardError
from dockyard.updates.text_file import read_text, replace_text


def test_all_bytes_and_the_mode_survive(tmp_path: Path):
    file = tmp_path / "Dockerfile"
    file.write_bytes(b"\xef\xbb\xbfFROM a\r\n# \xff\n")
    file.chmod(0o640)
    text = read_text(file)
    replace_text(file, text, text.replace("FROM a", "FROM b"))
    assert file.read_bytes() == b"\xef\xbb\xbfFROM b\r\n# \xff\n"
    assert file.stat().st_mode & 0o7777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["Dockerfile"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_stays(tmp_path: Path):
    file = tmp_path / "Dockerfile"
    file.write_text("a")
    os.chown(file, 1234, 5678)
    replace_text(file, "a", "b")
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 5678)


def test_a_file_that_changed_in_between_is_left_alone(tmp_path: Path):
    file = tmp_path / "Dockerfile"
    file.write_text("changed")
    with pytest.raises(DockyardError, match="has changed in the meantime"):
        replace_text(file, "as it was", "new")
    assert file.read_text() == "changed"


def test_a_link_is_refused(tmp_path: Path):
    other = tmp_path / "other"
    other.write_text("text")
    link = tmp_path / "Dockerfile"
    link.symlink_to(other)
    with pytest.raises(DockyardError, match="is a symbolic link"):
        read_text(link)
    with pytest.raises(DockyardError, match="is a symbolic link"):
        replace_text(link, "text", "new")
    assert other.read_text() == "text"


def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / "Dockerfile")
    with pytest.raises(DockyardError, match="is not a regular file"):
        read_text(tmp_path / "Dockerfile")


def test_a_draft_of_another_is_not_followed(tmp_path: Path):
    """A link where the draft would be leads nowhere: the file stays as it is."""
    file, other = tmp_path / "Dockerfile", tmp_path / "other"
    file.write_text("a")
    other.write_text("other")
    (tmp_path / f".Dockerfile.{os.getpid()}.new").symlink_to(other)
    with pytest.raises(DockyardError, match="File exists"):
        replace_text(file, "a", "b")
    assert (file.read_text(), other.read_text()) == ("a", "other")
