"""The host's steps, on real directories. Ownership and mounts need root."""

import os
import shlex
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard import host
from dockyard.errors import DockyardError
from dockyard.plan.values import Contents, EmptyTestArea, MakeDirectory, MakeFile

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def _seen(path: Path) -> tuple[int, int, int]:
    status = path.lstat()
    return status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)


def _tree(directory: Path) -> list[tuple[str, tuple[int, int, int], int, bytes]]:
    """Return all that an administrator could see of a tree."""
    return [
        (
            str(path.relative_to(directory)),
            _seen(path),
            path.lstat().st_mtime_ns,
            path.read_bytes() if path.is_file() and not path.is_symlink() else b"",
        )
        for path in sorted(directory.rglob("*"))
    ]


# ---------------------------------------------------------------------------------------------- making directories
@as_root
def test_a_directory_is_made_with_owner_and_mode(tmp_path: Path):
    host.make_directory(MakeDirectory(f"{tmp_path}/data", 999, 998, 0o2751))
    assert _seen(tmp_path / "data") == (999, 998, 0o2751)


@as_root
def test_the_directories_above_belong_to_root(tmp_path: Path):
    host.make_directory(MakeDirectory(f"{tmp_path}/a/b/data", 999, 999, 0o700))
    assert [_seen(tmp_path / part) for part in ("a", "a/b")] == [(0, 0, 0o755)] * 2


def test_the_umask_has_no_say(tmp_path: Path):
    before = os.umask(0o077)
    try:
        host.make_directory(MakeDirectory(f"{tmp_path}/data", os.getuid(), os.getgid(), 0o777))
    finally:
        os.umask(before)
    assert _seen(tmp_path / "data")[2] == 0o777


def test_a_directory_that_exists_stays_as_it_is(tmp_path: Path):
    (tmp_path / "data").mkdir(mode=0o700)
    before = _seen(tmp_path / "data")
    host.make_directory(MakeDirectory(f"{tmp_path}/data", 999, 999, 0o777))
    assert _seen(tmp_path / "data") == before


def test_a_directory_whose_place_a_file_holds_is_an_error(tmp_path: Path):
    (tmp_path / "data").write_text("mine")
    with pytest.raises(DockyardError, match="data: cannot be created: Not a directory"):
        host.make_directory(MakeDirectory(f"{tmp_path}/data"))
    assert (tmp_path / "data").read_text() == "mine"


