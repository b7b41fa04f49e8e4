"""Real overlays, mounted by the kernel, as containers have them."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from dockyard.scan.layer import TOUCHED, Change, Walk


class Overlay(NamedTuple):
    """A mounted overlay: its merged directory is what a container sees."""

    upper: Path
    layers: tuple[Path, ...]
    merged: Path

    def walk(self, *, defer: bool = False) -> Walk:
        """Return a walk of it."""
        return Walk(str(self.upper), [str(layer) for layer in self.layers], defer=defer)

    def changes(self) -> dict[str, Change]:
        """Return what changed, by path; all of it was judged, and later comparing tells the same."""
        walk, late = self.walk(), self.walk(defer=True)
        told = [*walk.changes()]
        assert walk.is_complete, walk.unjudged
        assert sorted(told) == sorted([*late.changes(), *late.compare()])
        assert late.is_complete, late.unjudged
        return {change.path: change for change in told}

    def found(self) -> dict[str, str]:
        """Return the words for what changed, by path, without what was only touched."""
        return {path: change.what for path, change in self.changes().items() if change.what != TOUCHED}


@pytest.fixture(autouse=True)
def _removed(tmp_path: Path) -> Iterator[None]:
    """Remove what a test has made, however deep it is: pytest's own way of doing that follows a tree by recursion."""
    yield
    subprocess.run(("rm", "-rf", "--one-file-system", *tmp_path.iterdir()), check=True)  # noqa: S607


Mount = Callable[..., Overlay]


@pytest.fixture
def tmp_path(tmp_path: Path) -> Iterator[Path]:
    """Yield the test's directory, and remove it: trees may be deeper than Python's own removal goes."""
    yield tmp_path
    argv = ("rm", "--recursive", "--force", "--one-file-system", str(tmp_path))
    subprocess.run(argv, check=True)


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mount an overlay over directories, the uppermost first, and return it."""
    mounted: list[Path] = []

    def make(*layers: Path, options: str = "", name: str = "container") -> Overlay:
        place = tmp_path / name
        for part in ("upper", "work", "merged"):
            (place / part).mkdir(parents=True)
        given = f"lowerdir={':'.join(map(str, layers))},upperdir={place / 'upper'},workdir={place / 'work'}{options}"
        argv = ("mount", "-t", "overlay", "overlay", "-o", given, str(place / "merged"))
        subprocess.run(argv, check=True)
        mounted.append(place / "merged")
        return Overlay(place / "upper", layers, place / "merged")

    yield make
    for point in reversed(mounted):
        argv = ("umount", str(point))
        subprocess.run(argv, check=True)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Return an image's one layer."""
    image = tmp_path / "image"
    for path in ("etc/ssl", "bin", "opt/tool/deep"):
        (image / path).mkdir(parents=True)
    for path in ("etc/passwd", "etc/ssl/cert", "bin/sh", "opt/tool/run", "opt/tool/deep/file"):
        (image / path).write_text(f"the image's {path}")
    (image / "etc/link").symlink_to("passwd")
    return image


class Layered(NamedTuple):
    """A mounted overlay, and the file system that its directories are on."""

    system: Path
    upper: Path
    merged: Path


@pytest.fixture
def layered(tmp_path: Path) -> Iterator[Layered]:
    """An overlay of an image with some entries, as a container has it."""
    if os.geteuid():
        pytest.skip("only root mounts overlays")
    system = tmp_path / "system"
    system.mkdir()
    subprocess.run(("mount", "-t", "tmpfs", "-o", "size=256m", "tmpfs", system), check=True)  # noqa: S607
    try:
        yield from _mounted(system)
    finally:
        subprocess.run(("umount", system), check=True)  # noqa: S607


def _mounted(system: Path) -> Iterator[Layered]:
    made = {name: system / name for name in ("lower", "upper", "work", "merged", "host")}
    for path in made.values():
        path.mkdir()
    (made["lower"] / "etc").mkdir()
    (made["lower"] / "etc/passwd").write_text("root")
    (made["lower"] / "etc/motd").write_text("welcome")
    (made["lower"] / "bin").mkdir()
    options = ",".join(f"{key}dir={made[key]}" for key in ("lower", "upper", "work"))
    subprocess.run(("mount", "-t", "overlay", "-o", options, "overlay", made["merged"]), check=True)  # noqa: S607
    try:
        yield Layered(system, made["upper"], made["merged"])
    finally:
        subprocess.run(("umount", made["merged"]), check=True)  # noqa: S607
