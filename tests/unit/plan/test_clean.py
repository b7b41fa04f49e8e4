"""What `d clean` may remove."""

from hypothesis import given
from hypothesis import strategies as st

from dockyard.engine.models import Container
from dockyard.plan.clean import plan_clean

IDS = st.integers(0, 5).map(lambda number: f"{number}" * (64 if number else 128))  # podman 6: any length
LABELS = st.dictionaries(st.sampled_from(["dockyard.was-live", "dockyard.upgrade", "other"]), IDS, max_size=2)
CONTAINERS = st.builds(
    Container,
    id=st.uuids().map(str),
    name=st.sampled_from(["web", "web.old", "web.next", "db", "db.replaced"]),
    status=st.sampled_from(["running", "exited", "created", "paused", "dead"]),
    image_id=IDS,
    labels=st.tuples(LABELS, st.sampled_from([{}, {"dockyard.service": "web"}])).map(
        lambda both: {**both[0], **both[1]}
    ),
)


@given(st.lists(CONTAINERS, max_size=6), st.lists(IDS))
def test_nothing_goes_that_anybody_needs(containers: list[Container], dangling: list[str]) -> None:
    """No image of a container or of a switch, and no container that runs, is unowned, or is part of a switch."""
    plan = plan_clean(containers, dangling, build_cache=False)
    images = {item.id for item in plan.items if item.what == "image"}
    assert images <= set(dangling)
    assert not images & {container.image_id for container in containers}
    assert not images & {
        value for one in containers for name, value in one.labels.items() if name.startswith("dockyard")
    }
    going = {item.id for item in plan.items if item.what == "container"}
    for container in containers:
        if container.is_up or not container.service or container.name.endswith((".old", ".next", ".replaced")):
            assert container.id not in going


def test_what_is_left_over_goes() -> None:
    """It removes a stopped container of a service, and an unused image without a tag."""
    stopped = Container("1", "web", "exited", "a" * 64, labels={"dockyard.service": "web"})
    plan = plan_clean([stopped], ["b" * 64], build_cache=True)
    assert [item.what for item in plan.items] == ["container", "image", "build cache"]
