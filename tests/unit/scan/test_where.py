"""Where a container's layers are, from what the kernel says."""

import os
from pathlib import Path

import pytest

from dockyard.engine.models import Container, IdMap, IdRange
from dockyard.errors import DockyardError
from dockyard.scan.where import Place, place_in, place_of


def read(table: bytes) -> Place | None:
    """Return what a table tells, its mounts and marks apart."""
    found = place_in(table)
    return found._replace(mounts=(), marks=None) if found else None


TABLE = rb"""1 2 0:9 / / rw - ext4 /dev/sda1 rw
612 498 0:55 / / rw,relatime - overlay overlay rw,lowerdir=/l/TOP:/l/BASE,upperdir=/o/abc/diff,workdir=/o/abc/work
613 612 0:57 / /proc rw - proc proc rw
614 612 8:1 /v/a\040b /data/a\040b rw - ext4 /dev/sda1 rw
"""


def test_overlay() -> None:
    """The root's own line names the directories; all other points are mounts."""
    assert read(TABLE) == Place("/o/abc/diff", ("/l/TOP", "/l/BASE"), frozenset({"/proc", "/data/a b"}))


def test_last_mount_of_the_root_counts() -> None:
    """What was mounted over the root is what the container sees."""
    more = b"700 612 0:60 / / rw - overlay overlay rw,lowerdir=/x,upperdir=/y,workdir=/z\n"
    assert read(TABLE + more) == Place("/y", ("/x",), frozenset({"/proc", "/data/a b"}))


def test_names_with_commas_colons_and_spaces() -> None:
    r"""The kernel writes `\134,` for an escaped comma, and `\040` for a space."""
    line = rb"5 4 0:5 / / rw - overlay o rw,lowerdir=/a\134:b:/c\040d,upperdir=/e\134\054f,workdir=/w" + b"\n"
    found = read(line)
    assert found == Place("/e,f", ("/a:b", "/c d"), frozenset())


def test_layers_one_by_one() -> None:
    """The newer way of mounting names each layer in an option of its own."""
    line = b"5 4 0:5 / / rw - overlay o rw,lowerdir+=/a,lowerdir+=/b,upperdir=/u,workdir=/w\n"
    assert read(line) == Place("/u", ("/a", "/b"), frozenset())


@pytest.mark.parametrize(
    "line",
    [
        b"5 4 0:5 / / rw - ext4 /dev/sda rw\n",
        b"5 4 0:5 / / ro - overlay o ro,lowerdir=/a:/b\n",
        b"5 4 0:5 / / rw - fuse.fuse-overlayfs fuse-overlayfs rw\n",
        b"",
    ],
)
def test_no_overlay_that_can_be_written_to(line: bytes) -> None:
    """Anything else has no upper directory to read."""
    assert place_in(line) is None


def test_very_many_layers() -> None:
    """Their names are relative where all of them are too long for the kernel; the engine tells to which directory."""
    line = b"5 4 0:5 / / rw - overlay o rw,lowerdir=l/A:l/B,upperdir=abc/diff,workdir=abc/work\n"
    found = place_in(line, "/var/lib/docker/overlay2/abc/diff")
    assert found
    assert found.upper == "/var/lib/docker/overlay2/abc/diff"
    assert found.layers == ("/var/lib/docker/overlay2/l/A", "/var/lib/docker/overlay2/l/B")
    other = place_in(line, "/var/lib/docker/overlay2/xabc/diff")
    assert other
    assert other.upper == "abc/diff"


PROCESS = os.getpid()


def placed_by(monkeypatch: pytest.MonkeyPatch, options: str, **facts: object) -> Place:
    """Return the place of a container whose process has a root of these options."""
    line = f"5 4 0:5 / / rw - overlay o rw,{options}\n".encode()
    read_bytes = Path.read_bytes
    table = Path(f"/proc/{PROCESS}/mountinfo")
    monkeypatch.setattr(Path, "read_bytes", lambda path: line if path == table else read_bytes(path))
    return place_of(container(pid=PROCESS, **facts))


def test_lower_directories_beside_the_upper_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Containerd shortens only those of the image; they are found from its own directory of snapshots."""
    for number in range(3):
        (tmp_path / f"{number}/fs").mkdir(parents=True)
    found = placed_by(monkeypatch, f"lowerdir=1/fs:0/fs,upperdir={tmp_path}/2/fs,workdir=/w")
    assert (found.upper, found.layers) == (f"{tmp_path}/2/fs", (f"{tmp_path}/1/fs", f"{tmp_path}/0/fs"))


def test_nothing_relative_is_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A path that is not absolute is refused, though it leads somewhere from where we are."""
    (tmp_path / "here/1/fs").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here")
    for options in (f"lowerdir=1/fs,upperdir={tmp_path}/none/2/fs,workdir=/w", "lowerdir=1/fs,upperdir=1,workdir=/w"):
        with pytest.raises(DockyardError, match="relative to an unknown directory"):
            placed_by(monkeypatch, options)


