"""The images of others that a service is made from, and on which version of each it is built now."""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from dockyard.build import builder_for
from dockyard.errors import UsageError
from dockyard.fleet.order import plain_names
from dockyard.plan.build import LATEST, LIVE
from dockyard.plan.order import plain_reference
from dockyard.registry.configuration import read_configuration
from dockyard.registry.reference import Reference, choose_reference
from dockyard.settings.keys import IMAGE

if TYPE_CHECKING:
    from dockyard.build import Builder
    from dockyard.engine.models import Image
    from dockyard.service import Service
    from dockyard.settings.resolve import Settings
    from dockyard.yard import Yard

NamesOf = Callable[[str], tuple[Reference, ...]]
"""What a name in a Dockerfile may mean to the engine: podman has aliases, and registries that it searches."""

DOCKERFILE, SETTINGS = "Dockerfile", "settings.yaml"


class Base(NamedTuple):
    """An image that a service is made from; `name` is as `file` has it, with its ARGs replaced.

    `known_as` are the digests by which engine and registry know the version that the service is built on now; none if
    nothing is built yet. `digest` is the one that the registry has for it, if that is known.
    """

    service: str
    name: str
    reference: Reference
    file: str
    known_as: frozenset[str] = frozenset()
    digest: str = ""

    @property
    def key(self) -> str:
        """How the tag is called in the memory of registries."""
        return f"{self.reference.host}/{self.reference.repository}:{self.reference.tag}"

    @property
    def repository(self) -> str:
        """How its repository is called there."""
        return f"{self.reference.host}/{self.reference.repository}"

    @property
    def is_pinned(self) -> bool:
        """Whether its version is written down, so that a newer one needs another text."""
        return bool(self.reference.digest)


def find_bases(yard: "Yard", settings: "Mapping[str, Settings]", names: Iterable[str]) -> list[Base]:
    """Return the images that these services are made from, and that others publish.

    Left out are the images that services are built as, and what was built on this host without a service: no registry
    has a newer one. Raises DockyardError if the engine does not answer, or its configuration cannot be read.
    """
    names_of = read_configuration(yard.engine.dialect.name, os.environ).rules.names_of
    own = plain_names(settings)
    services = [yard.named(name) for name in names if name in settings]
    found = [base for service in services for base in _bases(yard, service, settings[service.name], names_of)]
    return [base for base in found if base and plain_reference(base.name) not in own]


def _bases(yard: "Yard", service: "Service", settings: "Settings", names_of: NamesOf) -> list[Base]:
    if service.is_buildable:
        builder = builder_for(yard, service)
        images = builder.base_images.images
        built_on = _recorded_digests(builder)
        located = ((name, DOCKERFILE, images[name], built_on.get(name, "")) for name in builder.bases)
    else:
        name = settings[IMAGE]
        named = name if "/" in name or ":" in name else ""
        located = ((name, SETTINGS, yard.engine.images([name]).get(name), "") for name in filter(None, [named]))
    return [base for one in located if (base := _base(names_of, service.name, *one))]


def _base(  # noqa: PLR0913, PLR0917 - a row of what is found
    names_of: NamesOf, service: str, name: str, file: str, image: "Image | None", recorded: str
) -> Base | None:
    """Return a base; None for a name that no registry could have, or an image that was built here."""
    try:
        reference = choose_reference(names_of(name), image.digests if image else ())
    except UsageError:
        return None
    digests = [digest.partition("@")[2] for digest in image.digests] if image else []
    if image and not digests and not reference.digest:
        return None
    local = [f"sha256:{word}" for word in (image.id, image.config_digest) if word] if image else []
    pinned = [reference.digest] if reference.digest else []
    known = [*pinned, *digests, *local] if image or pinned else [recorded]
    digest = next(iter([*pinned, *digests, recorded]), "")
    return Base(service, name, reference, file, frozenset(filter(None, known)), digest)


def _recorded_digests(builder: "Builder") -> dict[str, str]:
    """Return the digests of the images that what is live, or else the latest image, was built on."""
    images = builder.tags()
    image = images.get(builder.name.tagged(LIVE)) or images.get(builder.name.tagged(LATEST))
    words = (word.rpartition("=") for word in image.base_digests.split()) if image else ()
    return {name: digest for name, _, digest in words}
