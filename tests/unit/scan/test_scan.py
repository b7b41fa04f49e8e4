"""What is told of one container, whatever it holds: in bounded room, and in bounded time."""

import os
from collections import Counter
from collections.abc import Set as AbstractSet
from pathlib import Path

import pytest

from dockyard.engine.models import Container, IdMap
from dockyard.scan import scan as scanning
from dockyard.scan.attributes import KERNELS_OF_USERS
from dockyard.scan.difference import diff_of
from dockyard.scan.layer import NEW, REPLACED, Change
from dockyard.scan.reading import Reading
from dockyard.scan.report import DRIFT, LISTED, Scanned
from dockyard.scan.scan import Options, scan
from dockyard.scan.where import Place
from tests.unit.scan.deep import bury

KNOWN = Container("0" * 64, "web", "exited", "1" * 64)


def scanned(top: Path) -> Scanned:
    """Return what is told of an upper directory over an empty image."""
    (top / "image").mkdir()
    place = Place(str(top / "upper"), (str(top / "image"),), frozenset())
    return scan(KNOWN, IdMap, Options(), place=place)


def test_directories_within_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their paths take no more room than there is: what is left out is counted, and is drift."""
    monkeypatch.setattr(scanning, "ROOM", 100_000)
    (tmp_path / "upper").mkdir()
    bury(tmp_path / "upper", 99)
    one = scanned(tmp_path)
    assert sum(len(finding.change.path) for finding in one.findings) <= 100_000
    assert len(one.findings) + one.omitted == 100
    assert one.omitted
    assert one.verdict == DRIFT


def test_mark_of_another_kind_of_overlay(tmp_path: Path) -> None:
    """A container may write it: it does not say that the content is the image's."""
    for name, text in (("image", "original"), ("upper", "payload!")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "su").write_text(text)
    os.setxattr(tmp_path / "upper/su", "user.fuseoverlayfs.metacopy", b"")
    place = Place(str(tmp_path / "upper"), (str(tmp_path / "image"),), frozenset(), marks=KERNELS_OF_USERS)
    told = scan(KNOWN, IdMap, Options(), place=place)
    assert [finding.change.what for finding in told.findings] == [REPLACED]


def test_differences_of_what_people_see(tmp_path: Path) -> None:
    """The worst ones are looked into, up to as many as are shown; the others are told without."""
    for name, text in (("image", "before"), ("upper", "after")):
        (tmp_path / name / "etc").mkdir(parents=True)
        for number in range(LISTED + 20):
            (tmp_path / name / f"{number:03}").write_text(text)
        (tmp_path / name / "etc/zz").write_text(text)
    place = Place(str(tmp_path / "upper"), (str(tmp_path / "image"),), frozenset())
    told = scan(KNOWN, IdMap, Options(difference=diff_of), place=place).findings
    shown = {finding.change.path for finding in told if finding.difference == ("-before", "+after")}
    assert len(told) == LISTED + 21
    assert shown == {"/etc/zz", *(f"/{number:03}" for number in range(LISTED - 1))}


class _Moving(Reading):
    """Reads the same twice, as everything has moved meanwhile."""

    def __init__(self, place: Place, count: int) -> None:
        super().__init__(place, scanning.BUDGET, defer=False)
        changes = [Change(f"/d/{number}", NEW, "file") for number in range(count)]

        def told() -> object:
            yield from changes
            self.moved += [change.path for change in changes]
            yield from changes

        self.changes = told()  # type: ignore[assignment]


def test_what_moved_is_forgotten_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each finding is looked at once, however much moves: a square of that would never end."""
    asked = Counter[str]()

    def is_within(path: str, paths: AbstractSet[str]) -> bool:
        asked[path] += 1
        return path in paths

    monkeypatch.setattr(scanning, "is_within", is_within)
    monkeypatch.setattr(scanning, "reading_of", lambda _, place, *__: _Moving(place, 100))
    (tmp_path / "upper").mkdir()
    assert len(scanned(tmp_path).findings) == 100
    assert set(asked.values()) == {1}