def test_a_link_that_leads_nowhere_is_not_filled_in(tmp_path: Path):
    (tmp_path / "data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DockyardError, match="cannot be created"):
        host.make_directory(MakeDirectory(f"{tmp_path}/data/sub"))
    assert not (tmp_path / "elsewhere").exists()


def test_a_base_that_an_administrator_linked_is_used(tmp_path: Path):
    """VOL_BASE may be a link to a larger disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "base").symlink_to("disk")
    host.make_directory(MakeDirectory(f"{tmp_path}/base/web/data", os.getuid(), os.getgid()))
    assert (tmp_path / "disk/web/data").is_dir()


def test_a_directory_that_another_run_makes_meanwhile_is_as_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Two launches at once both make VOL_BASE/TMP: neither may fail, nor change what the other made."""
    make = os.mkdir

    def lose_the_race(name: str, mode: int, *, dir_fd: int) -> None:
        make(name, 0o711, dir_fd=dir_fd)
        make(name, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", lose_the_race)
    host.make_directory(MakeDirectory(f"{tmp_path}/TMP/web", os.getuid(), os.getgid()))
    assert _seen(tmp_path / "TMP")[2] == 0o711


def test_a_link_planted_meanwhile_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What is made is entered without following links, whoever swaps it for one."""
    (tmp_path / "target").mkdir()
    make = os.mkdir

    def plant(name: str, mode: int, *, dir_fd: int) -> None:  # noqa: ARG001 - the signature of os.mkdir
        os.symlink(tmp_path / "target", name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", plant)
    with pytest.raises(DockyardError, match="cannot be created"):
        host.make_directory(MakeDirectory(f"{tmp_path}/area/web"))
    monkeypatch.setattr(os, "mkdir", make)
    assert list((tmp_path / "target").iterdir()) == []


# ----------------------------------------------------------------------------------------------------- making files
@as_root
def test_a_file_is_made_empty_with_owner_and_mode(tmp_path: Path):
    host.make_file(MakeFile(f"{tmp_path}/etc/conf", 999, 998, 0o640))
    assert _seen(tmp_path / "etc/conf") == (999, 998, 0o640)
    assert (tmp_path / "etc/conf").read_bytes() == b""
    assert _seen(tmp_path / "etc") == (0, 0, 0o755)


def test_a_file_that_exists_stays_as_it_is(tmp_path: Path):
    path = tmp_path / "conf"
    path.write_text("mine")
    before = _seen(path)
    host.make_file(MakeFile(str(path), 999, 999, 0o666))
    assert (path.read_text(), _seen(path)) == ("mine", before)


@pytest.mark.parametrize("there", [True, False])
def test_a_file_is_never_made_through_a_link(tmp_path: Path, there: bool):
    target = tmp_path / "target"
    if there:
        target.write_text("mine")
    (tmp_path / "conf").symlink_to(target)
    host.make_file(MakeFile(f"{tmp_path}/conf", 999, 999, 0o666))
    assert target.exists() == there
    assert not there or target.read_text() == "mine"


def test_no_other_name_is_left_beside_a_file(tmp_path: Path):
    host.make_file(MakeFile(f"{tmp_path}/conf", os.getuid(), os.getgid()))
    assert [path.name for path in tmp_path.iterdir()] == ["conf"]
    assert (tmp_path / "conf").stat().st_nlink == 1


def test_a_file_that_another_run_makes_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def come_first(file: int) -> None:  # noqa: ARG001 - the signature of os.fsync
        (tmp_path / "conf").write_text("theirs")

    monkeypatch.setattr(os, "fsync", come_first)
    host.make_file(MakeFile(f"{tmp_path}/conf", os.getuid(), os.getgid()))
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("conf", "theirs")]


# --------------------------------------------------------------------------------------------------- files' contents
@pytest.fixture
def service(tmp_path: Path) -> Path:
    """Return a service's directory with a file in it, beside a file that is none of it."""
    (tmp_path / "service/etc").mkdir(parents=True)
    (tmp_path / "service/etc/conf").write_bytes(b"of the service\n\xff\0")
    (tmp_path / "secret").write_text("secret")
    return tmp_path / "service"


def _file(service: Path, kind: str, value: str, *, path: str = "data/conf") -> MakeFile:
    contents = Contents(kind, value, str(service))
    return MakeFile(f"{service.parent}/{path}", os.getuid(), os.getgid(), 0o640, contents=contents)


def _shell(step: MakeFile | MakeDirectory) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(("sh", "-c", step.shell("")), capture_output=True, check=False)  # noqa: S607


def _in_a_shell(step: MakeFile) -> None:
    assert _shell(step).returncode == 0


both_ways = pytest.mark.parametrize("make", [host.make_file, _in_a_shell])
COMMANDS = [
    ("cat etc/conf", b"of the service\n\xff\0"),
    ("printf '\\377\\000'", b"\xff\0"),
    ("cat", b""),  # nothing to read
    ("echo noise >&2; true", b""),
    ("printf %s %targetdir%/%target%", b"'PLACE/data'/'PLACE/data/a conf'"),
    ("echo %owner%:%group% %other% 100% '%'", b"UID:GID %other% 100% %\n"),
]


@as_root
@both_ways
@pytest.mark.parametrize("text", ["", "text", "two\nlines\n", "%target%", "'\"$(id)`id`\\n", "ünï\t", "-n"])
def test_a_text_is_what_a_file_holds(service: Path, make: Callable[[MakeFile], None], text: str):
    make(_file(service, "text", text))
    assert (service.parent / "data/conf").read_text() == text
    assert _seen(service.parent / "data/conf") == (0, 0, 0o640)


@as_root
@both_ways
def test_a_file_of_the_service_is_what_a_file_holds(service: Path, make: Callable[[MakeFile], None]):
    make(_file(service, "file", "etc/conf"))
    assert (service.parent / "data/conf").read_bytes() == b"of the service\n\xff\0"
    assert _seen(service.parent / "data/conf") == (0, 0, 0o640)


@as_root
@both_ways
@pytest.mark.parametrize(("command", "expected"), COMMANDS)
def test_the_output_of_a_command_is_what_a_file_holds(
    service: Path, make: Callable[[MakeFile], None], command: str, expected: bytes
):
    """It runs in the service's directory; what stands for paths and ids is replaced, quoted."""
    make(_file(service, "command", command, path="data/a conf"))
    for word, meant in {b"PLACE": service.parent, b"UID": os.getuid(), b"GID": os.getgid(), b"'": ""}.items():
        expected = expected.replace(word, str(meant).encode())
    assert (service.parent / "data/a conf").read_bytes() == expected


@as_root
@both_ways
def test_names_are_quoted_for_the_shell(service: Path, make: Callable[[MakeFile], None]):
    make(_file(service, "command", "printf %s %target%", path="data/$(touch planted) 'x'"))
    assert (service.parent / "data/$(touch planted) 'x'").read_text() == f"{service.parent}/data/$(touch planted) 'x'"
    assert not (service / "planted").exists()


@pytest.mark.parametrize("kind", ["text", "file", "command"])
def test_contents_of_a_file_that_exists_are_not_asked_for(service: Path, kind: str):
    (service.parent / "data").mkdir()
    (service.parent / "data/conf").write_text("mine")
    host.make_file(_file(service, kind, "touch ran"))
    assert (service.parent / "data/conf").read_text() == "mine"
    assert not (service / "ran").exists()


def test_a_command_that_fails_is_told_and_nothing_is_made(service: Path):
    with pytest.raises(DockyardError) as error:
        host.make_file(_file(service, "command", "echo half; echo oh no >&2; exit 7"))
    assert error.value.lines() == [
        f"{service.parent}/data/conf: the command for its contents failed with exit code 7: oh no",
        f"hint: run in {service}: echo half; echo oh no >&2; exit 7",
    ]
    assert not (service.parent / "data").exists()


def test_a_command_of_a_service_that_is_gone_fails(service: Path):
    with pytest.raises(DockyardError, match="exit code 2"):
        host.make_file(_file(service / "gone", "command", "echo hello"))


def test_a_command_that_cannot_start_is_told(service: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(service))
    with pytest.raises(DockyardError, match="the command for its contents cannot be started: No such file"):
        host.make_file(_file(service, "command", "true"))


@pytest.mark.parametrize("value", ["../secret", "etc/../../secret", "/etc/passwd", "out", "etc/up/secret", ".", ""])
def test_a_file_that_is_not_the_services_is_no_contents(service: Path, value: str):
    (service / "out").symlink_to("../secret")
    (service / "etc/up").symlink_to("../..")
    with pytest.raises(DockyardError, match="is not in") as error:
        host.make_file(_file(service, "file", value))
    assert error.value.hint == "name a file of the service by its path relative to that directory"
    assert not (service.parent / "data").exists()


def test_a_link_within_the_service_is_followed(service: Path):
    (service / "conf").symlink_to("etc/conf")
    (service / "dir").symlink_to("etc")
    for name in ("conf", "dir/conf"):
        host.make_file(_file(service, "file", name, path=name))
        assert (service.parent / name).read_bytes() == b"of the service\n\xff\0"


def test_a_service_reached_through_a_link_has_its_files(service: Path):
    (service.parent / "linked").symlink_to("service")
    host.make_file(_file(service.parent / "linked", "file", "etc/conf"))
    assert (service.parent / "data/conf").read_bytes() == b"of the service\n\xff\0"


@pytest.mark.parametrize(
    ("value", "reason"),
    [("missing", "No such file"), ("etc", "it is not a regular file"), ("pipe", "it is not a regular file")],
)
def test_contents_that_cannot_be_read_are_told(service: Path, value: str, reason: str):
    os.mkfifo(service / "pipe")
    with pytest.raises(
        DockyardError, match=rf"data/conf: the file for its contents cannot be read: {service}/{value}: {reason}"
    ):
        host.make_file(_file(service, "file", value))


def test_a_file_swapped_for_a_link_while_it_is_looked_up_is_not_read(service: Path, monkeypatch: pytest.MonkeyPatch):
    look = os.path.realpath

    def swap(path: str) -> str:
        found = look(path)
        if found.endswith("/etc/conf"):
            (service / "etc/conf").unlink()
            (service / "etc/conf").symlink_to("../../secret")
        return found

    monkeypatch.setattr(os.path, "realpath", swap)
    with pytest.raises(DockyardError, match="Too many levels of symbolic links"):
        host.make_file(_file(service, "file", "etc/conf"))


@pytest.mark.parametrize("fails", ["write", "fsync", "fchown", "link"])
def test_a_file_is_made_whole_or_not_at_all(service: Path, monkeypatch: pytest.MonkeyPatch, fails: str):
    (service.parent / "data").mkdir()

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    if fails == "write":
        monkeypatch.setattr(os, "fdopen", fail)
    else:
        monkeypatch.setattr(os, fails, fail)
    with pytest.raises(DockyardError, match="data/conf: cannot be created: No space left on device"):
        host.make_file(_file(service, "text", "text"))
    assert list((service.parent / "data").iterdir()) == []


@given(text=st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=30))
def test_whatever_a_path_is_called_the_shell_reads_it_as_one_word(text: str):
    contents = Contents("command", "%target% %targetdir%", "/").placed(f"/data/{text}", 1, 2)
    assert shlex.split(contents.value) == [f"/data/{text}", f"/data/{text}".rpartition("/")[0]]


# ------------------------------------------------------------------------------------ where a container can plant links
@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """Return a base in which a container has planted links to what is precious to somebody else."""
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("precious")
    (tmp_path / "base/data").mkdir(parents=True)
    (tmp_path / "base/data/directory").symlink_to(tmp_path / "precious")
    (tmp_path / "base/data/file").symlink_to(tmp_path / "precious/file")
    (tmp_path / "base/data/nowhere").symlink_to(tmp_path / "precious/new")
    return tmp_path / "base"


@pytest.mark.parametrize("below", ["", "/sub", "/sub/deeper"])
@pytest.mark.parametrize("link", ["directory", "file", "nowhere"])
def test_no_directory_is_made_or_taken_through_a_planted_link(planted: Path, link: str, below: str):
    before = _tree(planted.parent)
    step = MakeDirectory(f"{planted}/data/{link}{below}", os.getuid(), os.getgid(), strict=str(planted))
    with pytest.raises(DockyardError, match="cannot be created: Not a directory"):
        host.make_directory(step)
    assert _tree(planted.parent) == before


@pytest.mark.parametrize("path", ["directory/file", "directory/new", "file", "file/new", "nowhere", "nowhere/new"])
def test_no_file_is_made_or_taken_through_a_planted_link(planted: Path, path: str):
    """Not even one that exists: it would be mounted."""
    before = _tree(planted.parent)
    step = MakeFile(f"{planted}/data/{path}", os.getuid(), os.getgid(), strict=str(planted))
    contents = Contents("command", "touch ran", str(planted))
    with pytest.raises(DockyardError, match="cannot be created"):
        host.make_file(step._replace(contents=contents))
    assert _tree(planted.parent) == before


def test_above_that_an_administrators_links_are_followed(tmp_path: Path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "base").symlink_to("disk")
    strict = f"{tmp_path}/base"
    host.make_directory(MakeDirectory(f"{strict}/web/data", os.getuid(), os.getgid(), strict=strict))
    host.make_file(MakeFile(f"{strict}/web/etc/conf", os.getuid(), os.getgid(), strict=strict))
    assert (tmp_path / "disk/web/data").is_dir()
    assert (tmp_path / "disk/web/etc/conf").is_file()


@pytest.mark.parametrize("strict", ["base", "base/web", "base/web/data"])
def test_a_strict_directory_is_made_where_it_is_missing(tmp_path: Path, strict: str):
    path = f"{tmp_path}/base/web/data"
    host.make_directory(MakeDirectory(path, os.getuid(), os.getgid(), 0o700, f"{tmp_path}/{strict}"))
    host.make_directory(MakeDirectory(path, os.getuid(), os.getgid(), 0o777, f"{tmp_path}/{strict}"))
    assert _seen(tmp_path / "base/web/data")[2] == 0o700


@pytest.mark.parametrize("path", ["/base/data/../../precious", "/precious", "/base2/data"])
def test_a_path_that_is_not_in_its_strict_directory_is_a_bug(planted: Path, path: str):
    with pytest.raises(ValueError, match="is not below"):
        host.make_directory(MakeDirectory(f"{planted.parent}{path}", strict=str(planted)))


# -------------------------------------------------------------------------------------------- emptying the test area
@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Return a VOL_BASE with production's data of `web` and what a test instance of it left."""
    for directory in ("web/data/sub", "TMP/web/data/sub", "TMP/web@dev", "TMP/mail"):
        (tmp_path / directory).mkdir(parents=True)
    for file in ("web/data/file", "web/data/sub/file", "TMP/web/data/file", "TMP/web/.hidden", "TMP/mail/letter"):
        (tmp_path / file).write_text(file)
    return tmp_path


def _empty(base: Path, area: str = "web") -> None:
    host.empty_test_area(EmptyTestArea(str(base), area))


def test_all_that_is_in_the_test_area_goes(base: Path):
    _empty(base)
    assert list((base / "TMP/web").iterdir()) == []


def test_what_is_not_in_the_test_area_stays(base: Path):
    """Production's data, and the areas of other services and modes, with owners, times and content."""
    before = [_tree(base / part) for part in ("web", "TMP/mail")]
    _empty(base)
    assert [_tree(base / part) for part in ("web", "TMP/mail")] == before
    assert (base / "TMP/web@dev").is_dir()


def test_links_in_the_test_area_go_and_what_they_lead_to_stays(base: Path):
    """Whatever a container under test plants there."""
    (base / "TMP/web/directory").symlink_to(base / "web")
    (base / "TMP/web/data/file-link").symlink_to(base / "web/data/file")
    (base / "TMP/web/data/sub/up").symlink_to("../../../../web/data")
    (base / "TMP/web/data/loop").symlink_to("loop")
    (base / "TMP/web/data/nowhere").symlink_to("/nowhere")
    before = _tree(base / "web")
    _empty(base)
    assert list((base / "TMP/web").iterdir()) == []
    assert _tree(base / "web") == before


def test_hard_links_to_production_leave_its_files_alone(base: Path):
    os.link(base / "web/data/file", base / "TMP/web/same")
    _empty(base)
    assert (base / "web/data/file").read_text() == "web/data/file"


@pytest.mark.parametrize("link", ["TMP", "TMP/web"])
def test_a_test_area_that_is_reached_through_a_link_is_refused(base: Path, link: str):
    (base / link).rename(base / "moved")
    (base / "elsewhere/web").mkdir(parents=True)
    (base / "elsewhere/web/precious").write_text("precious")
    (base / link).symlink_to(base / "elsewhere" / ("web" if link == "TMP/web" else ""))
    with pytest.raises(DockyardError, match="Not a directory"):
        _empty(base)
    assert (base / "elsewhere/web/precious").read_text() == "precious"


def test_a_test_area_that_is_a_file_is_refused(base: Path):
    (base / "TMP/file").write_text("mine")
    with pytest.raises(DockyardError):
        _empty(base, "file")
    assert (base / "TMP/file").read_text() == "mine"


def test_a_base_that_an_administrator_linked_is_emptied(base: Path):
    (base / "linked").symlink_to(base)
    _empty(base / "linked")
    assert list((base / "TMP/web").iterdir()) == []


@pytest.mark.parametrize("missing", ["TMP/none", "none"])
def test_a_test_area_that_is_not_there_is_empty(base: Path, missing: str):
    before = _tree(base)
    host.empty_test_area(EmptyTestArea(str(base / missing), "web"))
    _empty(base, "no-such-area")
    assert _tree(base) == before


@pytest.mark.parametrize("name", [b"\xff\xfe", b"a\nb", b"-rf", b" ", b"*", b"\x1b[2J", b"'\"\\", "ünï".encode()])
def test_names_of_any_bytes_go(base: Path, name: bytes):
    area = os.fsencode(base / "TMP/web")
    os.mkdir(os.path.join(area, name))  # noqa: PTH102, PTH118 - pathlib has no bytes
    with open(os.path.join(area, name, name), "wb"):  # noqa: PTH118, PTH123
        pass
    _empty(base)
    assert os.listdir(area) == []  # noqa: PTH208


def test_sockets_pipes_and_files_without_permissions_go(base: Path):
    os.mkfifo(base / "TMP/web/pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(base / "TMP/web/socket"))
    (base / "TMP/web/data/file").chmod(0)
    _empty(base)
    assert list((base / "TMP/web").iterdir()) == []


def test_a_tree_deeper_than_any_path_goes(base: Path):
    """Deeper than Python recurses, than a process may have open files, and than a path may be long."""
    current = os.open(base / "TMP/web", os.O_DIRECTORY)
    for _ in range(3000):
        os.mkdir("down", dir_fd=current)
        below = os.open("down", os.O_DIRECTORY, dir_fd=current)
        os.close(current)
        current = below
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=current))
    os.close(current)
    try:
        _empty(base)
        assert list((base / "TMP/web").iterdir()) == []
    finally:  # what removes pytest's own directories is not up to such a tree
        subprocess.run(("rm", "-rf", base / "TMP/web"), check=True)  # noqa: S607


