"""From source to production."""

from dockyard import replace
from dockyard.cli.making import builder_for, latest_id, promoted, tested_id
from dockyard.cli.output import Result, say
from dockyard.cli.verb import On, verb
from dockyard.host import host_facts
from dockyard.plan.build import LATEST
from dockyard.settings.keys import AUTOSTART
from dockyard.settings.resolve import Settings
from dockyard.yard import Yard


@verb("build", "b", on=On.SERVICE)
def build(yard: Yard, name: str) -> Result:
    """Build the image, as `latest`."""
    builder = builder_for(yard, name)
    return Result([f"{builder.name.tagged(LATEST)} is {builder.build().id[:12]}"])


@verb("test", "t", on=On.SERVICE)
def test(yard: Yard, name: str) -> Result:
    """Test the latest image, in an instance of its own."""
    builder = builder_for(yard, name)
    image = latest_id(builder)
    return Result([f"{name}: {image[:12]} {'passed' if tested_id(builder, image) else 'was not tested'}"])


@verb("upgrade", "u", on=On.SERVICE)
def upgrade(yard: Yard, name: str) -> Result:
    """Build, test, promote; replace the container if it is up or starts by itself. Stops at the first failure.

    Until all tests have passed nothing of production changes. If the new container does not stay up, the old one is put
    back, and `live` and `prev` are again what they were.
    """
    builder = builder_for(yard, name)
    image = builder.build().id
    tested = tested_id(builder, image)
    before = builder.tags()
    promotion = builder.promote(tested or image)
    running = replace.production(yard, builder.service)
    if not (running and running.is_up) and not starts_here(builder.settings):
        return promoted(builder, promotion)
    say(promoted(builder, promotion).lines[0])
    try:
        plan = replace.replace(yard, builder.service)
    except BaseException:
        builder.restore(before)
        raise
    return Result([f"{plan.name} is up, from {plan.image}, {plan.image_id[:12]}"])


def starts_here(settings: Settings) -> bool:
    """Return whether a service starts by itself on this host."""
    wave = settings[AUTOSTART]
    return bool(wave) and wave.host in {"", host_facts().name} if wave else False


@verb("rollback", on=On.SERVICE)
def rollback(yard: Yard, name: str) -> Result:
    """Put the previous image back, and a container of it in production's place if production is up."""
    builder = builder_for(yard, name)
    before = builder.tags()
    promotion = builder.rollback()
    running = replace.production(yard, builder.service)
    if not running or not running.is_up:
        return promoted(builder, promotion)
    try:
        plan = replace.replace(yard, builder.service)
    except BaseException:
        builder.restore(before)
        raise
    return Result([*promoted(builder, promotion).lines, f"{plan.name} is up, from {plan.image}"])
