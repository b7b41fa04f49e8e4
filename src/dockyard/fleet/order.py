"""Which services are built from each other's images, and so in which order."""

from typing import TYPE_CHECKING

from dockyard.base_images import bases_of
from dockyard.plan.build import build_parameters, image_name
from dockyard.plan.order import edges, generations, plain_reference

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dockyard.settings.resolve import Settings
    from dockyard.yard import Yard


def build_order(
    yard: "Yard", settings: "Mapping[str, Settings]"
) -> tuple[list[tuple[str, ...]], dict[str, frozenset[str]]]:
    """Return the services that can be built, in groups that can be built at once, and what each is built from.

    Raises DockyardError if services are built from each other.
    """
    able = (service for service in yard.services if service.is_buildable and service.name in settings)
    services = {service.name: service for service in able}
    names = {name: image_name(name, settings[name]) for name in services}
    bases = {name: bases_of(service, _parameters(yard, settings[name])) for name, service in services.items()}
    depends = edges(names, bases)
    return generations(depends), depends


def plain_names(settings: "Mapping[str, Settings]") -> frozenset[str]:
    """Return what the images of services are called, as far as all tags have it."""
    return frozenset(plain_reference(image_name(name, one).untagged) for name, one in settings.items())


def built_from(yard: "Yard", name: str) -> frozenset[str]:
    """Return the services that are built from the image of one. Raises DockyardError as `build_order` does."""
    _, depends = build_order(yard, yard.load_all()[0])
    return frozenset(service for service, wanted in depends.items() if name in wanted)


def _parameters(yard: "Yard", settings: "Settings") -> tuple[str, ...]:
    return build_parameters(settings, yard.engine.dialect)
