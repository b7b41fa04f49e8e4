"""Building, testing and promoting as users see it: the same in d-build and in d."""

from dockyard.build import Builder
from dockyard.cli.output import Result, say, warn
from dockyard.errors import NoSuchNameError
from dockyard.plan.build import LATEST, LIVE, PREVIOUS, Promotion, image_name
from dockyard.service import Service
from dockyard.yard import Yard


def builder_for(
    yard: Yard, service: Service, *, name: str = "", repository: str = "", parameters: tuple[str, ...] = ()
) -> Builder:
    """Return the builder of a service, as it is configured but for what is given."""
    settings = yard.load(service)
    names = image_name(service.name, settings, name=name, repository=repository)
    return Builder(yard.engine, service, settings, names, parameters)


def latest_id(builder: Builder) -> str:
    """Return the id of the latest image; raises NoSuchNameError."""
    image = builder.tags().get(builder.name.tagged(LATEST))
    if not image:
        raise NoSuchNameError(f"no image {builder.name.tagged(LATEST)}", hint="build it first, with d-build")
    return image.id


def tested_id(builder: Builder, image: str) -> str | None:
    """Run the tests on an image; returns its id, or None after a warning where there is no test."""
    say(f"{builder.service.name}: testing {image[:12]}")
    if builder.test(image):
        say(f"{builder.service.name}: {image[:12]} passed")
        return image
    warn(f"{builder.service.name} has no Test: nothing was tested")
    return None


def promoted(builder: Builder, promotion: Promotion) -> Result:
    """Return what a promotion changed, as a result."""
    name = builder.name
    if not promotion.commands:
        return Result([f"{name.tagged(LIVE)} is {promotion.live[:12]} already"])
    before = f"; {name.tagged(PREVIOUS)} is {promotion.previous[:12]}" if promotion.previous else ""
    return Result([f"{name.tagged(LIVE)} is {promotion.live[:12]}{before}"])
