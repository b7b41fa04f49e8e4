import os
import stat
from pathlib import Path

import pytest

from dockyard.context import build_context
from dockyard.errors import DockyardError


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """Return a service's directory, with a file outside it."""
    directory = tmp_path / "web"
    (directory / "files/etc").mkdir(parents=True)
    (directory / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/motd").write_text("hello\n")
    return directory


def _listing(directory: Path) -> dict[str, str]:
    """Return every file's content and every link's target, by path."""
    return {
        str(path.relative_to(directory)): f"-> {path.readlink()}" if path.is_symlink() else path.read_text()
        for path in sorted(directory.rglob("*"))
        if path.is_symlink() or not path.is_dir()
    }


def _context(service: Path) -> dict[str, str]:
    with build_context(service) as context:
        return _listing(context)


def test_without_links_the_directory_itself_is_the_context(service: Path):
    with build_context(service) as context:
        assert context == service


def test_links_to_files_and_directories_are_replaced(service: Path):
    (service / "files/etc/motd").symlink_to("../../../shared/motd")
    (service / "files/shared").symlink_to(service.parent / "shared")
    assert _context(service) == {
        "Dockerfile": "FROM scratch\n",
        "files/etc/motd": "hello\n",
        "files/shared/motd": "hello\n",
    }


def test_links_within_what_links_lead_to_are_replaced(service: Path):
    (service.parent / "shared/again").symlink_to("motd")
    (service / "files/shared").symlink_to("../../shared")
    assert _context(service)["files/shared/again"] == "hello\n"


def test_the_copy_is_gone_afterwards_and_the_service_as_before(service: Path):
    (service / "files/motd").symlink_to("../../shared/motd")
    before = _listing(service)
    with build_context(service) as context:
        (context / "files/motd").write_text("changed")
    assert not context.exists()
    assert _listing(service) == before
    assert (service.parent / "shared/motd").read_text() == "hello\n"


def test_the_copy_is_gone_when_the_build_fails(service: Path):
    (service / "files/motd").symlink_to("../../shared/motd")
    seen = []

    def fail_to_build() -> None:
        with build_context(service) as context:
            seen.append(context)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail_to_build()
    assert not seen[0].exists()


def test_an_error_of_the_build_stays_what_it_is(service: Path):
    """The context speaks for its own copying alone."""
    (service / "files/motd").symlink_to("../../shared/motd")
    with pytest.raises(PermissionError), build_context(service):
        raise PermissionError


@pytest.mark.parametrize("target", ["/etc/passwd-of-the-image", "nowhere", "itself"])
def test_a_link_that_leads_nowhere_stays_a_link(service: Path, target: str):
    """An image may hold links to what only it has."""
    (service / "files/itself").symlink_to(target)
    assert _context(service)["files/itself"] == f"-> {target}"


@pytest.mark.parametrize("target", [".", "..", "../files"])
def test_a_link_back_into_a_directory_above_is_an_error(service: Path, target: str):
    (service / "files/loop").symlink_to(target)
    with pytest.raises(DockyardError, match="loops back to"), build_context(service):
        pass


def test_two_links_to_one_directory_are_no_loop(service: Path):
    for name in ("a", "b"):
        (service / f"files/{name}").symlink_to("../../shared")
    assert _context(service)["files/b/motd"] == "hello\n"


def test_permissions_and_times_are_kept(service: Path):
    script = service.parent / "shared/script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o751)
    os.utime(script, (1, 1_000_000))
    (service / "files/etc").chmod(0o1750)
    (service / "files/script").symlink_to(script)
    with build_context(service) as context:
        status = (context / "files/script").stat()
        assert (stat.S_IMODE(status.st_mode), status.st_mtime) == (0o751, 1_000_000)
        assert stat.S_IMODE((context / "files/etc").stat().st_mode) == 0o1750


@pytest.mark.parametrize("pattern", ["cache", "/cache", "cache/", "./cache", "cac*", "**/cache", "*\n!files"])
def test_links_that_dockerignore_names_are_not_followed(service: Path, pattern: str):
    (service / ".dockerignore").write_text(f"# comment\n\n{pattern}\n")
    (service / "cache").symlink_to("..")
    assert not [name for name in _context(service) if name.startswith("cache/")]


def test_ignored_links_alone_need_no_copy(service: Path):
    (service / ".dockerignore").write_text("cache\n")
    (service / "cache").symlink_to("..")
    with build_context(service) as context:
        assert context == service


def test_dockerignore_is_anchored_at_the_directory(service: Path):
    """As docker has it, and unlike .gitignore: `motd` is not `files/motd`."""
    (service / ".dockerignore").write_text("motd\n")
    (service / "files/motd").symlink_to("../../shared/motd")
    assert _context(service)["files/motd"] == "hello\n"


def test_what_dockerignore_takes_back_is_followed(service: Path):
    (service / ".dockerignore").write_text("files\n!files/motd\n")
    (service / "files/motd").symlink_to("../../shared/motd")
    assert _context(service)["files/motd"] == "hello\n"


@pytest.mark.parametrize("text", [b"\xff\xfe\n", b"\\\n", b"!\n/\n.\n", b"[\n", b"a\\\n", b"[z-a]\n"])
def test_a_dockerignore_of_any_bytes_gives_no_traceback(service: Path, text: bytes):
    (service / ".dockerignore").write_bytes(text)
    (service / "files/motd").symlink_to("../../shared/motd")
    try:
        assert _context(service)["files/motd"] == "hello\n"
    except DockyardError as error:
        assert ".dockerignore" in str(error)  # noqa: PT017 - both ways are right


def test_what_is_neither_file_nor_directory_is_an_error(service: Path):
    os.mkfifo(service / "files/pipe")
    (service / "files/motd").symlink_to("../../shared/motd")
    with pytest.raises(DockyardError) as error, build_context(service):
        pass
    assert error.value.lines() == [
        f"{service}/files/pipe: neither a file nor a directory (prw-r--r--)",
        "hint: exclude it in .dockerignore",
    ]


def test_a_link_to_a_pipe_is_an_error_too(service: Path):
    os.mkfifo(service.parent / "pipe")
    (service / "files/pipe").symlink_to("../../pipe")
    with pytest.raises(DockyardError, match="neither a file nor a directory"), build_context(service):
        pass
