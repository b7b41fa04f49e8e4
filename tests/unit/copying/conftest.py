"""File systems of several kinds, and a production directory with everything that may stand in one."""

import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockyard import host
from dockyard.plan.values import Copy, CopyExtent, CopyMethod, EmptyTestArea

MAKERS = {"xfs": ("mkfs.xfs", "-q"), "btrfs": ("mkfs.btrfs", "-q")}
SHARING = sorted(MAKERS)
ACCESS_LIST = bytes.fromhex("0200000001000700ffffffff020005003930000004000500ffffffff10000700ffffffff20000000ffffffff")
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")  # cap_net_bind_service=ep


def _mounted(kind: str, place: Path) -> None:
    """Mount a new file system. Skips where this machine has no such kind."""
    place.mkdir()
    if kind == "tmpfs":
        subprocess.run(("mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", place), check=True)  # noqa: S607
        return
    program, *options = MAKERS[kind]
    maker = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if not maker:
        pytest.skip(f"needs {program}: scripts/setup filesystems")
    disk = place.with_suffix(".disk")
    with disk.open("wb") as file:
        file.truncate(400 << 20)
    subprocess.run((maker, *options, disk), check=True)
    done = subprocess.run(("mount", "-o", "loop", disk, place), capture_output=True, text=True, check=False)  # noqa: S607
    if done.returncode:
        pytest.skip(f"the kernel mounts no {kind}: {done.stderr.strip()}")


@pytest.fixture(scope="session")
def file_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Path]]:
    """Return a function from a kind of file system to a directory of one; `here` is where the tests are."""
    if os.geteuid():
        pytest.skip("needs root")
    places: dict[str, Path] = {}

    def place_of(kind: str) -> Path:
        if kind not in places:
            place = tmp_path_factory.mktemp("file-systems") / kind
            if kind != "here":
                _mounted(kind, place)
            places[kind] = place
        return places[kind]

    yield place_of
    for kind, place in places.items():
        if kind != "here":
            subprocess.run(("umount", place), check=True)  # noqa: S607


@pytest.fixture(params=["here", "tmpfs", *SHARING])
def base(request: pytest.FixtureRequest, file_system: Callable[[str], Path]) -> Iterator[Path]:
    """Return a VOL_BASE, on one file system after the other."""
    yield from base_in(file_system(request.param) / "base")


@pytest.fixture(params=SHARING)
def sharing_base(request: pytest.FixtureRequest, file_system: Callable[[str], Path]) -> Iterator[Path]:
    """Return a VOL_BASE where files can share blocks."""
    yield from base_in(file_system(request.param) / "base")


@pytest.fixture
def here(file_system: Callable[[str], Path]) -> Iterator[Path]:
    """Return a VOL_BASE on one file system, the machine's own."""
    yield from base_in(file_system("here") / "base")


def base_in(place: Path) -> Iterator[Path]:
    """Make a VOL_BASE; at the end nothing of it is left, whatever was mounted there."""
    place.mkdir(parents=True)
    try:
        yield place
    finally:
        for line in reversed(Path("/proc/self/mountinfo").read_bytes().splitlines()):
            point = line.split()[4].decode("unicode_escape").encode("latin-1")
            if point.startswith(os.fsencode(place) + b"/"):
                subprocess.run((b"umount", b"-l", point), check=True)
        subprocess.run(("rm", "-rf", place), check=True)  # noqa: S607


def area_of(base: Path) -> EmptyTestArea:
    """Return the test area of `web`."""
    return EmptyTestArea(str(base), "web")


def step_of(
    base: Path, method: CopyMethod, extent: CopyExtent = CopyExtent.TREE, source: str = "data", **more: bool
) -> Copy:
    """Return the step that copies a directory of `web` to its twin."""
    area = area_of(base)
    twin = f"{area.path}/{source}"
    return Copy(f"{base}/web/{source}", twin, area, extent, method, f"{area.path}/.layers/0", **more)


def twin_of(base: Path, source: str = "data") -> Path:
    """Return where the twin is."""
    return base / "TMP/web" / source


def empty(base: Path) -> None:
    """Empty the test area."""
    host.empty_test_area(area_of(base))


@pytest.fixture
def fill() -> Callable[[Path], Path]:
    """Return a function that makes production's data below a base."""
    return filled


def filled(base: Path) -> Path:
    """Make a directory with everything in it, and return it."""
    data = base / "web/data"
    (data / "sub/deep").mkdir(parents=True)
    (data / "empty").mkdir()
    (data / "file").write_bytes(b"production")
    (data / "sub/big").write_bytes(os.urandom(300_000))
    (data / "sub/deep/nothing").touch()
    os.link(data / "file", data / "sub/same")
    os.link(data / "file", data / "other")
    os.link(data / "sub/big", data / "sub/deep/big")
    (data / "link").symlink_to("file")
    (data / "sub/outside").symlink_to("/etc/passwd")
    (data / "sub/nowhere").symlink_to("nowhere")
    os.mkfifo(data / "pipe")
    os.mknod(data / "sub/device", 0o20666, os.makedev(1, 3))
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(data / "sub/socket"))
    _make_holes(data / "sub/holes")
    _set_attributes(data)
    return data


def _make_holes(path: Path) -> None:
    with path.open("wb") as file:
        for place in (1 << 20, 5 << 20):
            file.seek(place)
            file.write(b"data" * 1024)
        file.truncate(9 << 20)


def _set_attributes(data: Path) -> None:
    os.setxattr(data / "file", "system.posix_acl_access", ACCESS_LIST)
    os.setxattr(data / "sub", "system.posix_acl_default", ACCESS_LIST)
    os.setxattr(data / "sub/big", "security.capability", CAPABILITY)
    os.setxattr(data / "sub/deep", "trusted.mine", b"\0\xff")
    os.setxattr(data / "link", "trusted.of-a-link", b"1", follow_symlinks=False)
    for number, name in enumerate(
        ("file", "sub", "sub/holes", "link", "pipe", "empty", "sub/deep", "sub/outside", ".")
    ):
        os.chown(data / name, 1000 + number, 2000 + number, follow_symlinks=False)
    for name, mode in (
        ("sub/holes", 0o6755),
        ("sub", 0o2770),
        ("pipe", 0o622),
        ("empty", 0o1777),
        ("sub/deep", 0),
        (".", 0o3751),
    ):
        (data / name).chmod(mode)
    for number, name in enumerate(
        ("sub/deep/big", "sub/deep", "sub/holes", "sub/outside", "sub", "link", "pipe", "file", ".")
    ):
        times = (1_000_000_000_123_456_789 + number, 1_100_000_000_987_654_321 + number)
        os.utime(data / name, ns=times, follow_symlinks=False)
