"""The surface of an image of an engine."""

from typing import NamedTuple

from dockyard.engine.engine import Engine
from dockyard.engine.models import Image
from dockyard.layers.store import store_of
from dockyard.packages.reading import PackageList, read_packages
from dockyard.surface.surface import Surface, surface_of
from dockyard.surface.tree import Tree, files_of, read_tree


class Measured(NamedTuple):
    """All that an image has, what of that is its surface, and its packages."""

    tree: Tree
    surface: Surface
    packages: PackageList


def measure(engine: Engine, image: Image) -> Measured:
    """Read an image, without running anything. Raises DockyardError if its files cannot be read."""
    with store_of(engine).image(image) as layers, files_of(layers) as files:
        tree = read_tree(layers, engine.id_map)
        surface = surface_of(tree, files.text("/etc/passwd"), files.text("/etc/shadow"))
        return Measured(tree, surface, read_packages(tree, files))
