"""How a directory can be copied is found out without changing anything."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dockyard import copying
from dockyard.plan.values import CopyFact
from tests.unit.copying.conftest import SHARING, base_in, filled
from tests.unit.copying.pictures import everything


def _fact(base: Path, source: str = "web/data") -> CopyFact:
    return copying.copy_facts([f"{base}/{source}"], str(base))[f"{base}/{source}"]


@pytest.mark.parametrize("test_area_exists", [True, False])
def test_facts_change_nothing(base: Path, test_area_exists: bool):
    """No time of any directory either, of production's or of the test area's."""
    filled(base)
    if test_area_exists:
        (base / "TMP/web").mkdir(parents=True)
    before = everything(base)
    _fact(base)
    assert everything(base) == before


@pytest.mark.parametrize("source", ["web/data", "web/data/empty", "web/data/sub/big"])
@pytest.mark.parametrize("kind", ["tmpfs", *SHARING])
def test_files_share_blocks_where_the_file_system_can(file_system: Callable[[str], Path], kind: str, source: str):
    """Directories without files too."""
    for base in base_in(file_system(kind) / "base"):
        filled(base)
        assert _fact(base, source).reflink == (kind in SHARING)


def test_files_do_not_share_blocks_with_another_file_system(file_system: Callable[[str], Path]):
    for one in base_in(file_system("xfs") / "one"):
        for other in base_in(file_system("btrfs") / "other"):
            sources = [str(filled(one)), str(one / "web/data/empty")]
            assert [fact.reflink for fact in copying.copy_facts(sources, str(other)).values()] == [False, False]


def test_an_overlay_can_be_had_of_a_directory(base: Path):
    filled(base)
    assert not _fact(base).overlay_refused
    assert _fact(base, "web/data/file").overlay_refused == "it is not a directory"


def test_what_is_missing_is_left_out(here: Path):
    filled(here)
    (here / "loop").symlink_to("loop")
    paths = [f"{here}/{name}" for name in ("missing", "web/data/file/below", "loop", "x" * 5000)]
    assert copying.copy_facts(paths, str(here)) == {}


@pytest.mark.parametrize("name", ["pipe", "sub/device", "sub/socket"])
def test_special_files_are_not_opened(here: Path, name: str):
    filled(here)
    assert _fact(here, f"web/data/{name}") == CopyFact(overlay_refused="it is not a directory")


def test_a_source_that_holds_the_test_area_has_no_overlay(here: Path):
    filled(here)
    assert copying.copy_facts([str(here)], str(here))[str(here)].overlay_refused == "the test area is inside it"
    assert "inside it" in copying.copy_facts(["/"], str(here))["/"].overlay_refused


def test_a_source_with_mounts_has_no_overlay(here: Path):
    source = filled(here)
    subprocess.run(("mount", "-t", "tmpfs", "tmpfs", source / "sub/deep"), check=True)  # noqa: S607
    assert _fact(here).overlay_refused == f"`{source}/sub/deep` is mounted inside it"
    assert not _fact(here, "web/data/sub/deep").overlay_refused  # itself a mount


def test_a_linked_test_area_is_not_followed(here: Path):
    filled(here)
    (here / "TMP").symlink_to("/proc")
    assert not _fact(here).overlay_refused


def test_a_base_that_does_not_exist_yet_is_made_where_it_would_be(here: Path):
    source = filled(here)
    assert not copying.copy_facts([str(source)], f"{here}/new/base")[str(source)].overlay_refused


def test_without_root_there_are_no_overlays(here: Path):
    source = filled(here)
    os.seteuid(65534)
    try:
        found = copying.copy_facts(["/", str(source)], "/")
    finally:
        os.seteuid(0)
    assert found["/"].overlay_refused == "only the host's root can mount an overlay"
    assert str(source) not in found  # pytest's directories are closed to others
