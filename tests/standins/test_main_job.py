"""The main commands on each stand-in: build, launch, upgrade, roll back, clean."""

import pytest

from tests.engines.world import write
from tests.standins.world import StandInWorld


@pytest.fixture(scope="module", params=["docker", "podman"])
def world(request: pytest.FixtureRequest) -> StandInWorld:
    """Each stand-in."""
    found: StandInWorld = request.getfixturevalue(request.param)
    return found


def test_service_is_built_launched_upgraded_and_rolled_back(world: StandInWorld) -> None:
    """Answers without empty fields, GraphDriver and Parent, and ids of any length: `:prev` is what was live."""
    service = world.waiting()
    world.go_live(service)
    first = world.tags(service.name)["live"]
    assert f"{service.name}  {service.name}  prod  running" in world.d("ls").stdout
    write(service / "files/version", "2")
    world.d("upgrade", service.name)
    second = world.tags(service.name)
    assert second["live"] != first == second["prev"]
    world.d("rollback", service.name)
    assert world.tags(service.name) == {**second, "live": first, "prev": second["live"]}
    assert world.inspect(service.name)["Image"].removeprefix("sha256:") == first
    listed = {tuple(line.split()[1:3]) for line in world.d("images", service.name).stdout.splitlines()}
    retained = {(f"version-{image[:12]}", image[:12]) for image in (first, second["live"])}
    assert listed == {*retained, *((tag, one[:12]) for tag, one in world.tags(service.name).items())}


def test_images_without_a_tag_are_removed(world: StandInWorld) -> None:
    """Docker 29's list hides untagged images by default; tagged images stay, whatever the form of their ids."""
    service = world.waiting()
    world.d_build(service)
    first = world.image_id(f"dytest/{service.name}:latest")
    write(service / "files/version", "2")
    world.d_build(service)
    assert first[:12] in world.d("clean", "--dry-run").text
    world.d("clean")
    left = world.call("images", "--all", "--quiet", "--no-trunc")
    assert first not in left
    assert world.image_id(f"dytest/{service.name}:latest") in left
