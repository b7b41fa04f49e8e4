"""What the kernel's own overlay leaves behind, of changes made through it as in a container."""

import os
import shutil
import socket
import stat
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from dockyard.scan.layer import DELETED, EDITED, METADATA, NEW, REPLACED, TOUCHED, TYPE
from tests.unit.scan.conftest import Mount

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts overlays")

CAPABILITY = struct.pack("<IIIII", 0x02000001, 1 << 13, 0, 0, 0)  # cap_net_raw, effective: see linux/capability.h
Act = Callable[[Path], object]


def edit(path: Path) -> None:
    """Write other bytes of the same number into a file, and set its times back."""
    before = path.stat()
    path.write_bytes(bytes(byte ^ 1 for byte in path.read_bytes()))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def replace(path: Path) -> None:
    """Put another file of the same size in a file's place, as `sed -i` does."""
    edited = path.with_name("edited")
    shutil.copy2(path, edited)
    edit(edited)
    edited.rename(path)


def restore(path: Path) -> None:
    """Edit a file, and write back what was there."""
    data = path.read_bytes()
    path.write_bytes(b"other")
    path.write_bytes(data)


def remake(path: Path) -> None:
    """Remove a directory and all in it, and make it anew."""
    shutil.rmtree(path)
    path.mkdir()


def swap_for_file(path: Path) -> None:
    """Put a file in the place of a directory."""
    shutil.rmtree(path)
    path.write_text("no directory")


def swap_for_directory(path: Path) -> None:
    """Put a directory in the place of a file."""
    path.unlink()
    path.mkdir()
    (path / "inner").touch()


