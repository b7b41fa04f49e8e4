"""What overlay mounts say of a container's directories, whole or shortened."""

import pytest

from dockyard.layers.directories import Overlay, completed, mounted_for, overlay_of, overlays_in

SNAPSHOTS = "/var/lib/containerd/io.containerd.snapshotter.v1.overlayfs/snapshots"
ID = "ab" * 32


def everywhere(_path: str) -> bool:
    """Take every directory for existing."""
    return True


def test_options_in_any_order() -> None:
    """The names are what counts: containerd writes them in another order than the kernel."""
    told = overlay_of(b"index=off,workdir=/w,upperdir=/u,lowerdir=/a:/b")
    assert told == overlay_of(b"rw,lowerdir=/a:/b,upperdir=/u,workdir=/w") == Overlay("/u", ("/a", "/b"))


def test_options_of_a_user() -> None:
    """Marks that a user may write are told by an option."""
    assert overlay_of(b"rw,lowerdir=/a,upperdir=/u,userxattr").users


def test_absolute_paths_stay() -> None:
    """What the kernel says whole is not asked of anyone."""
    overlay = Overlay("/u", ("/a",))
    assert completed(overlay, ("/other", "/b")) == overlay


def test_lower_directories_of_containerd() -> None:
    """Relative ones under an absolute upper directory are beside it: in the directory of all snapshots."""
    asked: list[str] = []

    def exists(path: str) -> bool:
        asked.append(path)
        return True

    overlay = overlay_of(f"rw,lowerdir=334/fs:333/fs,upperdir={SNAPSHOTS}/335/fs,workdir=/w".encode())
    assert completed(overlay, (), exists) == Overlay(
        f"{SNAPSHOTS}/335/fs", (f"{SNAPSHOTS}/334/fs", f"{SNAPSHOTS}/333/fs")
    )
    assert asked == [f"{SNAPSHOTS}/334/fs", f"{SNAPSHOTS}/333/fs"]


def test_lower_directories_that_are_not_there() -> None:
    """What is not found beside the upper directory is not known, and never looked for anywhere else."""
    overlay = Overlay(f"{SNAPSHOTS}/335/fs", ("334/fs", "333/fs"))
    assert completed(overlay, (), lambda path: path.endswith("334/fs")) is None


@pytest.mark.parametrize("lower", ["../../etc", "a/../../../etc"])
def test_lower_directories_that_lead_out(lower: str) -> None:
    """A path that leads up is not completed."""
    assert completed(Overlay("/s/1/fs", (lower,)), (), everywhere) is None


def test_lower_directories_by_descriptor() -> None:
    """Podman names the image's directories by numbers: the engine's own list says what they are."""
    overlay = overlay_of(b"rw,lowerdir=3:6:7,upperdir=/var/lib/containers/storage/overlay/x/diff,workdir=/w")
    known = ("/var/lib/containers/storage/overlay/x/diff", "/o/a/diff", "/o/b/diff", "/o/c/diff")
    assert completed(overlay, known, lambda _: False) == Overlay(known[0], known[1:])
    assert completed(overlay, ("/another/diff", *known[1:]), lambda _: False) is None
    assert completed(overlay, (), lambda _: False) is None


def test_everything_relative() -> None:
    """Docker's graph driver mounts from its own directory, which the engine's answer tells."""
    overlay = Overlay("abc/diff", ("l/A", "l/B"))
    known = ("/d/overlay2/abc/diff", "/d/overlay2/x/diff", "/d/overlay2/y/diff")
    assert completed(overlay, known, everywhere) == Overlay(known[0], known[1:])
    assert completed(overlay, (), everywhere) is None


def _mount(point: str, upper: str = "/u", kind: str = "overlay") -> bytes:
    upperdir = f"upperdir={upper}," if upper else ""
    return f"9 8 0:9 / {point} rw shared:1 - {kind} overlay rw,lowerdir=/a,{upperdir}workdir=/w\n".encode()


def test_overlays_of_a_host() -> None:
    """The last one mounted comes first; other file systems are none."""
    table = _mount("/a") + _mount("/b\\040c") + _mount("/x", kind="ext4")
    assert [one.point for one in overlays_in(table)] == ["/b c", "/a"]


@pytest.mark.parametrize(
    "point",
    [
        f"/var/lib/docker/rootfs/overlayfs/{ID}",
        f"/run/containerd/io.containerd.runtime.v2.task/moby/{ID}/rootfs",
    ],
)
def test_what_the_engine_mounted_for_a_container(point: str) -> None:
    """It is known by the container's id, as a whole part of the path."""
    assert mounted_for(_mount("/other", "/no") + _mount(point), ID) == Overlay("/u", ("/a",))
    assert mounted_for(_mount(point), ID[:-1]) is None


def test_two_mounts_for_one_container() -> None:
    """Equal ones are one; where they differ, somebody else mounted one of them, and neither is believed."""
    first, again = _mount(f"/rootfs/{ID}"), _mount(f"/task/{ID}/rootfs")
    assert mounted_for(first + again, ID) == Overlay("/u", ("/a",))
    assert mounted_for(first + again + _mount(f"/v/{ID}", "/false"), ID) is None


def test_read_only_mounts_are_no_container() -> None:
    """An image that is mounted has no directory to write to."""
    assert mounted_for(_mount(f"/rootfs/{ID}", ""), ID) is None
