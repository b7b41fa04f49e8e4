"""An engine some of whose answers are known already: asked for together, for many launches at once."""

from collections.abc import Iterable, Mapping

from dockyard.engine.engine import Engine
from dockyard.engine.models import Container, Image, Network


class Known(Engine):
    """An engine that answers prefetched questions from memory; any other question is passed on."""

    def __init__(
        self, engine: Engine, images: Iterable[str], containers: Iterable[str], networks: Iterable[str]
    ) -> None:
        super().__init__(engine.program, engine.dialect)
        self._asked_images, self._asked_containers = set(images), set(containers)
        self._images: Mapping[str, Image] = engine.images(sorted(self._asked_images))
        self._containers = {found.name: found for found in engine.containers(sorted(self._asked_containers))}
        self._networks = {name: engine.network(name) for name in set(networks)}

    def images(self, references: Iterable[str]) -> dict[str, Image]:
        """Return those images that exist, by the reference asked for."""
        wanted = list(dict.fromkeys(references))
        if not self._asked_images.issuperset(wanted):
            return super().images(wanted)
        return {reference: self._images[reference] for reference in wanted if reference in self._images}

    def containers(self, names: Iterable[str]) -> list[Container]:
        """Return the containers of these names or ids that exist."""
        wanted = tuple(names)
        if not self._asked_containers.issuperset(wanted):
            return super().containers(wanted)
        return [self._containers[name] for name in wanted if name in self._containers]

    def network(self, name: str) -> Network | None:
        """Return a network, or None if there is none of that name."""
        return self._networks[name] if name in self._networks else super().network(name)
