"""Starting and stopping one container."""

from dockyard.cli.output import Result, launched
from dockyard.cli.verb import On, verb
from dockyard.errors import DockyardError
from dockyard.yard import Yard


@verb("up", "start", "1", on=On.SERVICE)
def up(yard: Yard, name: str) -> Result:
    """Start production."""
    from dockyard import replace
    from dockyard.lock import held
    from dockyard.plan.launch import container_name

    service = yard.named(name)
    with held(yard.engine, container_name(yard.load(service))):
        there = replace.production(yard, service)
        if there and there.is_up:
            return Result([f"{there.name} is up already"])
        return launched(replace.up(yard, service))


@verb("down", "stop", "0", on=On.RUNNING)
def down(yard: Yard, name: str) -> Result:
    """Stop a container; the test data of an instance that is gone with that goes too."""
    from dockyard.launch import remove_area_of

    containers = yard.engine.containers([name])
    yard.engine.call("stop", name)
    for container in containers:
        remove_area_of(yard, container)
    return Result([f"{name} is down"])


@verb("restart", "01", "R", on=On.EITHER)
def restart(yard: Yard, name: str) -> Result:
    """Put a new container in the old one's place, from the live image and the settings as they are now.

    A container that belongs to no service is stopped and started as it is.
    """
    from dockyard import replace
    from dockyard.lock import held
    from dockyard.plan.launch import container_name

    if name in {service.name for service in yard.services}:
        service = yard.named(name)
        with held(yard.engine, container_name(yard.load(service))):
            return launched(replace.replace(yard, service))
    container = next(iter(yard.engine.containers([name])), None)
    if container and container.is_under_test:
        # It may have left links in its test area, which the engine would follow at the start.
        hint = f"d down {name}, then launch it anew: d-run -{'D' if container.mode == 'dev' else 'DT'}"
        raise DockyardError(f"`{name}` is an instance under test, which starts once", hint)
    owner = container.service if container else ""
    yard.engine.call("restart", name)
    return Result([f"{name} is up again, as it was{'' if owner else '; it belongs to no service'}"])


@verb("hup", "H", "r", on=On.RUNNING)
def hup(yard: Yard, name: str) -> Result:
    """Send SIGHUP to process 1."""
    yard.engine.call("kill", "--signal", "HUP", name)
    return Result([f"{name}: SIGHUP sent"])
