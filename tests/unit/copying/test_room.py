"""A copy never fills the disk that production is on."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockyard import copying
from dockyard.copying import budget, opening
from dockyard.copying.budget import Budget, Size
from dockyard.errors import DockyardError
from dockyard.plan.values import Copy, CopyExtent, CopyMethod
from tests.unit.copying.conftest import area_of, step_of, twin_of
from tests.unit.copying.pictures import everything

MIB = 1 << 20


@pytest.fixture
def small(here: Path) -> Iterator[Path]:
    """Return a base of 4 MiB and 60 files."""
    place = here / "small"
    place.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=60", "tmpfs", place), check=True)  # noqa: S607
    yield place
    subprocess.run(("umount", place), check=True)  # noqa: S607


def _source(base: Path, size: int, files: int = 1) -> Path:
    """Make production's data beside a small disk, where it does not take its room."""
    source = base.parent / "production"
    source.mkdir()
    for number in range(files):
        (source / f"file-{number}").write_bytes(os.urandom(size))
    return source


def _step(base: Path, method: CopyMethod = CopyMethod.COPY, extent: CopyExtent = CopyExtent.TREE) -> Copy:
    return step_of(base, method, extent, or_copy=True)._replace(source=str(base.parent / "production"))


def test_a_copy_that_leaves_too_little_is_refused_before_anything_is_written(
    small: Path, monkeypatch: pytest.MonkeyPatch
):
    before = everything(_source(small, 1300 * 1024, 3))
    monkeypatch.setattr(budget, "_SHARE", 0.9)
    monkeypatch.setattr("dockyard.copying.replica.Replica.make", lambda _: pytest.fail("something was written"))
    twin = f"{small}/TMP/web/data"
    with pytest.raises(DockyardError) as error:
        copying.copy(_step(small))
    assert error.value.lines() == [
        f"{twin}: a copy of `{small.parent}/production` takes 3.8 MiB and 4 files, and 4.0 MiB and 56 files are free",
        "hint: use `test_copy: overlay`, which needs none: a full disk would also damage production",
    ]
    assert list((small / "TMP/web").iterdir()) == []
    assert everything(small.parent / "production") == before


@pytest.mark.parametrize(("files", "fits"), [(45, True), (52, False)])
def test_files_count_as_well_as_bytes(small: Path, files: int, fits: bool):
    _source(small, 1, files)
    if fits:
        assert copying.copy(_step(small)) is CopyMethod.COPY
    else:
        with pytest.raises(DockyardError, match=f"takes .* and {files + 1} files, and .* and 56 files are free"):
            copying.copy(_step(small))


def test_a_single_file_is_measured_too(small: Path):
    source = _source(small, 4 * MIB) / "file-0"
    step = Copy(str(source), f"{small}/TMP/web/file", area_of(small), CopyExtent.TREE, CopyMethod.COPY)
    with pytest.raises(DockyardError, match=r"takes 4.0 MiB and 1 files, and 4.0 MiB"):
        copying.copy(step)


def test_directories_are_measured_too(small: Path):
    source = _source(small, 1, 0)
    for number in range(70):
        (source / str(number)).mkdir()
    with pytest.raises(DockyardError, match="71 files") as error:
        copying.copy(_step(small, extent=CopyExtent.DIRECTORIES))
    assert error.value.hint == "free some: a full disk would also damage production"


def test_holes_and_hard_links_take_nothing(small: Path):
    source = _source(small, MIB)
    with (source / "holes").open("wb") as file:
        file.truncate(1 << 40)
    for number in range(10):
        os.link(source / "file-0", source / f"same-{number}")
    assert copying.copy(_step(small)) is CopyMethod.COPY
    assert (twin_of(small) / "holes").stat().st_size == 1 << 40


def test_files_that_cannot_share_blocks_are_counted_as_they_come(small: Path):
    _source(small, MIB, 5)
    with pytest.raises(DockyardError, match=r"takes .*, and 4.0 MiB"):
        copying.copy(_step(small, CopyMethod.REFLINK))
    assert list((small / "TMP/web").iterdir()) == []


def test_a_source_that_grows_meanwhile_is_stopped(small: Path, monkeypatch: pytest.MonkeyPatch):
    source = _source(small, MIB)
    listing, calls = opening.listing, []

    def grow(descriptor: int) -> tuple[list[str], list[str]]:
        calls.append(descriptor)
        if len(calls) == 2:  # it has been measured
            (source / "file-0").write_bytes(os.urandom(4 * MIB))
        return listing(descriptor)

    monkeypatch.setattr(opening, "listing", grow)
    with pytest.raises(DockyardError, match=r"takes .*, and 4.0 MiB"):
        copying.copy(_step(small))
    assert list((small / "TMP/web").iterdir()) == []


@pytest.mark.parametrize("method", [CopyMethod.COPY, CopyMethod.REFLINK])
@pytest.mark.parametrize(("size", "files"), [(5 * MIB, 1), (1, 70)])
def test_a_disk_that_is_full_all_the_same_is_an_error_and_the_copy_is_gone(
    small: Path, monkeypatch: pytest.MonkeyPatch, method: CopyMethod, size: int, files: int
):
    """Somebody else fills it meanwhile."""
    source = _source(small, size, files)
    monkeypatch.setattr(Budget, "require", lambda *_: None)
    with pytest.raises(DockyardError) as error:
        copying.copy(_step(small, method))
    assert error.value.lines() == [
        f"{small}/TMP/web/data: No space left on device: what was copied of `{source}` was removed again",
        "hint: free some space, or raise the quota",
    ]
    assert list((small / "TMP/web").iterdir()) == []


def test_a_quota_that_is_used_up_is_said(small: Path, monkeypatch: pytest.MonkeyPatch):
    _source(small, MIB)

    def refuse(*_: object, **__: object) -> int:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(os, "sendfile", refuse)
    with pytest.raises(DockyardError, match="Disk quota exceeded: what was copied"):
        copying.copy(_step(small))


@pytest.mark.parametrize(
    ("space", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1.0 KiB"), (5 << 30, "5.0 GiB"), (3 << 50, "3072.0 TiB")],
)
def test_sizes_are_written_as_people_read_them(space: int, text: str):
    assert str(Size(space, 7)) == f"{text} and 7 files"
