"""Verbs that inspect one container."""

from typing import TYPE_CHECKING

from dockyard.cli.output import Result
from dockyard.cli.verb import On, verb
from dockyard.errors import WORK_FAILED, NoSuchNameError
from dockyard.yard import Yard

if TYPE_CHECKING:
    from dockyard.engine.models import Container


def _container(yard: Yard, name: str) -> "Container":
    found = yard.engine.containers([name])
    if not found:
        raise NoSuchNameError(f"container `{name}` no longer exists", hint="`d list-up` shows what is up")
    return found[0]


@verb("pid", on=On.RUNNING, report=True)
def pid(yard: Yard, name: str) -> Result:
    """Show the host's process id of the container's first process."""
    number = _container(yard, name).pid
    return Result([str(number)], {"name": name, "pid": number})


@verb("spec", "s", on=On.CONTAINER, report=True)
def spec(yard: Yard, name: str) -> Result:
    """Show the engine's inspect output of a container, with `***` instead of secrets."""
    import json

    from dockyard.dossier import masked

    answers = [masked(answer) for answer in yard.engine.inspect("container", name)]
    return Result(json.dumps(answers, indent=2).splitlines(), answers)


@verb("ip", on=On.RUNNING, report=True)
def ip(yard: Yard, name: str) -> Result:
    """Show a container's addresses, one per line."""
    addresses = _container(yard, name).addresses
    return Result(list(addresses.values()), {"name": name, "addresses": addresses})


@verb("veth", on=On.RUNNING, report=True)
def veth(yard: Yard, name: str) -> Result:
    """Show the host's ends of a container's network links, one per line."""
    from dockyard.host import links_of

    links = links_of(_container(yard, name).pid)
    if not links:
        raise NoSuchNameError(
            f"`{name}` has no network link to the host", hint="it uses another container's network, or none"
        )
    return Result([f"{outside} {inside}" for inside, outside in links.items()], {"name": name, "links": links})


@verb("cow-dir", "cow", on=On.CONTAINER, report=True)
def cow_dir(yard: Yard, name: str) -> Result:
    """Show the host directory of a container's copy-on-write layer."""
    from dockyard.layers.store import store_of

    layer = store_of(yard.engine).upper_of(_container(yard, name))
    if not layer:
        raise NoSuchNameError(
            f"the engine does not report the copy-on-write directory of `{name}`",
            hint=f"{yard.engine.program} diff {name}",
        )
    return Result([layer], {"name": name, "directory": layer})


@verb("is-up", "iu", on=On.EITHER, report=True)
def is_up(yard: Yard, name: str) -> Result:
    """Show whether a container is up: exit code 0 if it is, 1 if not."""
    from dockyard.plan.launch import container_name

    known = next((service for service in yard.services if service.name == name), None)
    container = container_name(yard.load(known)) if known else name
    up = yard.engine.is_up(container)
    data = {"name": container, "up": up}
    return Result([f"{container} is {'up' if up else 'not up'}"], data, 0 if up else WORK_FAILED)
