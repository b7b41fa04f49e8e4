"""The stand-ins, each with a base image; they need root to mount overlays."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.missing import missing
from tests.standins.world import StandInWorld


def _world(program: str, module: str, root: Path) -> Iterator[StandInWorld]:
    if os.geteuid():
        missing("a stand-in mounts overlays, and we are not root")
    if not shutil.which("busybox"):
        missing("busybox is not installed")
    world = StandInWorld(program, module, root)
    world.make_base()
    yield world
    world.end()


@pytest.fixture(scope="module")
def docker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandInWorld]:
    """Docker 29, freshly installed."""
    yield from _world("docker", "docker29", tmp_path_factory.mktemp("docker29"))


@pytest.fixture(scope="module")
def podman(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandInWorld]:
    """Podman 6, as root."""
    yield from _world("podman", "podman6", tmp_path_factory.mktemp("podman6"))
