"""The surface of an image of an engine."""

from typing import NamedTuple

from dockyard.engine.engine import Engine
from dockyard.engine.models import Image
from dockyard.errors import DockyardError
from dockyard.surface.surface import Surface, surface_of
from dockyard.surface.tree import Tree, files_of, read_tree


class Measured(NamedTuple):
    """All that an image has, and what of that is its surface."""

    tree: Tree
    surface: Surface


def measure(engine: Engine, image: Image) -> Measured:
    """Read an image, without running anything. Raises DockyardError where its layers are not ours to read."""
    if not image.layers:
        raise DockyardError(
            f"{engine.dialect.name} does not tell where the layers of {image.id[:12]} are",
            hint="it takes the storage driver overlay2 (docker) or overlay (podman), on this host",
        )
    tree = read_tree(image.layers, engine.id_map)
    with files_of(image.layers) as files:
        return Measured(tree, surface_of(tree, files.text("/etc/passwd"), files.text("/etc/shadow")))