def listen(path: Path) -> None:
    """Leave a socket."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


def access_list(path: Path) -> None:
    """Let user 1234 read and write a file: version 2, then tag, permissions and id of each entry."""
    entries = ((1, 6, -1), (2, 6, 1234), (4, 4, -1), (16, 6, -1), (32, 4, -1))
    packed = b"".join(struct.pack("<HHi", *entry) for entry in entries)
    os.setxattr(path, "system.posix_acl_access", struct.pack("<I", 2) + packed)


CASES: dict[str, tuple[Act, dict[str, str]]] = {
    "edited in place": (lambda at: edit(at / "etc/passwd"), {"/etc/passwd": EDITED}),
    "replaced": (lambda at: replace(at / "etc/passwd"), {"/etc/passwd": REPLACED}),
    "restored": (lambda at: restore(at / "etc/passwd"), {}),
    "times": (lambda at: os.utime(at / "etc/passwd", (1, 1)), {}),
    "times of a directory": (lambda at: os.utime(at / "etc", (1, 1)), {}),
    "the same mode again": (lambda at: (at / "bin/sh").chmod(stat.S_IMODE((at / "bin/sh").stat().st_mode)), {}),
    "setuid": (lambda at: (at / "bin/sh").chmod(0o4755), {"/bin/sh": METADATA}),
    "owner of a directory": (lambda at: os.chown(at / "etc", 5, 6), {"/etc": METADATA}),
    "an attribute": (lambda at: os.setxattr(at / "bin/sh", "user.note", b"1"), {"/bin/sh": METADATA}),
    "a forged mark": (lambda at: os.setxattr(at / "bin/sh", "user.overlay.metacopy", b""), {"/bin/sh": METADATA}),
    "a nested mark": (lambda at: os.setxattr(at / "bin/sh", "trusted.overlay.opaque", b"y"), {"/bin/sh": METADATA}),
    "an ACL": (lambda at: access_list(at / "bin/sh"), {"/bin/sh": METADATA}),
    "a capability": (lambda at: os.setxattr(at / "bin/sh", "security.capability", CAPABILITY), {"/bin/sh": METADATA}),
    "deleted": (lambda at: (at / "etc/passwd").unlink(), {"/etc/passwd": DELETED}),
    "a deleted directory": (lambda at: shutil.rmtree(at / "opt"), {"/opt": DELETED}),
    "made anew": (lambda at: remake(at / "etc"), dict.fromkeys(("/etc/ssl", "/etc/passwd", "/etc/link"), DELETED)),
    "made anew, with a directory": (
        lambda at: (remake(at / "opt"), (at / "opt/tool").mkdir()),
        {"/opt/tool/run": DELETED, "/opt/tool/deep": DELETED},
    ),
    "a file for a directory": (
        lambda at: swap_for_file(at / "opt/tool"),
        {"/opt/tool": TYPE, "/opt/tool/run": DELETED, "/opt/tool/deep": DELETED},
    ),
    "a directory for a file": (
        lambda at: swap_for_directory(at / "etc/passwd"),
        {"/etc/passwd": TYPE, "/etc/passwd/inner": NEW},
    ),
    "a link": (lambda at: (at / "etc/new").symlink_to("/etc/shadow"), {"/etc/new": NEW}),
    "a device": (lambda at: os.mknod(at / "etc/disk", stat.S_IFBLK | 0o600, os.makedev(254, 0)), {"/etc/disk": NEW}),
    "a device with one number 0": (
        lambda at: os.mknod(at / "etc/zero", stat.S_IFCHR | 0o600, os.makedev(0, 1)),
        {"/etc/zero": NEW},
    ),
    "a block device 0:0": (lambda at: os.mknod(at / "etc/zero", stat.S_IFBLK | 0o600, 0), {"/etc/zero": NEW}),
    "a pipe": (lambda at: os.mkfifo(at / "etc/pipe"), {"/etc/pipe": NEW}),
    "a socket": (lambda at: listen(at / "etc/s"), {"/etc/s": NEW}),
    "another name": (lambda at: os.link(at / "etc/passwd", at / "etc/other"), {"/etc/other": NEW}),
    "edited by another name": (
        lambda at: (os.link(at / "etc/passwd", at / "etc/other"), edit(at / "etc/other")),
        {"/etc/other": NEW, "/etc/passwd": EDITED},
    ),
}


@pytest.mark.parametrize(("act", "expected"), CASES.values(), ids=CASES)
def test_change(image: Path, mount: Mount, act: Act, expected: dict[str, str]) -> None:
    """Each change is told as what it is, and nothing else is."""
    overlay = mount(image)
    act(overlay.merged)
    assert overlay.found() == expected


def test_quiet_changes_are_touched(image: Path, mount: Mount) -> None:
    """What was restored, and times alone, are told as touched."""
    overlay = mount(image)
    restore(overlay.merged / "etc/passwd")
    os.utime(overlay.merged / "bin/sh", (1, 1))
    os.utime(overlay.merged / "opt", (1, 1))
    told = {path: change.what for path, change in overlay.changes().items()}
    assert told == dict.fromkeys(("/etc/passwd", "/bin/sh", "/opt"), TOUCHED)


def test_deletions_share_an_inode(image: Path, mount: Mount) -> None:
    """Whiteouts are names of one inode: each is told as the deletion of what it stands for, with a count."""
    overlay = mount(image)
    for path in ("bin", "opt"):
        shutil.rmtree(overlay.merged / path)
    (overlay.merged / "etc/passwd").unlink()
    assert (overlay.upper / "bin").lstat().st_nlink > 2
    told = overlay.changes()
    assert {path: (change.kind, change.detail) for path, change in told.items() if change.what == DELETED} == {
        "/bin": ("directory", ("with 1 entries",)),
        "/opt": ("directory", ("with 4 entries",)),
        "/etc/passwd": ("file", ()),
    }


def test_what_a_link_says_is_told(image: Path, mount: Mount) -> None:
    """A new link, a changed one, and one in place of something else are told with what they say, as it is."""
    overlay = mount(image)
    for name in ("new", "link", "passwd"):
        (overlay.merged / "etc" / name).unlink(missing_ok=True)
        (overlay.merged / "etc" / name).symlink_to(os.fsdecode(b"/x\n\xff"))
    told = overlay.changes()
    arrow = f"→ {os.fsdecode(bytes([47, 120, 10, 255]))}"
    assert told["/etc/new"].detail == told["/etc/link"].detail == (arrow,)
    assert told["/etc/passwd"].detail == ("was a file", arrow)


def test_directories_over_several_layers(image: Path, mount: Mount, tmp_path: Path) -> None:
    """What is lost is all that the layers had together, down to where one of them made the directory anew."""
    middle, top = tmp_path / "middle", tmp_path / "top"
    (middle / "etc/ssl").mkdir(parents=True)
    (middle / "etc/middle").touch()
    os.setxattr(middle / "etc", "trusted.overlay.opaque", b"y")
    (top / "etc").mkdir(parents=True)
    (top / "etc/top").touch()
    os.mknod(top / "bin", stat.S_IFCHR, 0)
    overlay = mount(top, middle, image)
    assert sorted(os.listdir(overlay.merged / "etc")) == ["middle", "ssl", "top"]  # noqa: PTH208
    swap_for_file(overlay.merged / "etc")
    (overlay.merged / "bin").mkdir()
    assert overlay.found() == {
        "/etc": TYPE,
        **dict.fromkeys(("/etc/middle", "/etc/ssl", "/etc/top"), DELETED),
        "/bin": NEW,
    }


def test_whiteouts_that_are_attributes(image: Path, mount: Mount, tmp_path: Path) -> None:
    """A layer of the image may say by attributes what it deletes: what is there again is new."""
    top = tmp_path / "top"
    (top / "etc").mkdir(parents=True)
    os.setxattr(top / "etc", "trusted.overlay.opaque", b"x")
    (top / "etc/passwd").touch()
    os.setxattr(top / "etc/passwd", "trusted.overlay.whiteout", b"")
    overlay = mount(top, image)
    if (overlay.merged / "etc/passwd").exists():
        pytest.skip("the kernel is older than such whiteouts")
    shutil.copy(image / "etc/passwd", overlay.merged / "etc/passwd")
    edit(overlay.merged / "etc/ssl/cert")
    assert overlay.found() == {"/etc/passwd": NEW, "/etc/ssl/cert": EDITED}


def test_content_that_stays_in_the_image(image: Path, mount: Mount) -> None:
    """With metacopy a changed mode copies no bytes: what reads as zeros in the upper directory is unchanged."""
    overlay = mount(image, options=",metacopy=on,redirect_dir=on")
    (overlay.merged / "bin/sh").chmod(0o4711)
    os.utime(overlay.merged / "etc/passwd", (1, 1))
    assert "trusted.overlay.metacopy" in os.listxattr(overlay.upper / "etc/passwd")
    assert overlay.found() == {"/bin/sh": METADATA}


def test_renamed_directory_of_the_image(image: Path, mount: Mount) -> None:
    """A renamed directory is gone where it was, new where it is, and what is in it is compared with what it was."""
    overlay = mount(image, options=",redirect_dir=on")
    (overlay.merged / "opt/tool").rename(overlay.merged / "etc/tool")
    edit(overlay.merged / "etc/tool/run")
    (overlay.merged / "etc/tool/deep/file").unlink()
    (overlay.merged / "etc/tool/deep/new").touch()
    assert overlay.found() == {
        "/opt/tool": DELETED,
        "/etc/tool": NEW,
        "/etc/tool/run": EDITED,
        "/etc/tool/deep/file": DELETED,
        "/etc/tool/deep/new": NEW,
    }
    assert overlay.changes()["/etc/tool"].detail == ("from /opt/tool",)


def test_exchanged_directories_of_the_image(image: Path, mount: Mount) -> None:
    """A directory of the image in place of another one is told, though both have the same mode and owner."""
    overlay = mount(image, options=",redirect_dir=on")
    (overlay.merged / "opt").rename(overlay.merged / "aside")
    (overlay.merged / "bin").rename(overlay.merged / "opt")
    assert overlay.found() == {"/aside": NEW, "/bin": DELETED, "/opt": REPLACED}


def test_renamed_file_whose_content_stays(image: Path, mount: Mount) -> None:
    """A file that was put in another's place, and whose content stays where it was, is compared with that."""
    (image / "bin/no").write_text("x" * len("the image's bin/sh"))
    shutil.copy(image / "etc/passwd", image / "etc/same")
    overlay = mount(image, options=",metacopy=on,redirect_dir=on")
    (overlay.merged / "bin/no").rename(overlay.merged / "bin/sh")
    (overlay.merged / "etc/same").rename(overlay.merged / "etc/passwd")
    assert overlay.found() == {"/bin/sh": EDITED, "/bin/no": DELETED, "/etc/same": DELETED}


def test_renames_without_redirects(image: Path, mount: Mount) -> None:
    """Where directories are copied when they are renamed, all that is in them is new."""
    overlay = mount(image, options=",redirect_dir=off")
    shutil.move(overlay.merged / "opt", overlay.merged / "moved")
    inner = ("", "/tool", "/tool/run", "/tool/deep", "/tool/deep/file")
    assert overlay.found() == {"/opt": DELETED, **{f"/moved{path}": NEW for path in inner}}


def test_deleted_directory_that_is_deep(image: Path, mount: Mount) -> None:
    """A directory of the image with a thousand levels is told as deleted, with a count."""
    above = os.open(image / "opt", os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=above)
        inner = os.open("d", os.O_RDONLY, dir_fd=above)
        os.close(above)
        above = inner
    os.close(above)
    overlay = mount(image)
    os.mknod(overlay.upper / "opt", stat.S_IFCHR, 0)
    assert overlay.changes()["/opt"].detail == ("with 1204 entries",)
