"""The host's steps, on real directories. Ownership and mounts need root."""

import os
import socket
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockyard import host
from dockyard.errors import DockyardError
from dockyard.plan.values import EmptyTestArea, MakeDirectory, MakeFile, Owner, PathFact

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
    with pytest.raises(DockyardError, match="data: cannot be made: Not a directory"):
        host.make_directory(MakeDirectory(f"{tmp_path}/data"))
    assert (tmp_path / "data").read_text() == "mine"


def test_a_link_that_leads_nowhere_is_not_filled_in(tmp_path: Path):
    (tmp_path / "data").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DockyardError, match="cannot be made"):
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
    with pytest.raises(DockyardError, match="cannot be made"):
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
    assert error.value.lines()[0] == f"{mounted}: mounted inside the test area"
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


# ------------------------------------------------------------------------------------------------------------- facts
@as_root
def test_path_facts_tell_kind_owner_and_mode(tmp_path: Path):
    (tmp_path / "directory").mkdir()
    os.chown(tmp_path / "directory", 999, 998)
    (tmp_path / "directory").chmod(0o1770)
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(0o604)
    paths = [str(tmp_path / name) for name in ("directory", "file", "missing", "file/below")]
    assert host.path_facts(paths) == {
        paths[0]: PathFact("directory", 999, 998, 0o1770),
        paths[1]: PathFact("file", 0, 0, 0o604),
    }


def test_a_link_is_what_it_leads_to_and_nothing_where_that_is_missing(tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "dangling").symlink_to("missing")
    found = host.path_facts([str(tmp_path / "link"), str(tmp_path / "dangling")])
    assert {path: fact.kind for path, fact in found.items()} == {str(tmp_path / "link"): "directory"}


def test_a_socket_counts_as_a_file(tmp_path: Path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))
    assert host.path_facts([str(tmp_path / "socket")])[str(tmp_path / "socket")].kind == "file"


@pytest.mark.parametrize("path", ["loop", "x" * 5000])
def test_a_path_that_cannot_be_looked_at_is_an_error(tmp_path: Path, path: str):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(DockyardError, match=path[:20]):
        host.path_facts([str(tmp_path / path)])


def test_patterns_match_sorted_and_only_what_is_there(tmp_path: Path):
    for name in ("b.conf", "a.conf", "c.txt", ".hidden.conf"):
        (tmp_path / name).touch()
    found = host.matches_of([f"{tmp_path}/*.conf", f"{tmp_path}/*.none"])
    assert found == {f"{tmp_path}/*.conf": (f"{tmp_path}/a.conf", f"{tmp_path}/b.conf"), f"{tmp_path}/*.none": ()}


@pytest.mark.parametrize("name", ["localhost", "no-such-name.invalid", "a..b", "x" * 300, "127.0.0.1"])
def test_a_name_without_an_address_of_its_own_has_none(name: str):
    assert host.addresses_of([name]) == {}


def test_an_address_is_its_own():
    assert host.addresses_of(["192.0.2.7"]) == {"192.0.2.7": "192.0.2.7"}


def test_the_host_knows_its_short_name():
    assert host.host_facts().name == socket.gethostname().split(".")[0]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Return an empty picture of an image's root."""
    (tmp_path / "etc").mkdir()
    return tmp_path


def test_users_are_known_by_name_and_by_uid(files: Path):
    (files / "etc/passwd").write_text("root:x:0:0::/:/bin/sh\nredis:x:999:998::/data:\n")
    users, _ = host.users_of(files)
    redis = Owner(999, 998)
    assert users == {"root": Owner(0, 0), "0": Owner(0, 0), "redis": redis, "999": redis}


def test_groups_are_known_by_name(files: Path):
    (files / "etc/group").write_text("root:x:0:\nredis:x:998:joe,ann\n")
    assert host.users_of(files)[1] == {"root": 0, "redis": 998}


def test_of_two_lines_for_one_name_or_uid_the_first_counts(files: Path):
    """As the C library has it."""
    (files / "etc/passwd").write_text("a:x:1:1::/:\na:x:2:2::/:\nb:x:1:9::/:\n")
    (files / "etc/group").write_text("g:x:1:\ng:x:2:\n")
    users, groups = host.users_of(files)
    assert (users["a"], users["1"], users["b"], groups) == (Owner(1, 1), Owner(1, 1), Owner(1, 9), {"g": 1})


@pytest.mark.parametrize("line", ["", "#", "redis", "redis:x", "redis:x:many:1", "redis:x:1", ":::", "+::::::"])
def test_lines_that_are_no_entries_are_passed_over(files: Path, line: str):
    (files / "etc/passwd").write_text(f"{line}\nok:x:1:2::/:\n")
    (files / "etc/group").write_text(f"{line}\n")
    users, _ = host.users_of(files)
    assert users["ok"] == Owner(1, 2)
    assert "redis" not in users


def test_users_in_bytes_that_are_not_utf8_are_no_obstacle(files: Path):
    (files / "etc/passwd").write_bytes(b"\xff:x:5:5::/:\nok:x:1:2::/:\n")
    assert host.users_of(files)[0]["ok"] == Owner(1, 2)


def test_no_files_no_users(tmp_path: Path):
    assert host.users_of(tmp_path / "missing") == ({}, {})
