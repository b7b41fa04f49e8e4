"""A copy is like what it was made from, in everything, and that stays as it was."""

import errno
import fcntl
import os
import stat
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dockyard import copying
from dockyard.copying import data as file_data
from dockyard.errors import DockyardError
from dockyard.plan.values import CopyExtent, CopyMethod
from tests.unit.copying.conftest import ACCESS_LIST, empty, filled, step_of, twin_of
from tests.unit.copying.pictures import Picture, everything, extent_of, picture

every_extent = pytest.mark.parametrize("extent", list(CopyExtent), ids=lambda extent: extent.value)
every_method = pytest.mark.parametrize("method", list(CopyMethod), ids=lambda method: method.value)


@every_method
@every_extent
def test_a_copy_is_like_its_source_and_that_stays_as_it_was(base: Path, method: CopyMethod, extent: CopyExtent):
    """Owners, modes, times, attributes, access lists, capabilities, links of both kinds, holes: everywhere."""
    source = filled(base)
    before = everything(source)
    used = copying.copy(step_of(base, method, extent, or_copy=True))
    made = picture(twin_of(base))
    expected = extent_of(before[0], extent)
    if used is CopyMethod.OVERLAY:  # there, sockets and devices are seen, and do not work
        made = extent_of(made, CopyExtent.TREE)
    assert made == expected
    assert everything(source) == before


@every_extent
def test_where_files_can_share_blocks_they_do(sharing_base: Path, extent: CopyExtent):
    filled(sharing_base)
    used = copying.copy(step_of(sharing_base, CopyMethod.REFLINK, extent))
    assert used is (CopyMethod.COPY if extent is CopyExtent.DIRECTORIES else CopyMethod.REFLINK)


def test_where_files_cannot_share_blocks_that_is_an_error(here: Path, monkeypatch: pytest.MonkeyPatch):
    source = filled(here)
    before = everything(source)
    _refuse_to_clone(monkeypatch)
    with pytest.raises(DockyardError, match="its files cannot share blocks with") as error:
        copying.copy(step_of(here, CopyMethod.REFLINK))
    assert error.value.hint == "use `test_copy: auto`, which takes the best method available"
    assert list((here / "TMP/web").iterdir()) == []
    assert everything(source) == before


def test_where_files_cannot_share_blocks_a_real_copy_is_as_good_if_that_was_said(
    here: Path, monkeypatch: pytest.MonkeyPatch
):
    before = picture(filled(here))
    _refuse_to_clone(monkeypatch)
    assert copying.copy(step_of(here, CopyMethod.REFLINK, or_copy=True)) is CopyMethod.COPY
    assert picture(twin_of(here)) == extent_of(before, CopyExtent.TREE)


def _refuse_to_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(file_data.fcntl, "ioctl", refuse)


def test_files_without_checksums_share_blocks_too(file_system: Callable[[str], Path]):
    """As databases and disk images have it on btrfs (`chattr +C`)."""
    base = file_system("btrfs") / "plain"
    source = base / "web/data/table"
    source.parent.mkdir(parents=True)
    source.touch()
    with source.open("r+b") as file:
        file_data.fcntl.ioctl(file, file_data._SET_FLAGS, file_data._NO_COPY_ON_WRITE.to_bytes(8, "little"))  # noqa: SLF001
        file.write(b"row" * 10_000)
    try:
        assert copying.copy(step_of(base, CopyMethod.REFLINK)) is CopyMethod.REFLINK
        assert (twin_of(base) / "table").read_bytes() == b"row" * 10_000
        assert copying.copy_facts([str(source.parent)], str(base))[str(source.parent)].reflink
    finally:
        empty(base)


def test_changes_of_a_copy_that_shares_blocks_are_its_own(sharing_base: Path):
    source = filled(sharing_base)
    before = everything(source)
    copying.copy(step_of(sharing_base, CopyMethod.REFLINK))
    (twin_of(sharing_base) / "sub/big").write_bytes(b"changed")
    (twin_of(sharing_base) / "other").write_bytes(b"changed")
    assert everything(source) == before


