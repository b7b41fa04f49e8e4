"""The images that a service is built on: which ones there are, what the last build found, and pulling those missing."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dockyard.dockerfile import base_images, build_arguments
from dockyard.engine.identity import BASE_DIGESTS_LABEL, BASES_LABEL
from dockyard.errors import DockyardError, EngineError
from dockyard.plan.order import plain_reference
from dockyard.registry.reference import parse_reference
from dockyard.service import Service
from dockyard.source import recorded_bases
from dockyard.telling import say, warn

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine
    from dockyard.engine.models import Image


class BaseImages(NamedTuple):
    """The images that a service's Dockerfile names.

    `chosen` are references with a digest that a build takes for some of them. `find_built` returns the image that was
    built last, if there is one: its labels say what that was built on.
    """

    engine: "Engine"
    service: Service
    names: tuple[str, ...]
    chosen: Mapping[str, str]
    find_built: "Callable[[], Image | None]"

    @property
    def images(self) -> "dict[str, Image | None]":
        """The images by what the Dockerfile calls them; None for one that is not there."""
        wanted = {name: self.chosen.get(name, name) for name in self.names}
        found = self.engine.images(wanted.values())
        return {name: found.get(reference) for name, reference in wanted.items()}

    @property
    def contents(self) -> dict[str, str]:
        """The contents of the images.

        Of one that is not there it is what the last build found: that it was removed since is no reason to build again.
        """
        images = self.images
        recorded = self._read_label(lambda image: image.bases) if None in images.values() else {}
        return {name: image.content if image else recorded.get(name, "") for name, image in images.items()}

    @property
    def labels(self) -> dict[str, str]:
        """What an image that is built on these says of them."""
        images = {name: image for name, image in self.images.items() if image}
        known = {name: known_digests(image, self.chosen.get(name, name)) for name, image in images.items()}
        digests = {name: next(iter(found), "") for name, found in known.items()}
        return {BASES_LABEL: _join_values(self.contents), BASE_DIGESTS_LABEL: _join_values(digests)}

    def pull_missing(self) -> None:
        """Pull what is not there, before a build: the hash of the source covers its content.

        It is the version of the last build, if a registry still has that. What cannot be pulled is left to the build,
        which may know another place for it.
        """
        missing = [name for name, image in self.images.items() if not image]
        digests = self._read_label(lambda image: image.base_digests) if missing else {}
        for name in missing:
            say(f"{self.service.name}: pulling {name}")
            if name in self.chosen:
                self._pull_chosen(name)
            elif name not in digests or not self._pull_version(name, digests[name]):
                with suppress(EngineError):
                    self.engine.call("pull", name)

    def _pull_chosen(self, name: str) -> None:
        """Pull the digest that the service builds on. Raises DockyardError: another one would be an older version."""
        try:
            self.engine.call("pull", self.chosen[name])
        except EngineError as error:
            raise DockyardError(
                f"{self.service.name} is built on {self.chosen[name]}, which cannot be pulled: {error.stderr.strip()}",
                hint=f"if it was deleted, use the tag's current image: `d upgrade {self.service.name} --refresh`",
            ) from None

    def _pull_version(self, name: str, digest: str) -> bool:
        """Pull a version of an image, and have its tag name that; returns whether a registry still has it."""
        from dockyard.updates.pins import is_pinned, with_digest

        if is_pinned(name):
            return False
        version = with_digest(name, digest)
        try:
            self.engine.call("pull", version)
            image = self.engine.images([version]).get(version)
            pulled = find_repository(image, name, digest) if image else ""
            if pulled:
                self.engine.call("tag", version, f"{pulled}:{parse_reference(name).tag}")
        except EngineError:
            return False
        return bool(pulled)

    def _read_label(self, label: "Callable[[Image], str]") -> dict[str, str]:
        """Return what a label of the image that was built last says, by name."""
        image = self.find_built()
        return recorded_bases(label(image)) if image else {}

    def dockerfile(self, parameters: tuple[str, ...]) -> str:
        """Return the Dockerfile with the digests that are chosen; empty if none are."""
        from dockyard.updates.pins import substitute_references

        path = self.service.file("Dockerfile")
        wanted = {name: pinned for name, pinned in self.chosen.items() if name in self.names}
        if not path or not wanted:
            return ""
        return substitute_references(read_dockerfile(path), wanted, build_arguments(parameters))


def usable_choices(service: Service, parameters: tuple[str, ...], chosen: Mapping[str, str]) -> Mapping[str, str]:
    """Return the choices that a build can take: a name that the Dockerfile puts together from ARGs may not be one.

    What cannot be taken is reported: then a build is on what the tag names.
    """
    path = service.file("Dockerfile")
    if not chosen or not path:
        return {}
    from dockyard.updates.pins import substitute_references

    text, arguments = read_dockerfile(path), build_arguments(parameters)
    usable = {}
    for name in (name for name in bases_of(service, parameters) if name in chosen):
        try:
            substitute_references(text, {name: chosen[name]}, arguments)
            usable[name] = chosen[name]
        except ValueError as error:
            warn(f"{path}: {service.name} is built on the tag {name}, as no digest can be chosen: {error}")
    return usable


def bases_of(service: Service, parameters: tuple[str, ...]) -> tuple[str, ...]:
    """Return the images that a service's Dockerfile names, with what build parameters make of it."""
    dockerfile = service.file("Dockerfile")
    return base_images(read_dockerfile(dockerfile), build_arguments(parameters)) if dockerfile else ()


def read_dockerfile(path: Path) -> str:
    """Return the text of a Dockerfile, its line ends as they are; bytes that are not UTF-8 survive a rewrite."""
    return path.read_bytes().decode("utf-8", "surrogateescape")


def known_digests(image: "Image", reference: str) -> tuple[str, ...]:
    """Return the digests by which a registry knows an image in the repository of a reference.

    podman lists those of the index and of the manifest for this platform: then it is the index's, for all platforms.
    """
    pairs = (digest.partition("@")[::2] for digest in image.digests)
    found = dict.fromkeys(digest for name, digest in pairs if plain_reference(name) == plain_reference(reference))
    return tuple(digest for digest in found if digest != image.manifest_digest) or tuple(found)


def find_repository(image: "Image", name: str, digest: str) -> str:
    """Return the repository from which an image was pulled by a name and a digest; empty if the engine lists none.

    Other repositories may have the same digest, as mirrors do: the one that has exactly this name wins. podman finds a
    short name where its configuration says: then it is one whose name ends like it.
    """
    plain = plain_reference(name)
    suffix = f"@{digest}"
    found = [known.removesuffix(suffix) for known in image.digests if known.endswith(suffix)]
    exact = (known for known in found if plain_reference(known) == plain)
    alike = (known for known in found if plain_reference(known).endswith(f"/{plain}"))
    return next(iter([*exact, *alike]), "")


def _join_values(values: Mapping[str, str]) -> str:
    """Return what a label holds of values by name; those that are empty are left out."""
    return " ".join(f"{name}={value}" for name, value in values.items() if value)
