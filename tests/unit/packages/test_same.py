"""Two images whose files are the same but for their times, and each difference that counts."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockyard.engine.models import IdMap, Image
from dockyard.packages.compare import has_same_files


class _Engine:
    """An engine that maps no ids."""

    id_map = IdMap()


ENGINE: Any = _Engine()


def build(layer: Path) -> Path:
    """Create the files of a layer."""
    (layer / "bin").mkdir(parents=True)
    (layer / "bin/tool").write_bytes(b"\x7fELF" + bytes(3_000_000))
    (layer / "bin/tool").chmod(0o755)
    (layer / "link").symlink_to("bin/tool")
    (layer / "one").write_text("text")
    os.link(layer / "one", layer / "two")
    return layer


def image(number: str, *layers: Path, configuration: str = "c") -> Image:
    """Return an image of these layers, the uppermost first."""
    return Image(number, layers=tuple(map(str, layers)), content=number, configuration=configuration)


@pytest.fixture
def layers(tmp_path: Path) -> tuple[Path, Path]:
    """The same layer, twice, with other times."""
    first, second = build(tmp_path / "first"), build(tmp_path / "second")
    for path in (second, *second.rglob("*")):
        os.utime(path, (1, 1), follow_symlinks=False)
    return first, second


def test_times_do_not_count(layers: tuple[Path, Path]) -> None:
    """What a build without a cache makes again is the same."""
    assert has_same_files(ENGINE, image("1", layers[0]), image("2", layers[1]))


def test_files_count_however_they_are_layered(layers: tuple[Path, Path], tmp_path: Path) -> None:
    """A file that a layer above replaces by an equal one is the same file."""
    above = tmp_path / "above"
    above.mkdir()
    (above / "link").symlink_to("bin/tool")
    assert has_same_files(ENGINE, image("1", layers[0]), image("2", above, layers[1]))


def test_the_configuration_counts(layers: tuple[Path, Path]) -> None:
    """With another configuration, or with none reported, files are not even read."""
    assert not has_same_files(ENGINE, image("1", layers[0]), image("2", layers[1], configuration="d"))
    unknown = [image(number, layer, configuration="") for number, layer in zip("12", layers, strict=True)]
    assert not has_same_files(ENGINE, *unknown)


def _change_last_byte(layer: Path) -> None:
    with (layer / "bin/tool").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"x")


def _part(layer: Path) -> None:
    (layer / "two").unlink()
    (layer / "two").write_text("text")


@pytest.mark.parametrize(
    "change",
    [
        _change_last_byte,
        _part,
        lambda layer: (layer / "one").write_text("texts"),
        lambda layer: (layer / "new").mkdir(),
        lambda layer: (layer / "bin/tool").unlink(),
        lambda layer: (layer / "bin").chmod(0o700),
        lambda layer: os.chown(layer / "bin/tool", 1, 2),
        lambda layer: os.setxattr(layer / "one", "user.a", b"b"),
        lambda layer: ((layer / "link").unlink(), (layer / "link").symlink_to("one")),
    ],
    ids=["last byte", "no hard link", "size", "more", "less", "mode", "owner", "attribute", "target"],
)
def test_all_else_counts(layers: tuple[Path, Path], change: Callable[[Path], object]) -> None:
    """One difference is enough."""
    change(layers[1])
    assert not has_same_files(ENGINE, image("1", layers[0]), image("2", layers[1]))