def test_a_file_system_without_holes_costs_room_only(here: Path, monkeypatch: pytest.MonkeyPatch):
    before = picture(filled(here))
    seek = os.lseek

    def no_holes(descriptor: int, place: int, whence: int) -> int:
        if whence == os.SEEK_DATA:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        return seek(descriptor, place, whence)

    monkeypatch.setattr(os, "lseek", no_holes)
    copying.copy(step_of(here, CopyMethod.COPY))
    assert picture(twin_of(here)) == extent_of(before, CopyExtent.TREE)


@pytest.mark.parametrize("method", [CopyMethod.REFLINK, CopyMethod.COPY], ids=lambda method: method.value)
def test_a_real_copy_leaves_productions_blocks_to_production(sharing_base: Path, method: CopyMethod):
    """Where they are shared, production pays for its next writes."""
    source = filled(sharing_base) / "sub/big"
    copying.copy(step_of(sharing_base, method))
    assert _shares_blocks(source) == (method is CopyMethod.REFLINK)


def _shares_blocks(path: Path) -> bool:
    """Ask the kernel for the file's extents (FS_IOC_FIEMAP), and return whether any is another file's too."""
    answer = bytearray(struct.pack("=QQLLLL", 0, 2**64 - 1, 1, 0, 50, 0) + bytes(50 * 56))
    with path.open("rb") as file:
        fcntl.ioctl(file, 0xC020660B, answer)
    extents = [struct.unpack_from("=QQQQQL", answer, 32 + 56 * number) for number in range(answer[20])]
    assert extents
    return any(extent[5] & 0x2000 for extent in extents)


def test_a_copy_has_the_holes_of_its_source(base: Path):
    source = filled(base) / "sub/holes"
    copying.copy(step_of(base, CopyMethod.COPY))
    assert _data_in(twin_of(base) / "sub/holes") == _data_in(source)
    assert len(_data_in(source)) == 2


def _data_in(path: Path) -> list[tuple[int, int]]:
    """Return where a file's data begins and ends."""
    found, end = [], 0
    with path.open("rb") as file:
        while end < path.stat().st_size:
            try:
                start = os.lseek(file.fileno(), end, os.SEEK_DATA)
            except OSError:  # nothing but a hole is left
                break
            end = os.lseek(file.fileno(), start, os.SEEK_HOLE)
            found.append((start, end))
    return found


@pytest.mark.parametrize("fails", [errno.ENOTSUP, errno.EOPNOTSUPP])
def test_attributes_that_the_copys_file_system_does_not_know_are_left_out(
    here: Path, monkeypatch: pytest.MonkeyPatch, fails: int
):
    source = filled(here)
    set_attribute = os.setxattr

    def know_no_lists(path: str, name: str, value: bytes) -> None:
        if name.startswith("system.posix_acl"):
            raise OSError(fails, os.strerror(fails))
        set_attribute(path, name, value)

    monkeypatch.setattr(os, "setxattr", know_no_lists)
    copying.copy(step_of(here, CopyMethod.COPY))
    made, was = picture(twin_of(here)), picture(source)
    assert made[b"file"].attributes == ()
    assert made[b"file"].mode == was[b"file"].mode
    assert made[b"sub/big"].attributes == was[b"sub/big"].attributes


def test_attributes_that_cannot_be_set_are_an_error(here: Path, monkeypatch: pytest.MonkeyPatch):
    filled(here)

    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "setxattr", refuse)
    with pytest.raises(DockyardError, match=r"cannot be copied to .*: Operation not permitted"):
        copying.copy(step_of(here, CopyMethod.COPY))
    assert list((here / "TMP/web").iterdir()) == []


