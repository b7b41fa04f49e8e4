"""Building, testing and promoting as users see it: the same in d-build and in d."""

from dockyard.build import Builder
from dockyard.cli.output import Result, say, warn
from dockyard.plan.build import LIVE, PREVIOUS, Promotion
from dockyard.upgrade import Wanted, tested


def tested_id(builder: Builder, image: str) -> str | None:
    """Run the tests on an image; returns its id, or None after a warning where there is no test."""
    say(f"{builder.service.name}: testing {image[:12]}")
    if tested(builder, image, Wanted()):
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
