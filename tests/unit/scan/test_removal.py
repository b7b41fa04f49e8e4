"""Undoing changes in a running container, as who is inside sees it; and taking that back."""

import hashlib
import json
import os
import socket
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockyard.errors import DockyardError
from dockyard.scan import removal as removal_module
from dockyard.scan import restoring
from dockyard.scan.layer import Change
from dockyard.scan.manifest import NAME
from dockyard.scan.quarantine import KEPT, quarantined
from dockyard.scan.removal import Removed, remove
from dockyard.scan.restoring import restore
from dockyard.scan.where import Place
from tests.unit.scan.inside import Container

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")

ACL = bytes.fromhex("0200000001000700ffffffff02000500e803000004000500ffffffff10000700ffffffff20000500ffffffff")
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
SET_UP = 1_600_000_000_123_456_789  # ns


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    """A running container of an image of two layers, with an entry of each kind."""
    made = Container(tmp_path)
    _fill_image(made.image, made.later)
    made.start()
    yield made
    made.stop()


def _fill_image(image: Path, later: Path) -> None:
    for name in ("etc/sub/deep", "bin", "both", "gone"):
        (image / name).mkdir(parents=True)
    (image / "etc/passwd").write_text("root:x:0")
    (image / "etc/sub/deep/file").write_text("deep")
    (image / "etc/link").symlink_to("passwd")
    (image / "bin/su").write_text("su")
    os.chown(image / "bin/su", 12, 34)
    os.setxattr(image / "bin/su", "security.capability", CAPABILITY)
    os.setxattr(image / "bin/su", "system.posix_acl_access", ACL)
    os.setxattr(image / "bin/su", "user.note", b"\0\xff\n")
    os.mkfifo(image / "etc/pipe", 0o640)
    os.mknod(image / "etc/null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (image / "both/lower").write_text("lower")
    (image / "both/hidden").write_text("hidden")
    (image / "both/one").write_text("linked")
    os.link(image / "both/one", image / "both/two")
    (later / "both").mkdir()
    (later / "both").chmod(0o750)
    (later / "both/upper").write_text("upper")
    os.mknod(later / "both/hidden", stat.S_IFCHR, 0)
    for path in sorted((*image.rglob("*"), *later.rglob("*")), reverse=True):
        os.utime(path, ns=(SET_UP, SET_UP), follow_symlinks=False)


def told(path: Path) -> dict[str, object]:
    """Return all of what is at a place and below it, but for what nobody can set back."""
    found: dict[str, object] = {}
    for one in (path, *sorted(path.rglob("*"))):
        status = one.lstat()
        inner: object = one.readlink() if one.is_symlink() else one.read_bytes() if one.is_file() else None
        own = {name: os.getxattr(one, name, follow_symlinks=False) for name in os.listxattr(one, follow_symlinks=False)}
        size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        facts = (status.st_mode, status.st_uid, status.st_gid, size, status.st_rdev, status.st_mtime_ns)
        # Of a directory that something was done in, the time says so.
        found[str(one)] = (*(facts[:-1] if one.is_dir() else facts), inner, own)
    return found


def _remove(container: Container, changes: list[Change] | None = None) -> Removed:
    found = container.changes() if changes is None else changes
    return remove("web", "0123456789abcdef", container.pid, container.place, found, container.quarantine, "image")


def _rename_over() -> None:
    Path("/etc/new").write_text("evil")
    Path("/etc/new").rename("/etc/passwd")


def _delete(*paths: str) -> None:
    import shutil

    for path in paths:
        if Path(path).is_dir():
            shutil.rmtree(path)
        else:
            Path(path).unlink()


def _new_tree() -> None:
    Path("/new/a/b").mkdir(parents=True)
    Path("/new/a/b/file").write_text("x" * 100_000)
    Path("/new/a/b/file").chmod(0o4755)
    os.chown("/new/a/b", 7, 8)
    os.setxattr("/new/a/b/file", "user.x", b"\xff\0y\n=")
    os.setxattr("/new/a/b/file", b"user.\xff=", b"odd")
    os.setxattr("/new/a", "system.posix_acl_default", ACL)
    Path("/new/a/link").symlink_to("/etc/passwd")
    os.mkfifo("/new/pipe", 0o600)
    os.mknod("/new/disk", stat.S_IFBLK | 0o660, os.makedev(254, 0))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("/new/socket")
    Path(os.fsdecode(b"/new/\xff\n\x1b[2J")).write_text("odd")
    os.link("/new/a/b/file", "/new/again")
    os.link("/new/a/b/file", "/bin/again")
    for path in ("/new/a/b/file", "/new/a/link", "/new/pipe", "/new/disk"):
        os.utime(path, ns=(SET_UP + 1, SET_UP + 2), follow_symlinks=False)


def _other_types() -> None:
    _delete("/both", "/etc/passwd", "/etc/link")
    Path("/both").write_text("a file now")
    Path("/etc/passwd").mkdir()
    Path("/etc/passwd/inner").write_text("in it")
    os.mkfifo("/etc/link")


def _own_facts() -> None:
    Path("/etc").chmod(0o777)
    os.chown("/etc/sub", 5, 6)
    os.setxattr("/etc/sub", "user.payload", b"p")
    Path("/bin/su").chmod(0o4777)
    os.removexattr("/bin/su", "user.note")
    Path("/etc/pipe").chmod(0o666)


def _linked_to_an_edited_one() -> None:
    Path("/etc/passwd").write_text("both names")
    os.link("/etc/passwd", "/bin/passwd")


def _anew() -> None:
    _delete("/both")
    Path("/both").mkdir(mode=0o700)
    Path("/both/upper").write_text("another")
    Path("/both/new").touch()


CASES: dict[str, Callable[[], object]] = {
    "new": _new_tree,
    "edited": lambda: Path("/etc/passwd").write_text("evil:x:0"),
    "edited capability": lambda: Path("/bin/su").write_text("evil"),
    "replaced": _rename_over,
    "deleted": lambda: _delete("/etc/passwd", "/etc/link", "/etc/pipe", "/etc/null", "/bin/su"),
    "deleted directories": lambda: _delete("/both", "/etc/sub", "/gone"),
    "directory made anew": _anew,
    "metadata": _own_facts,
    "other types": _other_types,
    "two names": _linked_to_an_edited_one,
}


@pytest.mark.parametrize("change", CASES.values(), ids=CASES)
def test_undone_and_put_back(container: Container, change: Callable[[], object]) -> None:
    """Whatever was changed is as in the image for who is inside, and as it was changed after it is put back."""
    before = container.do(lambda: told(Path("/")))
    container.do(change)
    changed = container.do(lambda: told(Path("/")))
    assert changed != before
    reported = {one.path for one in container.changes()}
    removed = _remove(container)
    assert removed.refused == ()
    assert set(removed.undone) == reported
    assert container.do(lambda: told(Path("/"))) == before
    assert container.changes() == []
    assert removed.tar
    restored = restore(removed.tar, container.pid, container.place)
    assert restored.refused == ()
    assert set(restored.restored) == reported
    assert container.do(lambda: told(Path("/"))) == changed
    assert {one.path for one in container.changes()} == reported


def test_linked_files_are_one_again(container: Container) -> None:
    """Names of one file of the image, and of one in the quarantine, are names of one file afterwards."""
    container.do(lambda: (_delete("/both"), _new_tree()))
    removed = _remove(container)

    def same(one: str, *others: str) -> bool:
        return container.do(lambda: all(Path(one).samefile(other) for other in others))

    assert same("/both/one", "/both/two")
    assert removed.tar
    restore(removed.tar, container.pid, container.place)
    assert same("/new/again", "/new/a/b/file", "/bin/again")


def test_open_directory_and_open_file_inside(container: Container) -> None:
    """A process that has a directory open sees the image's file in it at once; not as when the layer changes below."""
    container.do(lambda: (Path("/etc/passwd").write_text("evil"), Path("/etc/new").touch()))
    etc = os.open(f"/proc/{container.pid}/root/etc", os.O_RDONLY)
    assert os.stat("new", dir_fd=etc)
    _remove(container)
    with os.fdopen(os.open("passwd", os.O_RDONLY, dir_fd=etc)) as file:
        assert file.read() == "root:x:0"
    assert sorted(os.listdir(etc)) == ["link", "null", "passwd", "pipe", "sub"]  # noqa: PTH208 - by its descriptor
    with pytest.raises(FileNotFoundError):
        os.stat("new", dir_fd=etc)
    os.close(etc)


def test_tar(container: Container) -> None:
    """The tar is root's alone, its manifest comes first and has the hash of each file and the exact bytes of names."""
    container.do(_new_tree)
    removed = _remove(container)
    tar = removed.tar
    assert tar
    assert stat.S_IMODE(tar.stat().st_mode) == 0o600
    assert stat.S_IMODE(tar.parent.stat().st_mode) == 0o700
    assert [path.name for path in tar.parent.iterdir()] == [tar.name]
    with tarfile.open(tar, encoding="utf-8", errors="surrogateescape") as archive:
        members = {member.name: member for member in archive}
        assert next(iter(members)) == NAME
        data = archive.extractfile(NAME)
        assert data
        about = json.loads(data.read())
        files = {member.linkname or name for name, member in members.items() if member.islnk() or name.endswith("file")}
        assert len(files) == 1
        (name,) = files
        content = archive.extractfile(name)
        assert content
        assert members[name].pax_headers["SCHILY.xattr.user.x"] == os.fsdecode(b"\xff\0y\n=")
        assert members[name].pax_headers["mtime"] == "1600000000.123456791"
        row = next(row for row in about["entries"] if row.get("sha256"))
        assert row["sha256"] == hashlib.sha256(b"x" * 100_000).hexdigest() == hashlib.sha256(content.read()).hexdigest()
    assert (about["container"], about["id"], about["image"]) == ("web", "0123456789abcdef", "image")
    assert "L25ldy//Chtbsko=" not in json.dumps(about)
    assert [row["path_base64"] for row in about["entries"] if "path_base64" in row] == ["L25ldy//ChtbMko="]
    listed = quarantined(tar.parent)
    assert [(one.container, one.entries, one.fault) for one in listed] == [("web", len(about["entries"]), "")]


@pytest.mark.parametrize(
    "later",
    [
        lambda: Path("/etc/passwd").write_text("evil:y:0"),
        lambda: Path("/etc/passwd").chmod(0o600),
        lambda: (Path("/etc/other").write_text("evil:x:0"), Path("/etc/other").rename("/etc/passwd")),
        lambda: (Path("/etc/passwd").unlink(), Path("/etc/passwd").symlink_to("/bin/su")),
        lambda: Path("/etc/passwd").unlink(),
    ],
)
def test_changed_meanwhile(container: Container, later: Callable[[], object]) -> None:
    """What is no longer as it was reported is left alone; what else was reported is undone."""
    container.do(lambda: (Path("/etc/passwd").write_text("evil:x:0"), Path("/etc/new").touch()))
    changes = container.changes()
    container.do(later)
    before = container.do(lambda: told(Path("/etc/passwd"))) if (container.merged / "etc/passwd").exists() else None
    removed = _remove(container, changes)
    assert [one.path for one in removed.refused] == ["/etc/passwd"]
    assert removed.undone == ("/etc/new",)
    if before:
        assert container.do(lambda: told(Path("/etc/passwd"))) == before


def test_changed_after_it_was_saved(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes between the copy in the quarantine and its removal is left alone."""
    container.do(lambda: (Path("/etc/new").write_text("saved"), Path("/bin/new").write_text("saved")))
    changes = container.changes()
    real = removal_module.write

    def written(*arguments: object) -> object:
        found = real(*arguments)  # type: ignore[arg-type]
        container.do(lambda: Path("/etc/new").write_text("later"))
        return found

    monkeypatch.setattr(removal_module, "write", written)
    removed = _remove(container, changes)
    assert removed.undone == ("/bin/new",)
    assert [one.path for one in removed.refused] == ["/etc/new"]
    assert container.do(lambda: Path("/etc/new").read_text()) == "later"


def test_directory_that_holds_more(container: Container) -> None:
    """A new directory that holds what was not reported stays, and says why."""
    container.do(lambda: (Path("/new").mkdir(), Path("/new/known").touch()))
    changes = container.changes()
    container.do(lambda: Path("/new/kept").touch())
    # A directory's own time changed with that: it is reported anew.
    changes = [*(one for one in container.changes() if one.path == "/new"), *changes[1:]]
    removed = _remove(container, changes)
    assert removed.undone == ("/new/known",)
    assert [(one.path, one.reason) for one in removed.refused] == [
        ("/new", "it contains entries that were not reported")
    ]


def test_room(container: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too large to be saved is not removed; what is smaller is, all the same."""
    container.do(lambda: (Path("/huge").touch(), os.truncate("/huge", 1 << 43), Path("/small").touch()))
    removed = _remove(container)
    assert removed.undone == ("/small",)
    assert [one.path for one in removed.refused] == ["/huge"]
    assert "a tenth of the free space" in removed.refused[0].reason
    monkeypatch.setattr(removal_module, "_room", lambda _: 0)
    assert _remove(container).undone == ()
    assert container.do(lambda: Path("/huge").exists())


def test_nothing_is_touched_where_the_tar_cannot_be_written(container: Container) -> None:
    """Without a quarantine nothing is removed; one that others may write to is none."""
    container.do(lambda: Path("/new").touch())
    container.quarantine.mkdir()
    container.quarantine.chmod(0o777)
    with pytest.raises(DockyardError, match="other users can"):
        _remove(container)
    assert container.do(lambda: Path("/new").exists())


def test_another_process(container: Container) -> None:
    """A process whose root is another's, or that has ended, is not worked on."""
    container.do(lambda: Path("/new").touch())
    changes, place = container.changes(), container.place
    for pid, match in ((os.getpid(), "not this container's"), (2**22, "cannot be inspected")):
        with pytest.raises(DockyardError, match=match):
            remove("web", "0123", pid, place, changes, container.quarantine)
    assert container.do(lambda: Path("/new").exists())


def test_put_back_only_where_nothing_else_is(container: Container) -> None:
    """What the container has made in the place of what was removed stays."""
    container.do(lambda: (Path("/new").write_text("1"), Path("/etc/passwd").write_text("2"), Path("/fine").touch()))
    removed = _remove(container)
    container.do(lambda: (Path("/new").write_text("3"), Path("/etc/passwd").write_text("4")))
    assert removed.tar
    restored = restore(removed.tar, container.pid, container.place)
    assert restored.restored == ("/fine",)
    assert {one.path for one in restored.refused} == {"/new", "/etc/passwd"}
    assert container.do(lambda: Path("/new").read_text() + Path("/etc/passwd").read_text()) == "34"


@pytest.mark.parametrize("path", ["/both", "/etc/passwd"])
def test_what_is_written_while_it_is_put_back_stays(
    container: Container, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """Whatever the container has made meanwhile of the image's entry is its own, and stays."""
    container.do(lambda: _delete(path))
    removed = _remove(container)
    assert removed.tar
    differing = restoring.differing_in

    def and_then(place: Place) -> tuple[set[str], set[str]]:
        found = differing(place)
        written = container.merged / path[1:]
        (written / "precious" if written.is_dir() else written).write_text("precious")
        return found

    monkeypatch.setattr(restoring, "differing_in", and_then)
    assert restore(removed.tar, container.pid, container.place).restored == ()
    kept = container.merged / path[1:]
    assert (kept / "precious" if kept.is_dir() else kept).read_text() == "precious"


def test_retention(container: Container) -> None:
    """The newest tars of a container are kept, and those of another whose name begins like it; the rest are told."""
    container.do(lambda: Path("/0").touch())
    remove("web-2", "0123", container.pid, container.place, container.changes(), container.quarantine)
    dropped = []
    for number in range(KEPT + 2):
        container.do(lambda number=number: Path(f"/{number}").touch())
        dropped += _remove(container).dropped
    names = [one.container for one in quarantined(container.quarantine)]
    assert (names.count("web"), names.count("web-2"), len(dropped)) == (KEPT, 1, 2)


def test_damaged_tar_is_listed_and_not_used(container: Container) -> None:
    """A tar that was changed says so, and nothing is put back from it."""
    container.do(lambda: Path("/new").write_text("payload of the attacker"))
    tar = _remove(container).tar
    assert tar
    tar.write_bytes(tar.read_bytes().replace(b"payload", b"PAYLOAD"))
    restored = restore(tar, container.pid, container.place)
    assert [(one.path, one.reason) for one in restored.refused] == [
        ("/new", "its content in the tar does not have the saved hash")
    ]
    assert container.changes() == []
    tar.write_bytes(b"nothing")
    assert quarantined(tar.parent)[0].fault
    with pytest.raises(DockyardError, match="not a tar of the quarantine"):
        restore(tar, container.pid, container.place)


@pytest.mark.parametrize("path", ["/../etc/passwd", "/etc/../new", "etc/passwd", "//etc", "/", "/etc/./new"])
def test_odd_paths(container: Container, path: str) -> None:
    """A path that leads anywhere else than down is refused."""
    removed = _remove(container, [Change(path, "new", "file")])
    assert [one.path for one in removed.refused] == [path]
    assert removed.tar is None


def test_depth_past_what_a_path_can_be(container: Container) -> None:
    """A tree whose path is longer than the kernel takes is removed and put back."""

    def build() -> None:
        for _ in range(40):
            Path("d" * 200).mkdir()
            os.chdir("d" * 200)
        Path("payload").write_text("deep")

    container.do(build)
    removed = _remove(container)
    assert (len(removed.undone), removed.refused, container.changes()) == (41, (), [])
    assert removed.tar
    assert len(restore(removed.tar, container.pid, container.place).restored) == 41
    assert len(container.changes()) == 41
