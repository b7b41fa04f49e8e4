"""Finding the images of others that services are made from, and on which version of each they are built now."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from dockyard.base_images import known_digests
from dockyard.build import Builder
from dockyard.errors import UsageError
from dockyard.fleet.order import plain_names
from dockyard.plan.build import LATEST, LIVE, image_name
from dockyard.plan.order import plain_reference
from dockyard.registry.configuration import read_configuration
from dockyard.registry.reference import Reference, choose_reference
from dockyard.settings.keys import IMAGE
from dockyard.updates.base import DOCKERFILE, SETTINGS, Base
from dockyard.updates.choices import Choices, load_choices

if TYPE_CHECKING:
    from dockyard.engine.models import Image
    from dockyard.service import Service
    from dockyard.settings.resolve import Settings
    from dockyard.yard import Yard

NamesOf = Callable[[str], tuple[Reference, ...]]
"""What a name in a Dockerfile may mean to the engine: podman has aliases, and registries that it searches."""


class _Named(NamedTuple):
    """An image as a file of a service names it, the reference that a build takes, and what was built on it."""

    service: str
    name: str
    file: str
    taken: str
    built: tuple[str, ...] = ()


def find_bases(yard: "Yard", settings: "Mapping[str, Settings]", names: Iterable[str]) -> list[Base]:
    """Return the images that these services are made from, and that others publish: in one question to the engine.

    Left out are the images that services are built as, and what was built on this host without a service: no registry
    has a newer one. Raises DockyardError if the engine does not answer, or its configuration cannot be read.
    """
    names_of = read_configuration(yard.engine.dialect.name, os.environ).rules.names_of
    own, choices = plain_names(settings), load_choices()
    services = [yard.named(name) for name in names if name in settings]
    named = [
        one
        for service in services
        for one in _named(yard, service, settings[service.name], choices.get(service.name, {}))
        if plain_reference(one.name) not in own
    ]
    images = yard.engine.images(word for one in named for word in (one.taken, *one.built))
    return [base for one in named if (base := _base(names_of, one, images))]


def _named(yard: "Yard", service: "Service", settings: "Settings", choices: Choices) -> list[_Named]:
    if not service.is_buildable:
        name = settings[IMAGE]
        return [_Named(service.name, name, SETTINGS, name)] if "/" in name or ":" in name else []
    names = image_name(service.name, settings)
    builder = Builder(yard.engine, service, settings, names).with_choices(choices)
    built = tuple(names.tagged(tag) for tag in (LIVE, LATEST))
    return [_Named(service.name, name, DOCKERFILE, builder.chosen.get(name, name), built) for name in builder.bases]


def _base(names_of: NamesOf, named: _Named, images: "Mapping[str, Image]") -> Base | None:
    """Return a base; None for a name that no registry could have, or an image that was built here."""
    image = images.get(named.taken)
    try:
        reference = choose_reference(names_of(named.name), image.digests if image else ())
    except UsageError:
        return None
    digests = [digest.partition("@")[2] for digest in image.digests] if image else []
    if image and not digests and not reference.digest:
        return None
    recorded = next((_recorded_digest(images[tag], named.name) for tag in named.built if tag in images), "")
    local = [f"sha256:{word}" for word in (image.id, image.config_digest) if word] if image else []
    pinned = [reference.digest] if reference.digest else []
    known = [*pinned, *digests, *local] if image or pinned else [recorded]
    of_repository = known_digests(image, reference.name) if image else ()
    digest = next(iter([*pinned, *of_repository, *digests, recorded]), "")
    return Base(named.service, named.name, reference, named.file, frozenset(filter(None, known)), digest)


def _recorded_digest(image: "Image", name: str) -> str:
    """Return the digest of a base image that an image was built on, as its labels say; empty if they do not."""
    words = (word.rpartition("=") for word in image.base_digests.split())
    return next((digest for known, _, digest in words if known == name), "")
