"""Base images without an engine: the copy of a Dockerfile that names the digests that were chosen."""

from pathlib import Path

import pytest

from dockyard.base_images import BaseImages, find_repository, usable_choices
from dockyard.engine.dialect import DOCKER
from dockyard.engine.engine import Engine
from dockyard.engine.models import Image
from dockyard.service import Service

PINNED = f"postgres:16-alpine@sha256:{'a' * 64}"


def bases(place: Path, text: str) -> BaseImages:
    """Return the base images of a service that has chosen a digest for `postgres:16-alpine`."""
    (place / "Dockerfile").write_bytes(text.encode())
    engine = Engine("/nonexistent/docker", DOCKER)
    names = ("postgres:16-alpine",)
    return BaseImages(engine, Service(place), names, {names[0]: PINNED, "other": "other@sha256:0"}, lambda: None)


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("FROM postgres:16-alpine\r\n", f"FROM {PINNED}\r\n"),
        ("ARG V=16\nFROM postgres:${V}-alpine\nARG V\n", f"ARG V=16\nFROM {PINNED}\nARG V\n"),
        ('FROM "postgres:16-alpine" AS x\n', f"FROM {PINNED} AS x\n"),
    ],
)
def test_the_digest_that_is_chosen_is_named_however_the_image_is_written(tmp_path: Path, text: str, after: str):
    """The owner's file stays as it is."""
    assert bases(tmp_path, text).dockerfile(()) == after
    assert (tmp_path / "Dockerfile").read_bytes() == text.encode()


def test_the_value_of_a_build_argument_counts(tmp_path: Path):
    text = "ARG V=15\nFROM postgres:${V}-alpine\n"
    assert bases(tmp_path, text).dockerfile(("--build-arg", "V=16")) == f"ARG V=15\nFROM {PINNED}\n"
    assert bases(tmp_path, text).dockerfile(()) == text


def test_a_choice_that_a_build_cannot_take_is_reported_and_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*_: object) -> str:
        raise ValueError("other parts depend on it")

    told: list[str] = []
    monkeypatch.setattr("dockyard.telling.listener", told.append)
    (tmp_path / "Dockerfile").write_text("FROM postgres:16-alpine\n")
    chosen = {"postgres:16-alpine": PINNED, "other": "other@sha256:0"}
    assert usable_choices(Service(tmp_path), (), chosen) == {"postgres:16-alpine": PINNED}
    monkeypatch.setattr("dockyard.updates.pins.substitute_references", refuse)
    assert usable_choices(Service(tmp_path), (), chosen) == {}
    assert "no digest can be chosen: other parts depend on it" in told[0]


@pytest.mark.parametrize(
    ("name", "pulled", "repository"),
    [
        ("debian:12", ["mirror.example/debian", "debian"], "debian"),
        ("debian:12", ["mirror.example/debian", "docker.io/library/debian"], "docker.io/library/debian"),
        ("fedora:40", ["registry.fedoraproject.org/fedora"], "registry.fedoraproject.org/fedora"),
        ("host:5000/app", ["host:5000/my-app", "other.example/app"], ""),
    ],
)
def test_the_repository_of_a_pulled_image_is_the_one_that_was_asked_for(name: str, pulled: list[str], repository: str):
    """A mirror has the same digest; podman's short names are found in a registry that its configuration names."""
    image = Image("1" * 64, digests=tuple(f"{one}@sha256:{'a' * 64}" for one in pulled))
    assert find_repository(image, name, f"sha256:{'a' * 64}") == repository
