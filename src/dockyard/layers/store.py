"""Where the files of images and containers are, whatever store the engine keeps them in.

The engine's own answer comes first: it names directories where its storage driver is an overlay. Docker's containerd
image store is asked through the mounts of this host and through containerd, podman's other drivers through its `mount`.
If there is no answer, or the engine is on another host, the files are copied: a container's by `export`, an image's by
`save`. So all is found on any store; only what must be a directory of the engine (`d cow-dir`, removal) is not.

Nothing else in the package asks where layers are. Questions to containerd are asked when the answer is needed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.errors import DockyardError, EngineError
from dockyard.layers.containerd import Snapshots
from dockyard.layers.directories import Directories, Overlay, completed, mounted_for

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine
    from dockyard.engine.models import Container, Image


@lru_cache(maxsize=4)
def store_of(engine: "Engine") -> "Store":
    """Return the store of an engine, which remembers its answers."""
    return Store(engine)


class Store:
    """The layers of one engine's images and containers."""

    def __init__(self, engine: "Engine") -> None:
        self.engine = engine
        self._images: dict[str, tuple[str, ...]] = {}
        self._asked: dict[str, Snapshots] = {}

    # ---------------------------------------------------------------------------------------------------- containers
    def directories_of(self, container: "Container") -> Directories | None:
        """Return the directories of a container, running or not; None if its store does not name any on this host."""
        if container.layer and container.layers and _is_here(container.layer):
            return Directories(container.layer, container.layers)
        found = _mounted_here(container) or self._snapshots(container.driver).of_container(container.id)
        return Directories(found.upper, found.lowers) if found and found.upper else None

    def upper_of(self, container: "Container") -> str:
        """Return the directory of the host that a container writes to; empty if there is none."""
        found = Directories(container.layer, ()) if container.layer else self.directories_of(container)
        return found.upper if found else ""

    def merged_root_of(self, container: "Container") -> str:
        """Return where the engine mounts the root of a container as it starts it; empty if it does not say."""
        dialect = self.engine.dialect
        if container.root or not dialect.merged_roots:
            return container.root
        about = self.engine.about
        return f"{dialect.merged_roots.format(root=about.root, driver=about.driver)}/{container.id}"

    @contextmanager
    def opened(self, container: "Container") -> Iterator[Directories]:
        """Yield the directories of a container; a stopped one is copied for the block if its store names none.

        Raises DockyardError if a running one has none that can be read, or nothing can be copied.
        """
        if known := self.directories_of(container):
            yield known
            return
        dialect = self.engine.dialect
        with self._mounted(dialect.mounting, dialect.unmounting, container.id) as root:
            if root:
                with self.image(self._image_of(container)) as lowers:
                    yield Directories(root, lowers, is_whole=True)
                return
        if container.is_up:
            raise self.unknown(container)
        from dockyard.layers.copies import copy_of_container

        with copy_of_container(self.engine, container) as whole:
            yield whole

    def unknown(self, container: "Container") -> DockyardError:
        """Return what to raise for a container whose directories must be known, and are not."""
        driver = container.driver or "unknown"
        return DockyardError(
            f"its storage driver, {driver}, does not report where its layers are{self._why(driver)}", self._hint(driver)
        )

    def _why(self, driver: str) -> str:
        reason = self._snapshots(driver).reason
        return f" ({reason})" if reason else ""

    def _hint(self, driver: str) -> str:
        dialect = self.engine.dialect
        if not dialect.snapshots or driver not in dialect.snapshotters:
            return f"use the storage driver {' or '.join(dialect.overlay_drivers)}, on this host"
        return f"run it as root, with `{dialect.snapshots[0]}`, which is part of containerd, on this host"

    # -------------------------------------------------------------------------------------------------------- images
    @contextmanager
    def image(self, image: "Image", only: Sequence[str] = ()) -> Iterator[tuple[str, ...]]:
        """Yield the directories of an image, the uppermost first; it is copied for the block if its store names none.

        With `only`, a copy has no more than these files, given without a leading `/`. Raises DockyardError.
        """
        if known := self._layers_of(image):
            yield known
            return
        dialect = self.engine.dialect
        with self._mounted(dialect.mounting_image, dialect.unmounting_image, image.id) as root:
            if root:
                yield (root,)
                return
        from dockyard.layers.copies import copy_of_files, copy_of_image

        with copy_of_files(self.engine, image, only) if only else copy_of_image(self.engine, image) as copy:
            yield (copy,)

    def _layers_of(self, image: "Image") -> tuple[str, ...]:
        if image.layers and _is_here(image.layers[0]):
            return image.layers
        known = self._images.get(image.id)
        if not known or not _is_here(known[0]):
            driver = image.driver or self.engine.about.driver  # Docker 29 does not name it with an image
            self._images[image.id] = self._snapshots(driver).of_image(image.diffs)
        return self._images[image.id]

    # ------------------------------------------------------------------------------------------------------- mounting
    @contextmanager
    def _mounted(self, mount: tuple[str, ...], unmount: tuple[str, ...], identifier: str) -> Iterator[str]:
        """Have an engine that can mount a whole tree do so, and yield where; nothing where that is not on this host."""
        try:
            root = self.engine.call(*mount, identifier).strip() if mount else ""
        except EngineError:
            root = ""
        try:
            yield root if root and _is_here(root) else ""
        finally:
            if root:
                with suppress(EngineError):  # it may be gone
                    self.engine.call(*unmount, identifier)

    def _image_of(self, container: "Container") -> "Image":
        image = self.engine.images([container.image_id]).get(container.image_id)
        if not image:
            raise DockyardError(f"its image, {container.image_id[:12]}, no longer exists")
        return image

    def _snapshots(self, driver: str) -> Snapshots:
        return self._asked.setdefault(driver, Snapshots(self.engine, driver))


def _is_here(path: str) -> bool:
    """Return whether a directory is on this host, readable or not."""
    try:
        Path(path).stat()
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return True


def _mounted_here(container: "Container") -> Overlay | None:
    """Return the overlay that is mounted on this host for a running container."""
    if not container.pid:
        return None
    try:
        found = mounted_for(Path("/proc/self/mountinfo").read_bytes(), container.id)
    except OSError:
        return None
    return completed(found) if found else None
