"""Pins: what `d pin` writes of images of a real registry, and what is built and launched by it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockyard.engine.engine import find_engine
from tests.engines.upstream import Upstream, serving
from tests.engines.world import LABEL, World


@pytest.fixture
def upstream(engine: World) -> Iterator[Upstream]:
    """Others, who publish."""
    with serving(engine) as found:
        yield found


def publish(upstream: Upstream, version: str) -> tuple[str, str]:
    """Publish an index as a tag and pull it; returns its reference and its digest."""
    digest = upstream.move_to_index("base", "1", upstream.publish("base", "", {"version": version}))
    reference = f"{upstream.name('base')}:1"
    upstream.engine.call("pull", "--quiet", reference)
    return reference, digest


def pin(engine: World, service: Path, *words: str) -> dict[str, Any]:
    """Pin the one image that a service names."""
    (found,) = json.loads(engine.d("pin", "--json", *words, service.name).stdout)["pins"]
    return dict(found)


@pytest.mark.matrix
def test_a_pinned_service_stays_on_its_pin(engine: World, upstream: Upstream) -> None:
    """The digest is the index's, from the engine as from the registry; a tag that moves changes nothing by itself."""
    if engine.engine == "podman" and engine.call("version", "--format", "{{.Client.Version}}").startswith("4."):
        pytest.skip("podman 4 reports the index's digest as that of the manifest: its pins are of this platform alone")
    reference, digest = publish(upstream, "1")
    service, other = (engine.service("", dockerfile=f"FROM {reference}\nLABEL {LABEL}\n") for _ in range(2))
    launched = engine.idle(image=reference)
    assert f"+FROM {reference}@{digest}" in engine.d("pin", service.name, "-n").stdout
    assert "@" not in (service / "Dockerfile").read_text()
    assert (pin(engine, service)["digest"], pin(engine, launched)["digest"]) == (digest, digest)
    asked = pin(engine, other, "--refresh")
    assert (asked["digest"], asked["from"]) == (digest, "registry")
    pinned = f"{reference}@{digest}"
    assert (service / "Dockerfile").read_text() == f"FROM {pinned}\nLABEL {LABEL}\n"
    assert json.loads((launched / "settings.yaml").read_text())["image"] == pinned

    images = find_engine(engine.engine).images([pinned, reference])
    assert {name: image.id for name, image in images.items()} == dict.fromkeys(
        (pinned, reference), engine.image_id(reference)
    )
    assert "unchanged" not in engine.d_build(service).stderr
    engine.d("up", launched.name)
    assert engine.inspect(launched.name)["Image"].removeprefix("sha256:") == images[pinned].id

    publish(upstream, "2")
    assert engine.image_id(reference) != images[pinned].id
    assert "unchanged" in engine.d_build(service).stderr
    assert engine.d("pin", service.name).stdout == "every base image is pinned\n"
    engine.d("down", launched.name)
    engine.call("rmi", "-f", reference)
