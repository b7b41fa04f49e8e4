"""What may go of an engine's containers and images: never what has a tag, is in use, or a switch may need."""

from collections.abc import Sequence
from typing import NamedTuple

from dockyard.engine.models import SUFFIXES, Container


class Item(NamedTuple):
    """Something to remove: `container`, `image` or `build cache`; `result` is the outcome."""

    what: str
    name: str
    id: str
    result: str = "would be removed"


class CleanPlan(NamedTuple):
    """What may go, and the stopped containers that belong to no service."""

    items: tuple[Item, ...]
    others: tuple[str, ...]


def plan_clean(containers: Sequence[Container], dangling: Sequence[str], *, build_cache: bool) -> CleanPlan:
    """Plan what goes; `containers` are all there are, `dangling` the ids of images without a tag."""
    stopped = [container for container in containers if not container.is_up]
    going = [container for container in stopped if may_go(container)]
    needed = {container.image_id for container in containers}
    told = [text for container in containers for text in _own_labels(container)]
    needed |= {image for image in dangling if any(image in text for text in told)}
    items = [Item("container", container.name, container.id) for container in going]
    items += [Item("image", image[:12], image) for image in dict.fromkeys(dangling) if image not in needed]
    items += [Item("build cache", "", "")] if build_cache else []
    return CleanPlan(tuple(items), tuple(container.name for container in stopped if not container.service))


def may_go(container: Container) -> bool:
    """Return whether a container is a service's, has ended, and no switch may need it."""
    ended = container.status in {"exited", "stopped", "dead"}
    return bool(container.service) and ended and not container.name.endswith(SUFFIXES)


def _own_labels(container: Container) -> list[str]:
    return [value for label, value in container.labels.items() if label.startswith("dockyard.")]
