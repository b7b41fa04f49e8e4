"""What stands where, on real files. Owners, bind mounts and access control lists need root."""

import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockyard import paths
from dockyard.engine.models import IdMap
from dockyard.errors import DockyardError
from dockyard.plan.facts import AclEntry, Location, Owner, PathFact
from dockyard.plan.mounts import Access
from dockyard.plan.ownership import Process, findings

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def _fact(path: Path) -> PathFact:
    return paths.path_facts([str(path)])[str(path)]


# --------------------------------------------------------------------------------------------------- what stands there
@as_root
def test_path_facts_tell_kind_owner_and_mode(tmp_path: Path):
    (tmp_path / "directory").mkdir()
    os.chown(tmp_path / "directory", 999, 998)
    (tmp_path / "directory").chmod(0o1770)
    (tmp_path / "file").touch()
    (tmp_path / "file").chmod(0o604)
    names = [str(tmp_path / name) for name in ("directory", "file", "missing", "file/below")]
    found = paths.path_facts(names)
    assert {path: fact[:5] for path, fact in found.items()} == {
        names[0]: ("directory", 999, 998, 0o1770, names[0]),
        names[1]: ("file", 0, 0, 0o604, names[1]),
    }


def test_a_link_is_what_it_leads_to_and_nothing_where_that_is_missing(tmp_path: Path):
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    (tmp_path / "dangling").symlink_to("missing")
    found = paths.path_facts([str(tmp_path / "link"), str(tmp_path / "dangling")])
    assert {path: (fact.kind, fact.real) for path, fact in found.items()} == {
        str(tmp_path / "link"): ("directory", f"{tmp_path}/there")
    }


def test_the_real_path_has_no_link_on_the_way(tmp_path: Path):
    (tmp_path / "disk/web").mkdir(parents=True)
    (tmp_path / "base").symlink_to("disk")
    assert _fact(tmp_path / "base/web").real == f"{tmp_path}/disk/web"


def test_what_is_neither_directory_nor_file_is_something_else(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "socket"))
        kinds = [_fact(path).kind for path in (tmp_path / "socket", tmp_path / "pipe", Path("/dev/null"))]
    assert kinds == ["other"] * 3


@pytest.mark.parametrize("path", ["loop", "x" * 5000])
def test_a_path_that_cannot_be_looked_at_is_an_error(tmp_path: Path, path: str):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(DockyardError, match=path[:20]):
        paths.path_facts([str(tmp_path / path)])


@as_root
def test_an_access_control_list_is_told_entry_by_entry(tmp_path: Path):
    (tmp_path / "plain").mkdir()
    (tmp_path / "listed").mkdir(mode=0o750)
    entries = "u:33:rwx,g:50:r-x,m::r-x"
    subprocess.run(("setfacl", "-m", entries, tmp_path / "listed"), check=True)  # noqa: S607
    (tmp_path / "link").symlink_to("listed")
    assert _fact(tmp_path / "plain").acl == ()
    assert {entry.tag: entry[1:] for entry in _fact(tmp_path / "link").acl if entry.tag in {"user", "group"}} == {
        "user": (7, 33),
        "group": (5, 50),
    }
    assert [entry.permissions for entry in _fact(tmp_path / "listed").acl if entry.tag == "mask"] == [5]
    assert {"owner", "owning group", "other"} <= {entry.tag for entry in _fact(tmp_path / "listed").acl}
    assert all(isinstance(entry, AclEntry) for entry in _fact(tmp_path / "listed").acl)


@pytest.fixture
def open_path() -> Iterator[Path]:
    """Return a directory that everybody may pass through, unlike pytest's own."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@as_root
def test_the_first_directory_that_others_may_not_pass_is_told(open_path: Path):
    (open_path / "a/b/c").mkdir(parents=True)
    (open_path / "link").symlink_to("a/b/c")
    assert _fact(open_path / "a/b/c").closed == ""
    (open_path / "a/b").chmod(0o750)
    assert _fact(open_path / "a/b/c").closed == f"{open_path}/a/b"
    assert _fact(open_path / "link").closed == f"{open_path}/a/b"
    (open_path / "a").chmod(0o700)
    assert _fact(open_path / "a/b/c").closed == f"{open_path}/a"
    assert _fact(open_path / "a").closed == ""  # what is in it is of no concern


@as_root
def test_a_home_is_not_closed_to_the_engine_of_its_user(open_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Containers of a rootless engine pass where its user does: root inside is that user."""
    (open_path / "home/data").mkdir(parents=True)
    (open_path / "home").chmod(0o700)
    os.chown(open_path / "home", 1000, 1000)
    told = []
    for user in (0, 1000, 1001):
        monkeypatch.setattr(os, "geteuid", lambda user=user: user)
        told.append(_fact(open_path / "home/data").closed)
    assert told == [f"{open_path}/home", "", f"{open_path}/home"]


