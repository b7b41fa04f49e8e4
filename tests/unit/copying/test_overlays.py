"""What is done through an overlay never reaches the production directory below it."""

import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dockyard import copying, host, overlay
from dockyard.copying import facts, twin
from dockyard.errors import DockyardError
from dockyard.paths import mount_table
from dockyard.plan.values import Copy, CopyExtent, CopyMethod
from tests.unit.copying.conftest import area_of, base_in, empty, filled, step_of, twin_of
from tests.unit.copying.pictures import everything, extent_of, picture


def _overlaid(base: Path, extent: CopyExtent = CopyExtent.TREE, source: str = "data") -> Path:
    assert copying.copy(step_of(base, CopyMethod.OVERLAY, extent, source)) is CopyMethod.OVERLAY
    return twin_of(base, source)


def _write(made: Path) -> None:
    for name in ("file", "sub/big", "sub/holes", "new"):
        with (made / name).open("ab") as file:
            file.write(b"changed")


def _map(made: Path) -> None:
    import mmap

    with (made / "file").open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        memory[:4] = b"MINE"
        memory.flush()


def _attributes(made: Path) -> None:
    for name in ("file", "sub", "sub/deep", "link", "pipe", "sub/device", "."):
        os.chown(made / name, 7, 7, follow_symlinks=False)
        os.utime(made / name, ns=(1, 1), follow_symlinks=False)
        os.setxattr(made / name, "trusted.test", b"1", follow_symlinks=False)
        if name != "link":
            (made / name).chmod(0o111)
    os.removexattr(made / "file", "system.posix_acl_access")


def _rename(made: Path) -> None:
    (made / "sub").rename(made / "renamed")
    (made / "renamed/deep").rename(made / "deep")
    (made / "file").rename(made / "renamed/file")
    (made / "renamed/file").write_text("changed")


def _link(made: Path) -> None:
    os.link(made / "file", made / "empty/linked")
    (made / "empty/linked").write_text("changed")
    os.link(made / "sub/socket", made / "empty/socket")
    (made / "empty/back").symlink_to(made / "file")


CHANGES: list[Callable[[Path], None]] = [
    _write,
    _map,
    _attributes,
    _rename,
    _link,
    lambda made: [os.truncate(made / name, 1) for name in ("file", "sub/big", "sub/holes")] and None,
    lambda made: [shutil.rmtree(made / name) for name in ("sub", "empty")] and None,
    lambda made: subprocess.run(f"rm -rf {made}/* {made}/.*", shell=True, check=False) and None,  # noqa: S602
    lambda made: [subprocess.run(("chattr", "+i", made / name), check=True) for name in ("file", "sub")] and None,  # noqa: S607
]


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", ["here", "tmpfs", "xfs", "btrfs"])
def test_production_does_not_change(file_system: Callable[[str], Path], kind: str, change: Callable[[Path], None]):
    """No byte, mode, time, attribute, link count, block or inode of it."""
    for base in base_in(file_system(kind) / "base"):
        source = filled(base)
        before = everything(source)
        made = _overlaid(base)
        change(made)
        assert everything(source) == before
        subprocess.run(("chattr", "-i", made / "file", made / "sub"), check=False, capture_output=True)  # noqa: S607
        empty(base)
        assert everything(source) == before


def test_another_file_system_may_be_below(file_system: Callable[[str], Path], here: Path):
    for other in base_in(file_system("tmpfs") / "base"):
        source = filled(other)
        before = everything(source)
        step = Copy(str(source), f"{here}/TMP/web/data", area_of(here), CopyExtent.TREE, CopyMethod.OVERLAY)
        assert copying.copy(step._replace(layers=f"{here}/TMP/web/.layers/0")) is CopyMethod.OVERLAY
        made = here / "TMP/web/data"
        assert extent_of(picture(made), CopyExtent.TREE) == extent_of(before[0], CopyExtent.TREE)
        _write(made)
        assert everything(source) == before


def test_directories_are_renamed_and_hard_links_stay_links(here: Path):
    """As on any file system: what a service does in production it does here too."""
    filled(here)
    made = _overlaid(here)
    (made / "file").write_text("changed")
    assert (made / "other").read_text() == (made / "sub/same").read_text() == "changed"
    (made / "sub").rename(made / "renamed")
    assert (made / "renamed/deep/big").exists()


