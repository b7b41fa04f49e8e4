"""What changed in an image, as the report, the history and a failure report show it; none of it stops an upgrade."""

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dockyard import history, image_changes
from dockyard.engine.models import IdMap, Image
from dockyard.image_changes import describe_candidate, describe_failed_image, describe_recorded, note_changes
from dockyard.packages import compare
from dockyard.packages.compare import ImageDifference
from dockyard.packages.package import PackageChange
from tests.unit.packages.databases import dpkg_status, image, write

OLD, NEW, GONE = "a" * 64, "b" * 64, "c" * 64


class _Engine:
    """An engine that has two images, and maps no ids."""

    id_map = IdMap()

    def __init__(self, place: Path) -> None:
        for name, version in ((OLD, "3.0.15"), (NEW, "3.0.17")):
            write(place / name / "var/lib/dpkg/status", dpkg_status(("openssl", version)))
            write(place / name / "usr/bin/openssl", f"program {version}", 0o755)
            write(place / name / "usr/lib/libssl.so.3", f"library {version}")
        self.there = {f"sha256:{name}": image(name, place / name) for name in (OLD, NEW)}

    def images(self, references: Iterable[str]) -> dict[str, Image]:
        """Return those that exist."""
        return {name: self.there[name] for name in references if name in self.there}


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the history in a directory of the test's own."""
    monkeypatch.setattr(history, "state_directory", lambda: tmp_path / "state")


@pytest.fixture
def engine(tmp_path: Path) -> Any:  # noqa: ANN401 - a stand-in
    """Return the engine with two images."""
    return _Engine(tmp_path)


def test_an_upgrade_reports_and_records_what_changed(engine: Any) -> None:  # noqa: ANN401
    """The line of the report is that of the history; machines get all of it, beside what the event had."""
    history.record("web", "upgrade", "ok", image=NEW, outage_ms=80, launch="x")
    history.record("web", "hold", "ok")
    assert note_changes(engine, "web", OLD, NEW) == ("changed: openssl 3.0.15 → 3.0.17, 2 files",)
    event = history.events("web")[1]
    assert event.detail == {
        "outage_ms": 80,
        "launch": "x",
        "before": OLD,
        "packages": [["openssl", "3.0.15", "3.0.17"]],
        "files": 2,
    }
    assert describe_recorded(event.detail) == "openssl 3.0.15 → 3.0.17, 2 files"


@pytest.mark.parametrize(("before", "after"), [("", NEW), (NEW, NEW), (GONE, NEW), (OLD, GONE)])
def test_there_may_be_nothing_to_compare(engine: Any, before: str, after: str) -> None:  # noqa: ANN401
    """A first launch, the same image, and one that does not exist any more."""
    assert note_changes(engine, "web", before, after) == ()


def test_equal_content_is_no_change(engine: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """Under another id."""
    engine.there[f"sha256:{GONE}"] = image(GONE, tmp_path / OLD)
    assert note_changes(engine, "web", OLD, GONE) == ()


def test_packages_of_trimmed_images_are_those_of_the_whole_ones(engine: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """As long as these exist; files are those of the trimmed images."""
    for name, whole in (("d" * 64, OLD), ("e" * 64, NEW)):
        write(tmp_path / name / "usr/bin/openssl", f"of {whole[:1]}", 0o755)
        engine.there[f"sha256:{name}"] = image(name, tmp_path / name)._replace(trimmed=whole)
    changed = "changed: openssl 3.0.15 → 3.0.17, 1 file"
    assert note_changes(engine, "web", "d" * 64, "e" * 64) == (changed,)
    del engine.there[f"sha256:{OLD}"]
    assert note_changes(engine, "web", "d" * 64, "e" * 64) == ("changed: 1 file",)


def test_images_that_cannot_be_compared_are_a_line(engine: Any) -> None:  # noqa: ANN401
    """Production is up: nothing fails."""
    engine.there[f"sha256:{OLD}"] = image(OLD, Path("/nothing/there"))._replace(driver="vfs")
    engine.about = SimpleNamespace(driver="vfs")
    engine.dialect = SimpleNamespace(mounting_image=(), unmounting_image=(), snapshots=(), snapshotters=())
    engine.inspect = lambda *_: []
    engine.stream = lambda *_: None
    lines = note_changes(engine, "web", OLD, NEW)
    assert len(lines) == 1
    assert lines[0].startswith(f"{NEW[:12]} was not compared with {OLD[:12]}: ")


def test_only_so_many_packages_are_recorded(engine: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
    """A new release of a distribution changes all of them; all are counted."""
    changes = tuple(PackageChange(f"p{number:03}", "1", f"{number}.2") for number in range(300))
    monkeypatch.setattr(compare, "compare_images", lambda *_: ImageDifference(changes, 5))
    history.record("web", "promote", "ok", image=NEW)
    (line,) = note_changes(engine, "web", OLD, NEW)
    assert line.endswith(" and 295 more, 5 files")
    detail = history.events("web")[0].detail
    assert len(detail["packages"]) == image_changes.MAX_RECORDED
    assert describe_recorded(detail).endswith(" and 195 more, 5 files, 100 more packages")


def test_an_event_that_records_no_change_has_no_words() -> None:
    """Such as those of earlier versions."""
    assert describe_recorded({"outage_ms": 3}) == ""


def test_a_failed_image_is_compared_with_what_is_live(engine: Any) -> None:  # noqa: ANN401
    """By the failure report that its event has left."""
    history.record("web", "test", "failed", image=NEW, dossier="/dossiers/1", reason="no")
    expected = f"{NEW[:12]} differs from the live image, {OLD[:12]}: openssl 3.0.15 → 3.0.17, 2 files"
    assert describe_failed_image(engine, "web", "/dossiers/1", OLD) == expected
    assert describe_failed_image(engine, "web", "/dossiers/2", OLD) == ""
    assert describe_failed_image(engine, "web", "/dossiers/1", NEW) == ""
    assert describe_failed_image(engine, "db", "/dossiers/1", OLD) == ""


def test_a_commit_says_what_its_image_changes(engine: Any) -> None:  # noqa: ANN401
    """Relative to what is live; nothing if nothing is."""
    live = {"r/web:live": engine.there[f"sha256:{OLD}"]}
    builder: Any = SimpleNamespace(
        engine=engine, name=SimpleNamespace(tagged=lambda tag: f"r/web:{tag}"), tags=lambda: live
    )
    assert describe_candidate(builder, NEW) == ("changed: openssl 3.0.15 → 3.0.17, 2 files",)
    assert describe_candidate(builder, OLD) == ("changed: nothing",)
    live.clear()
    assert describe_candidate(builder, NEW) == ()