@as_root
def test_the_doctor_judges_as_the_kernel_does(open_path: Path):
    """For every owner, group, mode and list that matters, as a process of a user with one further group sees it."""
    lists = ["", "u:33:r-x,m::rwx", "u:33:rwx,m::r-x", "g:50:rwx,m::rwx", "g::-wx,g:50:r-x,m::rwx", "g:50:-wx,g:34:r-x"]
    modes = [0o000, 0o400, 0o500, 0o600, 0o700, 0o050, 0o070, 0o020, 0o005, 0o007, 0o750, 0o705, 0o770, 0o577, 0o757]
    made = itertools.product((0, 33), (0, 34, 50), modes, lists, ("directory", "file"))
    names = []
    for number, (uid, gid, mode, entries, kind) in enumerate(made):
        path = open_path / str(number)
        path.mkdir() if kind == "directory" else path.touch()
        os.chown(path, uid, gid)
        path.chmod(mode)
        names.append((str(path), entries))
    for entries in filter(None, lists):
        some = [path for path, said in names if said == entries]
        subprocess.run(("setfacl", "-m", entries, *some), check=True)  # noqa: S607
    facts = paths.path_facts([path for path, _ in names])
    ask = """
import json, os, sys
os.setgroups([50]), os.setresgid(34, 34, 34), os.setresuid(33, 33, 33)
needed = {path: os.R_OK | (os.X_OK if os.path.isdir(path) else 0) for path in sys.argv[1:]}
print(json.dumps([[os.access(path, bits | more) for more in (0, os.W_OK)] for path, bits in needed.items()]))
"""
    done = subprocess.run((sys.executable, "-I", "-c", ask, *facts), capture_output=True, text=True, check=True)
    process = Process("www", Owner(33, 34, (50,)), IdMap(), overrides=False)
    judged = [
        [not findings([Access(path, fact, writes, "f:1")], process) for writes in (False, True)]
        for path, fact in facts.items()
    ]
    kernel = json.loads(done.stdout)
    assert [(fact, *pair) for fact, pair in zip(facts.values(), judged, strict=True)] == [
        (fact, *pair) for fact, pair in zip(facts.values(), kernel, strict=True)
    ]
    assert len(kernel) > 1000
    assert {tuple(pair) for pair in kernel} == {(True, True), (True, False), (False, False)}


# ------------------------------------------------------------------------------------------------------------ patterns
def test_patterns_match_sorted_and_only_what_is_there(tmp_path: Path):
    for name in ("b.conf", "a.conf", "c.txt", ".hidden.conf"):
        (tmp_path / name).touch()
    found = paths.matches_of([f"{tmp_path}/*.conf", f"{tmp_path}/*.none"])
    assert found == {f"{tmp_path}/*.conf": (f"{tmp_path}/a.conf", f"{tmp_path}/b.conf"), f"{tmp_path}/*.none": ()}


# ----------------------------------------------------------------------------------------------------------- locations
Mount = Callable[..., None]


@pytest.fixture
def bind() -> Iterator[Mount]:
    """Return what mounts one directory at another; unmounted when the test is over."""
    done: list[Path] = []

    def mount(source: Path | str, point: Path, *options: str) -> None:
        if not point.exists():
            point.mkdir(parents=True)
        subprocess.run(("mount", *(options or ("--bind",)), source, point), check=True)  # noqa: S607
        done.append(point)

    yield mount
    for point in reversed(done):
        subprocess.run(("umount", point), check=True)  # noqa: S607


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Return production's data, `web/data/sub`, below a directory."""
    (tmp_path / "web/data/sub").mkdir(parents=True)
    return tmp_path


def _locations(path: Path | str) -> tuple[Location, ...]:
    return paths.locations_of([str(path)])[str(path)]


def test_a_path_that_is_not_there_is_where_it_would_be(data: Path):
    (above,) = _locations(data / "web")
    assert _locations(data / "web/none/x") == (above._replace(path=f"{above.path}/none/x"),)


def test_no_place_is_written_with_two_slashes():
    """`//srv` and `/srv` are one place, and have to compare so."""
    assert [_locations(path)[0].path[:2] for path in ("/", "/proc", "/proc/1")] == ["/", "/", "/1"]
    assert not any(_locations(path)[0].path.startswith("//") for path in ("/usr", "/tmp/x", "/none"))  # noqa: S108


def test_links_are_followed_wherever_they_are(data: Path):
    (data / "link").symlink_to("web/data")
    (data / "base").symlink_to(data)
    there = _locations(data / "web/data/sub")
    assert _locations(data / "link/sub") == _locations(data / "base/link/sub") == there


@as_root
def test_a_bind_mount_is_the_place_that_it_shows(data: Path, bind: Mount):
    bind(data / "web", data / "mnt")
    assert _locations(data / "mnt/data/sub") == _locations(data / "web/data/sub")
    assert _locations(data / "mnt/none") == _locations(data / "web/none")


@as_root
def test_a_bind_mount_of_the_roots_own_file_system_is_known(tmp_path: Path, bind: Mount):
    """Where paths begin at the root of their file system, nothing stands before them."""
    bind("/usr", tmp_path / "mnt")
    assert _locations(tmp_path / "mnt/bin")[0] == _locations(os.path.realpath("/usr/bin"))[0]


