"""From source to production."""

from typing import TYPE_CHECKING

from dockyard.cli.output import Result, launched
from dockyard.cli.verb import On, verb
from dockyard.yard import Yard

if TYPE_CHECKING:
    from collections.abc import Callable

    from dockyard.build import Builder
    from dockyard.plan.build import Promotion


@verb("build", "b", on=On.SERVICE)
def build(yard: Yard, name: str) -> Result:
    """Build the image, as `latest`."""
    from dockyard.cli.making import builder_for

    builder = builder_for(yard, yard.named(name))
    image = builder.build()
    return Result([f"{builder.name.tagged('latest')} is {image.id[:12]}"])


@verb("test", "t", on=On.SERVICE)
def test(yard: Yard, name: str) -> Result:
    """Test the latest image, in an instance of its own."""
    from dockyard.cli.making import builder_for, latest_id, tested_id

    builder = builder_for(yard, yard.named(name))
    image = latest_id(builder)
    return Result([f"{name}: {image[:12]} {'passed' if tested_id(builder, image) else 'was not tested'}"])


@verb("upgrade", "u", on=On.SERVICE)
def upgrade(yard: Yard, name: str) -> Result:
    """Build, test, promote; replace the container if it is up or starts by itself. Stops at the first failure.

    Until all tests have passed nothing of production changes. If the new container does not stay up, the old one is put
    back, and `live` and `prev` are again what they were.
    """
    from dockyard.cli.making import builder_for, tested_id
    from dockyard.host import host_facts
    from dockyard.plan.waves import starts_here

    builder = builder_for(yard, yard.named(name))
    image = builder.build().id
    tested = tested_id(builder, image)
    return _switched(
        yard, builder, lambda: builder.promote(tested or image), launch=starts_here(builder.settings, host_facts().name)
    )


@verb("rollback", on=On.SERVICE)
def rollback(yard: Yard, name: str) -> Result:
    """Put the previous image back, and a container of it in production's place if production is up."""
    from dockyard.cli.making import builder_for

    builder = builder_for(yard, yard.named(name))
    return _switched(yard, builder, builder.rollback, launch=False)


def _switched(yard: Yard, builder: "Builder", move_tags: "Callable[[], Promotion]", *, launch: bool) -> Result:
    """Move the tags, replace the container that is up (or `launch` one); if that fails, move the tags back."""
    from dockyard import replace
    from dockyard.cli.making import promoted
    from dockyard.cli.output import say
    from dockyard.lock import held
    from dockyard.plan.launch import container_name

    with held(yard.engine, container_name(builder.settings)):
        before = builder.tags()
        try:
            promotion = move_tags()
            result = promoted(builder, promotion)
            running = replace.production(yard, builder.service)
            if launch or (running and running.is_up):
                say(result.lines[0])
                plan = replace.replace(yard, builder.service, image=promotion.live)
                result = launched(plan)
        except BaseException:
            builder.restore(before)
            raise
        builder.publish()
        return result