def test_descriptors_are_completed_by_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Podman has numbers there; its list is of the same upper directory, or it is refused."""
    options = "lowerdir=3:6,upperdir=/o/x/diff,workdir=/w"
    found = placed_by(monkeypatch, options, layer="/o/x/diff", layers=("/o/a/diff", "/o/b/diff"))
    assert (found.upper, found.layers) == ("/o/x/diff", ("/o/a/diff", "/o/b/diff"))
    with pytest.raises(DockyardError, match="other layers than the engine reports"):
        placed_by(monkeypatch, options, layer="/o/y/diff", layers=("/o/a/diff", "/o/b/diff"))


def test_marks() -> None:
    """Which attributes are the overlay's own is told by its kind, whoever asks."""
    users = TABLE.replace(b"/work\n", b"/work,userxattr\n")
    assert [found.marks for found in map(place_in, (TABLE, users)) if found] == [
        ("trusted.overlay.",),
        ("user.overlay.",),
    ]


def test_type_that_is_no_text() -> None:
    """A file system in user space may call itself by any bytes."""
    found = place_in(TABLE + b"9 612 0:9 / /m rw - fuse.\xff\\134x none rw\n")
    assert found
    assert found.mounts[-1].kind == "fuse.\udcff\\x"


def container(**facts: object) -> Container:
    """Return a container of which some facts are known."""
    return Container("0" * 64, "web", "exited", "1" * 64, **facts)  # type: ignore[arg-type]


def test_stopped_one_is_where_the_engine_says() -> None:
    """There is no process to ask."""
    stopped = container(layer="/u", layers=("/a",), mounts={"/data": "/v"})
    assert place_of(stopped) == Place("/u", ("/a",), frozenset({"/data"}))


def test_number_of_a_process_that_is_another_s() -> None:
    """What is mounted for a process of the host's is not mounted in a container that has just ended."""
    with pytest.raises(DockyardError):
        place_of(container(pid=os.getpid(), layer="/u", layers=("/a",), driver="overlay2"))


def test_driver_that_does_not_tell() -> None:
    """It is named, and never taken for unchanged."""
    with pytest.raises(DockyardError, match="vfs"):
        place_of(container(driver="vfs"))


@pytest.fixture
def mapped(tmp_path: Path) -> Container:
    """A stopped container with a map of ids to itself, over an image whose root is the host's."""
    for name in ("image", "id/diff"):
        (tmp_path / name).mkdir(parents=True)
    ids = IdMap((IdRange(0, 200000, 65536),), (IdRange(0, 200000, 65536),))
    return container(layer=f"{tmp_path}/id/diff", layers=(f"{tmp_path}/image",), ids=ids)


def test_image_that_is_mounted_with_mapped_ids(monkeypatch: pytest.MonkeyPatch, mapped: Container) -> None:
    """Where podman has hidden the mounts of the image, its own directories are read, and their owners are mapped."""
    hidden = f"lowerdir={Path(mapped.layer).parent}/mapped/0/l/X,upperdir={mapped.layer},workdir=/w"
    facts = {"layer": mapped.layer, "layers": mapped.layers, "ids": mapped.ids}
    found = placed_by(monkeypatch, hidden, **facts)
    assert (found.layers, found.image_ids) == (mapped.layers, mapped.ids)
    stopped = place_of(mapped)
    assert (stopped.layers, stopped.ids, stopped.image_ids) == (mapped.layers, mapped.ids, mapped.ids)


def test_image_that_was_copied_for_mapped_ids(mapped: Container) -> None:
    """A copy that podman has made has the owners already."""
    os.chown(mapped.layers[0], 200000, 200000)
    assert place_of(mapped).image_ids == IdMap()
    assert place_of(mapped._replace(ids=IdMap())).image_ids == IdMap()


def test_owners_in_a_users_namespace(monkeypatch: pytest.MonkeyPatch, mapped: Container) -> None:
    """There we see ids as containers do; a map of a container's own is one of that namespace."""
    monkeypatch.setenv("DOCKYARD_IN_NAMESPACE", "1")
    assert place_of(mapped._replace(ids=IdMap())).ids == IdMap()
    assert place_of(mapped).ids == mapped.ids