@as_root
def test_a_bind_mount_of_a_bind_mount_is_known(data: Path, bind: Mount):
    bind(data / "web", data / "one")
    bind(data / "one/data", data / "two")
    assert _locations(data / "two/sub") == _locations(data / "web/data/sub")


@as_root
def test_a_bind_mount_of_a_file_is_known(data: Path, bind: Mount):
    for name in ("web/file", "other"):
        (data / name).touch()
    bind(data / "web/file", data / "other")
    assert _locations(data / "other") == _locations(data / "web/file")


@as_root
def test_what_is_mounted_below_is_told_too(data: Path, bind: Mount):
    bind("tmpfs", data / "web/memory", "-t", "tmpfs")
    bind(data / "web/data", data / "web/shown")
    first, *below = _locations(data / "web")
    assert set(below) == {*_locations(data / "web/memory"), *_locations(data / "web/data")}
    assert first not in below
    assert _locations(data / "web/memory/x") == (below[0]._replace(path="/x"),)
    assert _locations(data / "web/data") == _locations(data / "web/shown")


@as_root
def test_of_two_mounts_at_one_place_the_last_counts(data: Path, bind: Mount):
    bind(data / "web", data / "mnt")
    bind("tmpfs", data / "mnt", "-t", "tmpfs")
    assert _locations(data / "mnt/data")[0].device != _locations(data / "web/data")[0].device
    assert len(_locations(data / "mnt")) == 1


@as_root
def test_a_mount_that_another_hides_counts_no_more(data: Path, bind: Mount):
    """Mountinfo goes on to list it: who believed that would miss that /mnt/a/x is production's."""
    (data / "web/a").mkdir()
    bind("tmpfs", data / "mnt/a", "-t", "tmpfs")
    bind(data / "web", data / "mnt")
    assert _locations(data / "mnt/a/x") == _locations(data / "web/a/x")
    assert len(_locations(data / "mnt")) == 1


@as_root
@pytest.mark.parametrize("name", ["a b", "a\\b", "tab\there", "ünï", "a#b"])
def test_names_that_mountinfo_writes_in_escapes_are_read(data: Path, bind: Mount, name: str):
    (data / name / "sub").mkdir(parents=True)
    bind(data / name, data / f"mnt {name}")
    assert _locations(data / f"mnt {name}" / "sub") == _locations(data / name / "sub")


@as_root
def test_the_overlay_of_a_test_area_is_where_its_layers_are(data: Path, bind: Mount):
    """It goes with the area, so who reads all areas reads it as any other directory there."""
    layers = data / "TMP/web/.layers/0"
    for name in ("upper", "work"):
        (layers / name).mkdir(parents=True)
    options = f"lowerdir={data}/web/data,upperdir={layers}/upper,workdir={layers}/work"
    before = _locations(data / "TMP/web/data")
    bind(layers, data / "TMP/web/data", "-i", "-t", "overlay", "-o", options)
    assert _locations(data / "TMP/web/data") == before
    assert len(_locations(data / "TMP")) == 1


@as_root
def test_any_other_overlay_is_a_place_of_its_own(data: Path, bind: Mount):
    for name in ("upper", "work"):
        (data / name).mkdir()
    options = f"lowerdir={data}/web,upperdir={data}/upper,workdir={data}/work"
    bind("overlay", data / "merged", "-t", "overlay", "-o", options)
    assert _locations(data / "merged/data")[0].device != _locations(data / "web/data")[0].device
    assert _locations(data / "merged/data")[0].path == "/data"


def _row(number: int, parent: int, point: str, root: str = "/", device: str = "8:1") -> paths.MountPoint:
    return paths.MountPoint(str(number), str(parent), device, root, point, "ext4", "/dev/sda")


@pytest.mark.parametrize(
    ("rows", "visible"),
    [
        ([_row(1, 0, "/")], {"/": "1"}),
        ([_row(1, 1, "/")], {"/": "1"}),  # the first of all is mounted on itself
        ([_row(1, 0, "/"), _row(2, 1, "/")], {"/": "2"}),
        ([_row(1, 0, "/"), _row(2, 1, "/a"), _row(3, 2, "/a/b")], {"/": "1", "/a": "2", "/a/b": "3"}),
        ([_row(1, 0, "/"), _row(2, 1, "/a/b"), _row(3, 1, "/a")], {"/": "1", "/a": "3"}),
        ([_row(1, 0, "/"), _row(2, 1, "/a"), _row(3, 2, "/a")], {"/": "1", "/a": "3"}),
        ([_row(1, 0, "/"), _row(2, 1, "/a"), _row(3, 2, "/a"), _row(4, 2, "/a/b")], {"/": "1", "/a": "3"}),
    ],
)
def test_a_mount_is_seen_where_nothing_covers_it(rows: list[paths.MountPoint], visible: dict[str, str]):
    assert {point: mount.number for point, mount in paths._visible(rows).items()} == visible  # noqa: SLF001 - rules
