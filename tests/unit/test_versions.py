"""Versions that are retained: which there are, in which order, how one of them is named, and which are released."""

from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dockyard import dossier, history, holds, versions
from dockyard.engine.models import Image
from dockyard.errors import EngineError, NoSuchNameError
from dockyard.plan.build import ImageName
from dockyard.settings.keys import KEEP_IMAGES

NAME = ImageName("ktools", "web")


class Store:
    """An engine that has the images of tags."""

    def __init__(self, **tags: str) -> None:
        self.tags = {tag.replace("_", "-"): image * 64 for tag, image in tags.items()}
        self.in_use = ""

    def image_list(self, repository: str) -> list[dict[str, str]]:
        """Return a row for each tag."""
        assert repository == "ktools/web"
        return [{"repository": repository, "tag": tag, "id": image[:12]} for tag, image in self.tags.items()]

    def images(self, references: Iterable[str]) -> dict[str, Image]:
        """Return those that exist."""
        wanted = {reference: reference.rpartition(":")[2] for reference in references}
        there = {reference: self.tags[tag] for reference, tag in wanted.items() if tag in self.tags}
        return {reference: Image(image, content=f"content of {image[0]}") for reference, image in there.items()}

    def call(self, verb: str, reference: str) -> str:
        """Remove a tag."""
        assert verb == "rmi"
        if reference.endswith(self.in_use or "-"):
            raise EngineError((verb, reference), 1, "in use")
        del self.tags[reference.removeprefix("ktools/web:")]
        return ""


class Kept:
    """Settings that say how many images to retain, and nothing else."""

    def __init__(self, keep: int) -> None:
        self.keep = keep

    def __getitem__(self, key: object) -> int:
        """Return how many."""
        assert key is KEEP_IMAGES
        return self.keep


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep all state in a directory of the test's own."""
    for module in (holds, dossier, history):
        monkeypatch.setattr(module, "state_directory", lambda: tmp_path)
    return tmp_path


def builder_of(store: Store, keep: int = 3) -> Any:  # noqa: ANN401 - as much of a Builder as is asked for
    """Return the builder of a service whose images are in a store."""
    tags = lambda: store.images(NAME.tagged(tag) for tag in ("latest", "live", "prev"))  # noqa: E731
    service = SimpleNamespace(name="web")
    return SimpleNamespace(engine=store, name=NAME, service=service, settings=Kept(keep), tags=tags)


def tag_of(image: str) -> str:
    """Return the tag of a version."""
    return f"version-{image * 12}"


def live_once(*images: str) -> None:
    """Record that images were live, one after the other."""
    for image in images:
        history.record("web", "upgrade", "ok", image=image * 64, content=f"content of {image}", launch="x")


def store_of(live: str, previous: str, *retained: str) -> Store:
    """Return the images of a service after some upgrades."""
    store = Store(latest=live, live=live, prev=previous)
    store.tags |= {tag_of(image): image * 64 for image in retained}
    return store


def test_versions_are_listed_newest_first() -> None:
    """What is live, the previous one, and what is retained, each with its times; one of unknown times comes last."""
    live_once("a", "b", "c")
    history.record("web", "upgrade", "failed", image="e" * 64, launch="x")
    history.record("web", "rollback", "ok", image="b" * 64, content="content of b")
    history.record_rollback("web", "c" * 64, "content of c")
    holds.hold("web", reason="audit")
    found = versions.versions(builder_of(store_of("b", "c", "d", "a", "b", "c")))
    assert [(one.version, one.state, one.note) for one in found] == [
        ("b" * 12, "live", "held: audit"),
        ("c" * 12, "previous", "rolled back"),
        ("a" * 12, "retained", ""),
        ("d" * 12, "retained", ""),
    ]
    assert [bool(one.live_from) for one in found] == [True, True, True, False]
    assert [bool(one.live_until) for one in found] == [False, True, True, False]


def test_a_version_is_live_from_its_first_to_its_last_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several events of one image in a row are one time; until when is when the next one went live."""
    times = iter(["1", "2", "3", "4"])
    monkeypatch.setattr(history.time, "strftime", lambda *_: next(times))
    live_once("a", "a", "b", "a")
    assert history.lives("web") == [("a" * 64, "4", ""), ("b" * 64, "3", "4"), ("a" * 64, "1", "3")]


@pytest.mark.parametrize(("beginning", "image"), [("aaa", "a"), ("a" * 64, "a"), ("version-bb", "b")])
def test_a_version_is_named_by_its_beginning(beginning: str, image: str) -> None:
    """The previous one, or any that is retained."""
    store = store_of("c", "b", "a", "c")
    assert versions.version_to_restore(builder_of(store), beginning).id == image * 64


@pytest.mark.parametrize(
    ("beginning", "said"), [("f", "no version begins with"), ("c", "is live already"), ("", "no version")]
)
def test_a_version_that_cannot_be_restored_is_refused(beginning: str, said: str) -> None:
    """None of that beginning, or the one that is live."""
    with pytest.raises(NoSuchNameError, match=said) as caught:
        versions.version_to_restore(builder_of(store_of("c", "b", "a", "c")), beginning)
    assert "--images" in caught.value.hint


def test_versions_beyond_the_limit_are_released_oldest_first() -> None:
    """What is live counts for none of them; one that the engine cannot release is reported, and stops nothing."""
    live_once("a", "b", "c", "d")
    store = store_of("d", "c", "a", "b", "c", "d", "e")
    versions.prune(builder_of(store, keep=2))
    assert {tag for tag in store.tags if tag.startswith("version-")} == {tag_of(image) for image in "bcd"}
    versions.prune(builder_of(store, keep=0))
    assert set(store.tags) == {"latest", "live", "prev", tag_of("d")}


def test_a_version_that_cannot_be_released_stops_nothing(told: list[str]) -> None:
    """A container may run it: a warning."""
    store = store_of("c", "b", "a")
    store.in_use = tag_of("a")
    versions.prune(builder_of(store, keep=0))
    assert tag_of("a") in store.tags
    assert "could not be released: `rmi ktools/web:version-aaaaaaaaaaaa` failed" in told[0]