@every_method
@pytest.mark.parametrize("source", ["data", "data/file"])
def test_a_copy_inherits_no_access_list_from_the_test_area(here: Path, method: CopyMethod, source: str):
    filled(here)
    before = picture(here / "web" / source)
    (here / "TMP").mkdir()
    os.setxattr(here / "TMP", "system.posix_acl_default", ACCESS_LIST)
    (here / "TMP").chmod(0o2755)
    copying.copy(step_of(here, method, source=source, or_copy=True))
    made = picture(twin_of(here, source))
    assert {path: (entry.attributes, entry.mode) for path, entry in made.items()} == {
        path: (entry.attributes, entry.mode) for path, entry in before.items() if path in made
    }


# ------------------------------------------------------------------------------------------------------ single files
@pytest.mark.parametrize("extent", [CopyExtent.FILES, CopyExtent.TREE])
@pytest.mark.parametrize("method", [CopyMethod.REFLINK, CopyMethod.COPY])
def test_a_file_is_copied_as_a_file(base: Path, method: CopyMethod, extent: CopyExtent):
    source = filled(base) / "sub/holes"
    before = everything(source)
    copying.copy(step_of(base, method, extent, "data/sub/holes", or_copy=True))
    assert picture(twin_of(base, "data/sub/holes")) == before[0]
    assert everything(source) == before
    assert stat.S_IMODE((base / "TMP/web/data").stat().st_mode) == 0o755


def test_an_overlay_of_a_file_is_refused_or_a_copy(here: Path):
    filled(here)
    with pytest.raises(DockyardError, match="no overlay: it is a file"):
        copying.copy(step_of(here, CopyMethod.OVERLAY, source="data/file"))
    used = copying.copy(step_of(here, CopyMethod.OVERLAY, source="data/file", or_copy=True))
    assert used is CopyMethod.COPY
    assert twin_of(here, "data/file").read_bytes() == b"production"


# ------------------------------------------------------------------------------------------------- what is there
@every_method
def test_a_twin_that_is_there_stays(here: Path, method: CopyMethod):
    """The copy of an outer mount has brought it."""
    filled(here)
    twin_of(here).mkdir(parents=True)
    (twin_of(here) / "mine").touch()
    assert copying.copy(step_of(here, method)) is None
    assert [path.name for path in twin_of(here).iterdir()] == ["mine"]


def test_a_file_that_is_there_stays(here: Path):
    filled(here)
    twin_of(here).mkdir(parents=True)
    (twin_of(here) / "file").write_text("mine")
    assert copying.copy(step_of(here, CopyMethod.COPY, source="data/file")) is None
    assert (twin_of(here) / "file").read_text() == "mine"


@every_method
def test_the_whole_of_a_service_is_copied_to_the_area_itself(here: Path, method: CopyMethod):
    before = picture(filled(here).parent)
    (here / "TMP/web").mkdir(parents=True)
    assert (
        copying.copy(step_of(here, method, source="", or_copy=True)._replace(path=f"{here}/TMP/web")) is CopyMethod.COPY
    )
    assert picture(here / "TMP/web") == extent_of(before, CopyExtent.TREE)


def test_a_link_to_production_that_an_administrator_set_is_followed(here: Path):
    before = picture(filled(here))
    (here / "web/data").rename(here / "elsewhere")
    (here / "web/data").symlink_to(here / "elsewhere")
    for method in (CopyMethod.COPY, CopyMethod.OVERLAY):
        copying.copy(step_of(here, method))
        made = picture(twin_of(here))
        assert extent_of(made, CopyExtent.TREE) == extent_of(before, CopyExtent.TREE)
        empty(here)


# ------------------------------------------------------------------------------------------------------- random trees
NAMES = st.sampled_from([b"a", b"b", b"c,d", b"e:f", b"g\nh", b"\xff\xfe", b" ", b"-rf", b"\\", b"'\"$x"])
KINDS = st.sampled_from(["directory", "directory", "file", "file", "link", "pipe", "same", "holes"])
TREES = st.lists(
    st.tuples(
        st.lists(NAMES, min_size=1, max_size=4),
        KINDS,
        st.binary(max_size=40),
        st.integers(0, 0o7777),
        st.integers(0, 2**33 * 10**9),
        st.integers(0, 70_000),
    ),
    max_size=12,
)


