import os
import shutil
import signal
import sys
from pathlib import Path

import pytest

from dockyard import process


def test_a_child_that_ends_well_is_captured():
    done = process.capture(("sh", "-c", "echo out; echo err >&2; exit 3"))
    assert done == process.Done(3, "out\n", "err\n")


def test_bytes_that_are_not_utf8_survive():
    done = process.capture(("printf", r"\377\001"))
    assert done.stdout.encode("utf-8", "surrogateescape") == b"\xff\x01"


def test_words_are_never_read_by_a_shell():
    assert process.capture(("printf", "%s", "$(id) `id` ; 'x'")).stdout == "$(id) `id` ; 'x'"


def test_the_extra_environment_is_added_to_our_own(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("OURS", "1")
    done = process.capture(("sh", "-c", 'echo "$OURS$EXTRA"'), extra_environment={"EXTRA": "2"})
    assert done.stdout == "12\n"


def test_the_extra_environment_does_not_stay():
    process.capture(("true",), extra_environment={"EXTRA_OF_A_TEST": "2"})
    assert "EXTRA_OF_A_TEST" not in os.environ


def test_a_child_reads_nothing_of_our_input():
    assert process.capture(("cat",)).stdout == ""


def test_a_child_that_cannot_start_is_an_oserror(tmp_path: Path):
    with pytest.raises(FileNotFoundError):
        process.capture((str(tmp_path / "missing"),))


def test_a_child_that_takes_too_long_is_ended():
    with pytest.raises(TimeoutError):
        process.capture(("sleep", "60"), timeout=0.05)


def test_attach_returns_the_exit_code():
    assert process.attach(("sh", "-c", "exit 7")) == 7


def test_attach_says_by_which_signal_a_child_was_killed():
    assert process.attach(("sh", "-c", "kill -KILL $$")) == -signal.SIGKILL


def test_attach_writes_to_our_stdout(capfd: pytest.CaptureFixture[str]):
    process.attach(("echo", "hello"))
    assert capfd.readouterr() == ("hello\n", "")


def test_attach_in_quiet_writes_to_our_stderr(capfd: pytest.CaptureFixture[str]):
    """Progress goes to stderr, so that stdout holds results alone."""
    process.attach(("echo", "hello"), quiet=True)
    assert capfd.readouterr() == ("", "hello\n")


def test_lines_are_yielded_and_passed_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert list(process.lines(("printf", r"a\nb"), cwd=tmp_path)) == ["a\n", "b"]
    assert capsys.readouterr().err == "a\nb"


def test_a_line_that_is_for_us_alone_is_not_passed_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ("printf", r"a\nGO=1\n")
    assert list(process.lines(words, cwd=tmp_path, hidden="GO=1")) == ["a\n", "GO=1\n"]
    assert capsys.readouterr().err == "a\n"


def test_lines_of_a_child_that_fails_raise(tmp_path: Path):
    with pytest.raises(process.FailedError) as error:
        list(process.lines(("sh", "-c", "echo a; exit 4"), cwd=tmp_path))
    assert error.value.exit_code == 4


def test_a_child_whose_lines_nobody_reads_on_is_ended(tmp_path: Path):
    """Leaving the loop does not leave the child behind."""
    lines = process.lines(("sh", "-c", "echo $$; exec sleep 60"), cwd=tmp_path)
    child = int(next(lines))
    lines.close()
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_our_own_programs_come_after_the_users(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", "/users/own")
    assert process.own_programs_on_path() == {"PATH": f"/users/own:{Path(sys.executable).parent}"}


def test_a_program_is_found_where_a_shell_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By name, the first on the PATH that is a file and executable; by path, that one alone."""
    for name in ("first", "second", "third"):
        (tmp_path / name).mkdir()
    (tmp_path / "first" / "tool").mkdir()
    (tmp_path / "second" / "tool").touch()
    (tmp_path / "third" / "tool").touch(0o755)
    monkeypatch.setenv("PATH", ":".join(str(tmp_path / name) for name in ("none", "first", "second", "third")))
    assert process.find("tool") == str(tmp_path / "third" / "tool") == shutil.which("tool")
    assert process.find(str(tmp_path / "third" / "tool")) == str(tmp_path / "third" / "tool")
    assert process.find(str(tmp_path / "second" / "tool")) is None
    assert process.find("other") is None


def test_a_directory_on_the_path_that_may_not_be_looked_into_is_passed_over(monkeypatch: pytest.MonkeyPatch):
    """As a user finds it on the PATH that root has left."""

    def refused(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("os.access", lambda *_: False)
    monkeypatch.setattr(Path, "is_file", refused)
    assert process.find("sh") is None