def test_files_alone_are_seen_where_they_alone_are_asked_for(here: Path):
    source = filled(here)
    before = everything(source)
    made = _overlaid(here, CopyExtent.FILES)
    assert extent_of(picture(made), CopyExtent.TREE) == extent_of(before[0], CopyExtent.FILES)
    (made / "sub").mkdir()  # nothing of production's shines through
    assert list((made / "sub").iterdir()) == []
    assert everything(source) == before


def test_a_socket_of_production_does_not_answer(here: Path, monkeypatch: pytest.MonkeyPatch):
    filled(here)
    monkeypatch.chdir(here)
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind("web/data/listening")
        server.listen()
        _overlaid(here)
        with pytest.raises(ConnectionRefusedError):
            client.connect("TMP/web/data/listening")
        client.connect("web/data/listening")


def test_a_pipe_of_production_is_another_one(here: Path):
    source = filled(here)
    made = _overlaid(here)
    reader = os.open(source / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    try:
        with pytest.raises(OSError, match="No such device or address"):
            os.open(made / "pipe", os.O_WRONLY | os.O_NONBLOCK)
    finally:
        os.close(reader)


def test_a_device_does_not_open(here: Path):
    source = filled(here)
    made = _overlaid(here)
    os.close(os.open(source / "sub/device", os.O_RDONLY))  # /dev/null
    with pytest.raises(PermissionError):
        os.open(made / "sub/device", os.O_RDONLY)
    os.mknod(made / "new", 0o20666, os.makedev(1, 3))
    with pytest.raises(PermissionError):
        os.open(made / "new", os.O_RDONLY)


@pytest.mark.parametrize(("option", "flag"), [("nosuid", os.ST_NOSUID), ("noexec", os.ST_NOEXEC)])
def test_what_productions_mount_forbids_is_forbidden_and_nothing_else(here: Path, option: str, flag: int):
    source = filled(here)
    assert not os.statvfs(_overlaid(here)).f_flag & flag
    empty(here)
    subprocess.run(("mount", "--bind", source, source), check=True)  # noqa: S607
    subprocess.run(("mount", "-o", f"remount,bind,{option}", source), check=True)  # noqa: S607
    assert os.statvfs(_overlaid(here)).f_flag & (flag | os.ST_NODEV) == flag | os.ST_NODEV


def test_reading_through_it_leaves_no_trace(here: Path):
    source = filled(here)
    subprocess.run(("mount", "--bind", source, source), check=True)  # noqa: S607
    subprocess.run(("mount", "-o", "remount,bind,strictatime", source), check=True)  # noqa: S607
    before = everything(source)
    made = _overlaid(here)
    for path in made.rglob("*"):
        if path.is_file() and not path.is_symlink():
            path.read_bytes()
    assert everything(source) == before


def test_an_inner_mount_has_its_copy_in_the_outer_ones(here: Path):
    """Files of `data` alone, and the whole of `data/sub`."""
    source = filled(here)
    before = everything(source)
    _overlaid(here, CopyExtent.FILES)
    inner = step_of(here, CopyMethod.OVERLAY, CopyExtent.TREE, "data/sub")._replace(layers=f"{here}/TMP/web/.layers/1")
    assert copying.copy(inner) is CopyMethod.OVERLAY
    made = twin_of(here)
    (made / "sub/deep/big").write_text("changed")
    (made / "file").write_text("changed")
    real = step_of(here, CopyMethod.COPY, CopyExtent.TREE, "data/empty")
    assert copying.copy(real) is CopyMethod.COPY
    assert everything(source) == before
    empty(here)
    assert list((here / "TMP/web").iterdir()) == []
    assert everything(source) == before


# ------------------------------------------------------------------------------------------------------ refusals
def test_an_overlay_that_the_kernel_refuses_is_an_error_or_a_copy(here: Path, monkeypatch: pytest.MonkeyPatch):
    source = filled(here)
    before = everything(source)

    def refuse(*_: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(overlay, "mount", refuse)
    with pytest.raises(DockyardError, match="web/data: no overlay: the kernel says: Invalid argument"):
        copying.copy(step_of(here, CopyMethod.OVERLAY))
    assert [path.name for path in (here / "TMP/web").rglob("*")] == [".layers"]
    assert copying.copy(step_of(here, CopyMethod.OVERLAY, or_copy=True)) is CopyMethod.COPY
    assert picture(twin_of(here)) == extent_of(before[0], CopyExtent.TREE)
    assert [path.name for path in (here / "TMP/web/.layers").iterdir()] == []


def test_what_the_kernel_really_refuses_is_a_copy(here: Path, monkeypatch: pytest.MonkeyPatch):
    """Layers on an overlay, which cannot hold them."""
    before = picture(filled(here))
    for directory in ("lower", "upper", "work", "TMP"):
        (here / directory).mkdir()
    options = f"lowerdir={here}/lower,upperdir={here}/upper,workdir={here}/work"
    subprocess.run(("mount", "-t", "overlay", "-o", options, "overlay", here / "TMP"), check=True)  # noqa: S607
    fact = copying.copy_facts([f"{here}/web/data"], str(here))[f"{here}/web/data"]
    assert fact.overlay_refused == f"`{here}/TMP` is on a file system, overlay, that cannot store its changes"
    monkeypatch.setattr(twin, "overlay_refused", lambda *_: "")
    assert copying.copy(step_of(here, CopyMethod.OVERLAY, or_copy=True)) is CopyMethod.COPY
    assert picture(twin_of(here)) == extent_of(before, CopyExtent.TREE)


def test_an_overlay_does_not_show_what_is_mounted_in_its_source_and_is_refused(here: Path):
    source = filled(here)
    subprocess.run(("mount", "-t", "tmpfs", "tmpfs", source / "empty"), check=True)  # noqa: S607
    (source / "empty/file").touch()
    with pytest.raises(DockyardError, match=f"no overlay: `{source}/empty` is mounted inside it"):
        copying.copy(step_of(here, CopyMethod.OVERLAY))
    assert copying.copy(step_of(here, CopyMethod.OVERLAY, or_copy=True)) is CopyMethod.COPY
    assert (twin_of(here) / "empty/file").exists()


# ------------------------------------------------------------------------------------------------------ emptying
def test_emptying_the_test_area_unmounts_what_stands_there_for_copies(here: Path):
    source = filled(here)
    before = everything(source)
    _write(_overlaid(here))
    empty(here)
    assert list((here / "TMP/web").iterdir()) == []
    assert everything(source) == before


@pytest.mark.parametrize("use", ["directory", "file"])
def test_an_overlay_that_is_in_use_is_no_obstacle(here: Path, use: str):
    """An operator's shell stands in it, say: it sees an empty directory from then on, and harms nothing."""
    source = filled(here)
    before = everything(source)
    made = _overlaid(here)
    held = os.open(made if use == "directory" else made / "file", os.O_RDONLY)
    try:
        empty(here)
        assert list((here / "TMP/web").iterdir()) == []
        assert everything(source) == before
    finally:
        os.close(held)


def test_nothing_goes_where_somebody_mounted_something_on_an_overlay(here: Path):
    """Not even the overlays."""
    source = filled(here)
    made = _overlaid(here)
    subprocess.run(("mount", "--bind", source, made / "empty"), check=True)  # noqa: S607
    with pytest.raises(DockyardError, match=f"{made}/empty: is mounted inside the test area"):
        empty(here)
    assert (made / "empty/file").read_bytes() == (made / "file").read_bytes() == b"production"


def test_an_overlay_of_somebody_else_is_an_obstacle(here: Path):
    for directory in ("lower", "upper", "work", "TMP/web/data"):
        (here / directory).mkdir(parents=True)
    options = f"lowerdir={here}/lower,upperdir={here}/upper,workdir={here}/work"
    subprocess.run(("mount", "-t", "overlay", "-o", options, "overlay", here / "TMP/web/data"), check=True)  # noqa: S607
    with pytest.raises(DockyardError, match="TMP/web/data: is mounted inside the test area"):
        empty(here)


def test_overlays_of_another_area_stay(here: Path):
    filled(here)
    made = _overlaid(here)
    host.empty_test_area(area_of(here)._replace(area="we"))
    host.empty_test_area(area_of(here)._replace(area="web@dev"))
    assert (made / "file").read_bytes() == b"production"


def test_what_an_overlay_needs_is_for_root_alone(here: Path):
    filled(here)
    _overlaid(here)
    assert stat.S_IMODE((here / "TMP/web/.layers").stat().st_mode) == 0o700


# --------------------------------------------------------------------------------------------------------- mounts
def test_a_mount_is_known_whatever_its_name(here: Path):
    name = "a b\tc\nd\\e#f,ü\udcff"
    (here / name).mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "a device", here / name), check=True)  # noqa: S607
    mount = next(mount for mount in mount_table() if mount.point == f"{here}/{name}")
    assert (mount.kind, mount.source) == ("tmpfs", "a device")


def test_a_kernel_without_overlays_is_known(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(facts, "_kernel_knows_overlays", lambda: False)
    assert copying.copy_facts(["/"], "/")["/"].overlay_refused == "the kernel has no overlay file system"
