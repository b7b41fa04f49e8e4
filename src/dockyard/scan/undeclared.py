"""What no source declares: containers of no service, images that are not live or not built, mounts of nobody's."""

from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, NamedTuple

from dockyard import history
from dockyard.engine.entries import EngineEntry, entries_in
from dockyard.engine.identity import SOURCE_LABEL, TRIMMED_BY
from dockyard.engine.models import BuildStep, Container, Image
from dockyard.errors import DockyardError
from dockyard.plan.flags import mount_targets
from dockyard.plan.places import is_within
from dockyard.scan.layer import Change
from dockyard.settings.values import Mode

if TYPE_CHECKING:
    from dockyard.service import Service
    from dockyard.yard import Yard

UNDECLARED = "undeclared"
MOUNT, IMAGE, CONTAINER = "mount", "image", "container"

WORKERS = 8  # questions that the engine is asked at once


class Undeclared(NamedTuple):
    """What was found of one container, and why not all could be compared."""

    changes: tuple[Change, ...] = ()
    problems: tuple[str, ...] = ()


class Sources:
    """What the sources of this host's services declare, read once for many containers."""

    def __init__(self, yard: "Yard", containers: Iterable[Container]) -> None:
        self.yard = yard
        self.containers = list(containers)
        self.problems: tuple[str, ...] = ()

    @cached_property
    def services(self) -> Mapping[str, "Service"]:
        """All services by name; none where nobody has told where they are, or where they cannot be read."""
        try:
            return {service.name: service for service in self.yard.services}
        except DockyardError as error:
            self.problems = (f"not compared with its source: {error}",)
            return {}

    def compared(self, container: Container, mounted: frozenset[str]) -> Undeclared:
        """Return what a container has that its source does not declare; `mounted` is what the kernel tells is in it.

        Where no services are defined at all, containers and images are compared with nothing.
        """
        entries = self.yard.engine.dialect.entries
        unknown = (point for point in sorted(mounted) if not _is_engines(point, container, entries))
        found = [_mount(point, "nothing declares it") for point in unknown]
        if not self.services:
            return Undeclared(tuple(found), self.problems)
        service = self.services.get(container.service)
        if not service:
            return Undeclared((*found, _change(f"/{container.name}", CONTAINER, "it belongs to no service")))
        problems = []
        try:
            found += self._of_service(service, container)
        except DockyardError as error:
            problems.append(f"not compared with its source: {error}")
        return Undeclared(tuple(found), tuple(problems))

    def _of_service(self, service: "Service", container: Container) -> Iterable[Change]:
        yield from self._image(service, container)
        if container.mode != Mode.PROD.value:
            return
        live, image = self._live.get(service.name), self._images.get(container.image_id)
        if not live or not (live.id == container.image_id or live.equals(image)):
            why = f"{service.name} is to run {live.id[:12] if live else 'an image that is not there'}"
            yield _change(f"/{container.image}", IMAGE, why)
        declared = self._declared(service)
        of_image = image.volumes if image else frozenset()
        for point in sorted({*container.mounts, *container.tmpfs} - declared - of_image):
            yield _mount(point, f"the settings of {service.name} do not declare it")

    def _image(self, service: "Service", container: Container) -> Iterable[Change]:
        """Yield a finding where an image of a service has more in it than its source has built."""
        image = self._images.get(container.image_id)
        if not image or not service.file("Dockerfile"):
            return
        if image.source and not self._is_as_built(image):
            yield _change(f"/{container.image}", IMAGE, "it has more layers than its source has built")
        elif not image.source and not service.file("Build"):
            yield _change(f"/{container.image}", IMAGE, "it was not built from its source by d-build")

    def _is_as_built(self, image: Image) -> bool:
        return image.content in self._built or ends_with_build(self._steps[image.id], image.source)

    def _declared(self, service: "Service") -> frozenset[str]:
        from dockyard.isolation import production_flags

        settings = self.yard.load(service)
        return mount_targets(production_flags(service, settings, self.yard.engine.dialect, with_addresses=False))

    @cached_property
    def _ours(self) -> list[Container]:
        return [container for container in self.containers if container.service in self.services]

    @cached_property
    def _images(self) -> Mapping[str, Image]:
        """The images of all containers of services, by id."""
        wanted = {f"sha256:{container.image_id}" for container in self._ours}
        return {image.id: image for image in self.yard.engine.images(wanted).values()}

    @cached_property
    def _built(self) -> frozenset[str]:
        """The contents of those images that dockyard has recorded to have built here."""
        try:
            return history.built_contents({image.content for image in self._images.values()})
        except DockyardError:  # then their steps decide
            return frozenset()

    @cached_property
    def _steps(self) -> Mapping[str, list[BuildStep]]:
        """The steps of the images that dockyard has labelled, and of which it has no record, by id."""
        from concurrent.futures import ThreadPoolExecutor

        unknown = [image.id for image in self._images.values() if image.source and image.content not in self._built]
        with ThreadPoolExecutor(WORKERS) as pool:
            return dict(zip(unknown, pool.map(self.yard.engine.steps, unknown), strict=True))

    @cached_property
    def _live(self) -> Mapping[str, Image]:
        """The image that production of each service that has a container is to run."""
        from dockyard.plan.launch import image_candidates

        wanted: dict[str, tuple[str, ...]] = {}
        for name in {container.service for container in self._ours}:
            try:
                wanted[name] = tuple(image_candidates(self.yard.load(self.services[name])))
            except DockyardError:  # told where its mounts are compared
                continue
        images = self.yard.engine.images([reference for several in wanted.values() for reference in several])
        first = {
            name: next((images[one] for one in several if one in images), None) for name, several in wanted.items()
        }
        return {name: image for name, image in first.items() if image}


_BUILDKIT = "buildkit.dockerfile."
"""How BuildKit begins the comment of each step, with a version of its frontend after it."""


def ends_with_build(steps: list[BuildStep], source: str) -> bool:
    """Return whether an image's history ends with what d-build does: nobody has added a layer to the image since.

    The legacy builder and buildah end with the labels of the command line, d-build's among them. BuildKit writes no
    step for these, but a comment into each of its own steps. Trimming writes the only step. A commit writes none of it.
    """
    if not steps:
        return False
    if steps[0].comment.startswith(_BUILDKIT) or steps[0].created_by.startswith(TRIMMED_BY):
        return True
    words = (step.created_by for step in steps)
    labels = takewhile(lambda step: step.startswith(("LABEL ", "/bin/sh -c #(nop)")) and "LABEL " in step, words)
    return any(SOURCE_LABEL in step and source in step for step in labels)


def _is_engines(point: str, container: Container, entries: tuple[EngineEntry, ...]) -> bool:
    """Return whether the engine has mounted something there, for an option or by itself."""
    known = entries_in(entries, container.features)
    if any(point == one.path or (one.is_tree and is_within(point, one.path)) for one in known if one.is_mounted):
        return True
    # What is mounted below a mount came with it from the host.
    return any(is_within(point, place) for place in (*container.mounts, *container.tmpfs))


def _mount(point: str, why: str) -> Change:
    return _change(point, MOUNT, why)


def _change(path: str, kind: str, why: str) -> Change:
    return Change(path, UNDECLARED, kind, detail=(why,))