def test_no_descriptor_is_left_open(base: Path):
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    _empty(base)
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208


@pytest.fixture
def mounted(base: Path) -> Iterator[Path]:
    """Mount production's data inside the test area, under a name that /proc writes in escapes."""
    place = base / "TMP/web/a mount\\ünt"
    place.mkdir()
    subprocess.run(("mount", "--bind", base / "web/data", place), check=True)  # noqa: S607
    yield place
    subprocess.run(("umount", place), check=True)  # noqa: S607


@as_root
def test_nothing_goes_where_something_is_mounted_in_the_test_area(base: Path, mounted: Path):
    before = _tree(base / "TMP/web")
    with pytest.raises(DockyardError) as error:
        _empty(base)
    assert error.value.lines()[0] == f"{mounted}: is mounted inside the test area"
    assert _tree(base / "TMP/web") == before
    assert (base / "web/data/file").read_text() == "web/data/file"


@as_root
def test_a_mount_in_another_area_is_no_obstacle(base: Path):
    place = base / "TMP/web@dev"
    subprocess.run(("mount", "--bind", base / "web/data", place), check=True)  # noqa: S607
    try:
        _empty(base)
    finally:
        subprocess.run(("umount", place), check=True)  # noqa: S607
    assert list((base / "TMP/web").iterdir()) == []