@pytest.mark.parametrize("kind", ["here", "xfs"])
@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(tree=TREES, extent=st.sampled_from(list(CopyExtent)), method=st.sampled_from(list(CopyMethod)))
def test_any_tree_is_copied_as_it_is(
    file_system: Callable[[str], Path],
    kind: str,
    tree: list[tuple[list[bytes], str, bytes, int, int, int]],
    extent: CopyExtent,
    method: CopyMethod,
):
    base = file_system(kind) / "random"
    source = base / "web/data"
    source.mkdir(parents=True)
    try:
        _grow(os.fsencode(source), tree)
        before = everything(source)
        used = copying.copy(step_of(base, method, extent, or_copy=True))
        made = picture(twin_of(base))
        assert (extent_of(made, CopyExtent.TREE) if used is CopyMethod.OVERLAY else made) == extent_of(
            before[0], extent
        )
        assert everything(source) == before
    finally:
        empty(base)
        import shutil

        shutil.rmtree(base)


def _grow(top: bytes, tree: list[tuple[list[bytes], str, bytes, int, int, int]]) -> None:
    """Make what a random tree says, as far as its parts do not stand in each other's way."""
    made = [top]
    for parts, kind, content, mode, time, owner in tree:
        path = b"/".join([top, *parts])
        above = path.rpartition(b"/")[0]
        if not os.path.isdir(above) or os.path.islink(above) or os.path.lexists(path):  # noqa: PTH112, PTH114
            continue
        _make(path, kind, content, next((other for other in made if os.path.isfile(other)), b""))  # noqa: PTH113
        made += [path] if os.path.lexists(path) else []
        if kind != "same":
            os.chown(path, owner, owner // 2, follow_symlinks=False)
            if kind != "link":
                os.chmod(path, mode)  # noqa: PTH101
            os.utime(path, ns=(time, time // 3), follow_symlinks=False)


def _make(path: bytes, kind: str, content: bytes, other: bytes) -> None:
    if kind == "directory":
        os.mkdir(path)  # noqa: PTH102
    elif kind == "link":
        os.symlink(content.replace(b"\0", b"") or b"x", path)  # noqa: PTH211
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "same" and other:
        os.link(other, path, follow_symlinks=False)
    else:
        with open(path, "wb") as file:  # noqa: PTH123
            file.write(content)
            if kind == "holes":
                file.truncate(1 << 20)


# --------------------------------------------------------------------------------------------------------- dry runs
@every_method
@every_extent
def test_what_a_dry_run_shows_does_the_same_in_a_shell(here: Path, method: CopyMethod, extent: CopyExtent):
    base = here / "a, b: 'c' $(d)"
    source = filled(base)
    for name in ("device", "socket"):  # leaving these out, a shell changes the directory's time
        (source / "sub" / name).unlink()
    os.utime(source / "sub", ns=(1, 1))
    step = step_of(base, method, extent, or_copy=True)
    copying.copy(step)
    expected = _but_for_reading(twin_of(base))
    empty(base)
    before = everything(source)[0]
    subprocess.run(("sh", "-ec", step.shell("")), check=True)  # noqa: S607
    assert _but_for_reading(twin_of(base)) == expected
    assert {path: entry._replace(accessed=0) for path, entry in before.items()} == _but_for_reading(source)
    empty(base)
    assert list((base / "TMP/web").iterdir()) == []


def _but_for_reading(top: Path) -> Picture:
    return {path: entry._replace(accessed=0) for path, entry in picture(top).items()}


@pytest.mark.parametrize("method", [CopyMethod.REFLINK, CopyMethod.COPY], ids=lambda method: method.value)
def test_what_a_dry_run_shows_for_a_file_does_the_same_in_a_shell(here: Path, method: CopyMethod):
    source = filled(here) / "sub/holes"
    before = _but_for_reading(source)
    step = step_of(here, method, source="data/sub/holes", or_copy=True)
    subprocess.run(("sh", "-ec", step.shell("")), check=True)  # noqa: S607
    assert _but_for_reading(twin_of(here, "data/sub/holes")) == before
