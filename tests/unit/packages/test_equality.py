"""Two images are compared once, and an answer that cannot be had is a no."""

import json
from pathlib import Path
from typing import Any

import pytest

from dockyard.engine.models import Image
from dockyard.errors import DockyardError
from dockyard.packages import equality
from dockyard.packages.equality import have_same_content

ENGINE: Any = None


@pytest.fixture(autouse=True)
def compared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have images be equal whose contents begin with the same letter; return the comparisons, as they are made."""
    found: list[str] = []

    def compare(_: object, one: Image, other: Image) -> bool:
        found.append(f"{one.content} {other.content}")
        if "damaged" in {one.content, other.content}:
            raise DockyardError("it cannot be read")
        return one.content[0] == other.content[0]

    monkeypatch.setattr(equality, "state_directory", lambda: tmp_path / "state")
    monkeypatch.setattr(equality, "has_same_files", compare)
    return found


def image(content: str, configuration: str = "c") -> Image:
    """Return an image."""
    return Image(f"id of {content}", content=content, configuration=configuration)


def test_images_are_read_once(compared: list[str]) -> None:
    """In either order, and by their content: under another id they are the same."""
    assert have_same_content(ENGINE, image("a1"), image("a2"))
    assert have_same_content(ENGINE, image("a2"), image("a1")._replace(id="another"))
    assert not have_same_content(ENGINE, image("a1"), image("b1"))
    assert not have_same_content(ENGINE, image("a1"), image("b1"))
    assert compared == ["a1 a2", "a1 b1"]


def test_what_can_be_told_without_reading_is(compared: list[str]) -> None:
    """Equal contents, another configuration, and one that the engine does not report."""
    assert have_same_content(ENGINE, image("a"), image("a"))
    assert not have_same_content(ENGINE, image("a1"), image("a2", "d"))
    assert not have_same_content(ENGINE, image("a1", ""), image("a2", ""))
    assert compared == []


def test_other_rules_are_another_question(compared: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that counts now may not have counted then."""
    assert have_same_content(ENGINE, image("a1"), image("a2"))
    monkeypatch.setattr(equality, "RESIDUE", {"/srv/": "it counted before"})
    assert have_same_content(ENGINE, image("a1"), image("a2"))
    assert len(compared) == 2


def test_an_image_that_cannot_be_read_is_another_one(compared: list[str], told: list[str]) -> None:
    """It is reported, and tried again the next time."""
    for _ in range(2):
        assert not have_same_content(ENGINE, image("damaged"), image("d"))
    assert "was not compared with id of d: it cannot be read" in told[0]
    assert len(compared) == 2


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', "null"])
def test_a_damaged_memory_is_none(compared: list[str], text: str, tmp_path: Path) -> None:
    """Then images are read again."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state/comparisons.json").write_text(text)
    assert have_same_content(ENGINE, image("a1"), image("a2"))
    assert len(compared) == 1


def test_the_oldest_answers_are_forgotten(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The file does not grow without end."""
    monkeypatch.setattr(equality, "MAX_REMEMBERED", 3)
    for number in range(6):
        have_same_content(ENGINE, image("a"), image(f"a{number}"))
    assert len(json.loads((tmp_path / "state/comparisons.json").read_text())) == 3