# ----------------------------------------------------------------------------------------------- removing the test area
def test_a_test_area_is_removed_and_nothing_else(base: Path):
    before = [_tree(base / part) for part in ("web", "TMP/mail", "TMP/web@dev")]
    host.remove_test_area(EmptyTestArea(str(base), "web"))
    assert not (base / "TMP/web").exists()
    assert [_tree(base / part) for part in ("web", "TMP/mail", "TMP/web@dev")] == before


@pytest.mark.parametrize("missing", ["TMP/none", "none"])
def test_a_test_area_that_is_not_there_is_removed(base: Path, missing: str):
    before = _tree(base)
    host.remove_test_area(EmptyTestArea(str(base / missing), "web"))
    host.remove_test_area(EmptyTestArea(str(base), "no-such-area"))
    assert _tree(base) == before


@pytest.mark.parametrize("link", ["TMP", "TMP/web"])
def test_a_test_area_that_is_a_link_is_not_removed(base: Path, link: str):
    (base / link).rename(base / "moved")
    (base / link).symlink_to(base / "web")
    before = _tree(base)
    with pytest.raises(DockyardError, match="Not a directory"):
        host.remove_test_area(EmptyTestArea(str(base), "web"))
    assert _tree(base) == before


@as_root
def test_a_test_area_that_something_is_mounted_on_is_emptied_and_stays(base: Path):
    subprocess.run(("mount", "-t", "tmpfs", "tmpfs", base / "TMP/web"), check=True)  # noqa: S607
    try:
        (base / "TMP/web/file").touch()
        with pytest.raises(DockyardError, match="TMP/web: cannot be removed: Device or resource busy"):
            host.remove_test_area(EmptyTestArea(str(base), "web"))
        assert list((base / "TMP/web").iterdir()) == []
    finally:
        subprocess.run(("umount", base / "TMP/web"), check=True)  # noqa: S607


# ------------------------------------------------------------------------------------------------------------- facts
@pytest.mark.parametrize("name", ["localhost", "no-such-name.invalid", "a..b", "x" * 300, "127.0.0.1"])
def test_a_name_without_an_address_of_its_own_has_none(name: str):
    assert host.addresses_of([name]) == {}


def test_an_address_is_its_own():
    assert host.addresses_of(["192.0.2.7"]) == {"192.0.2.7": "192.0.2.7"}


def test_the_host_knows_its_short_name():
    assert host.host_facts().name == socket.gethostname().split(".")[0]


@pytest.mark.parametrize("name", ["", ".", "..", "../web", "a/b"])
def test_a_name_that_leads_out_of_the_test_areas_is_none(tmp_path: Path, name: str):
    (tmp_path / "TMP/a/b").mkdir(parents=True)
    (tmp_path / "web").mkdir()
    with pytest.raises(DockyardError, match="not a test area"):
        host.remove_test_area(EmptyTestArea(str(tmp_path), name))
    assert (tmp_path / "TMP/a/b").exists()
    assert (tmp_path / "web").exists()
