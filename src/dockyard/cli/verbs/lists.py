"""Lists: what is up, what there is."""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from dockyard.cli.command import argument
from dockyard.cli.output import Result, table
from dockyard.cli.verb import verb
from dockyard.service import Service, select
from dockyard.yard import Yard

if TYPE_CHECKING:
    from dockyard.engine.models import Container

Row = dict[str, Any]


def _row(container: "Container") -> Row:
    return {
        "name": container.name,
        "service": container.service,
        "mode": container.mode,
        "status": container.health or container.status,
        "image": container.image,
        "ip": next(iter(container.addresses.values()), ""),
        "ports": [f"{host}->{port}" for port, host in container.ports.items()],
        "started": container.started[:19].replace("T", " "),
        "id": container.id[:12],
    }


@verb("list-up", "ls", "l", "ps", "p", report=True)
def list_up(yard: Yard) -> Result:
    """List the running containers; those that belong to no service have none named."""
    rows = [_row(container) for container in yard.engine.all_containers()]
    return table(rows, ("name", "service", "mode", "status", "image", "ip", "ports", "started"))


@verb("list-up-names", "lun", report=True)
def list_up_names(yard: Yard) -> Result:
    """List the names of the running containers."""
    names = [name for _, name in yard.engine.running()]
    return Result(names, names)


@verb("list-all", "lA", report=True)
def list_all(yard: Yard) -> Result:
    """List all services, and which of them are up."""
    up = {name for _, name in yard.engine.running()}
    rows = [_service_row(yard, service, up) for service in yard.services]
    return table(rows, ("service", "up", "wave", "build", "test", "directory"))


def _service_row(yard: Yard, service: Service, up: set[str]) -> Row:
    from dockyard.settings.keys import AUTOSTART, NAME

    settings = yard.load(service)
    wave = settings[AUTOSTART]
    return {
        "service": service.name,
        "container": settings[NAME],
        "up": "up" if settings[NAME] in up else "",
        "wave": wave.number if wave else None,
        "build": "build" if service.is_buildable else "",
        "test": "test" if service.is_testable else "",
        "directory": str(service.directory),
    }


@verb("list-all-settings", "las", report=True)
def list_all_settings(yard: Yard) -> Result:
    """List what each service sets: every key that is not at its default, with its source."""
    from dockyard.cli.explain import explained

    rows = [
        {"service": service.name, **row}
        for service in yard.services
        for row in explained(yard.load(service))
        if row["source"] != "default"
    ]
    return table(rows, ("service", "key", "value", "source"))


def _autostarting(yard: Yard) -> list[Row]:
    from dockyard.waves import autostarting

    return [{"wave": wave, "service": name} for wave, name in autostarting(yard)]


@verb("list-autostart", "la", report=True)
def list_autostart(yard: Yard) -> Result:
    """List the services that start by themselves on this host, with their waves."""
    return table(_autostarting(yard), ("wave", "service"))


@verb("list-autostart-waves", "law", report=True)
def list_autostart_waves(yard: Yard) -> Result:
    """List the waves of this host in order, each with its services."""
    waves: dict[int, list[str]] = {}
    for row in _autostarting(yard):
        waves.setdefault(row["wave"], []).append(row["service"])
    return table([{"wave": wave, "services": names} for wave, names in waves.items()], ("wave", "services"))


@verb("autostart-wave", "aw", report=True, options=(argument("wave", type=int),))
def autostart_wave(yard: Yard, wave: int) -> Result:
    """List the services of one wave."""
    names = [row["service"] for row in _autostarting(yard) if row["wave"] == wave]
    return Result(names, names)


def _names(services: Iterable[Service], wanted: Callable[[Service], bool]) -> Result:
    names = [service.name for service in services if wanted(service)]
    return Result(names, names)


@verb("list-buildable", "lb", report=True)
def list_buildable(yard: Yard) -> Result:
    """List the services that can be built."""
    return _names(yard.services, lambda service: service.is_buildable)


@verb("list-testable", "lt", report=True)
def list_testable(yard: Yard) -> Result:
    """List the services that have a Test."""
    return _names(yard.services, lambda service: service.is_testable)


@verb("ips", report=True)
def ips(yard: Yard) -> Result:
    """List the addresses of the running containers."""
    rows = [
        {"name": container.name, "network": network, "ip": address}
        for container in yard.engine.all_containers()
        for network, address in container.addresses.items()
    ]
    return table(rows, ("name", "ip", "network"))


@verb("images", "i", report=True, options=(argument("x", nargs="?", default=""),))
def images(yard: Yard, x: str) -> Result:
    """List the images of all services, or of the one whose name begins with X."""
    names = {service.name for service in yard.services}
    wanted = {select(x, names)} if x else names
    rows = [row for row in yard.engine.image_list() if row["repository"].rpartition("/")[2] in wanted]
    return table(rows, ("repository", "tag", "id", "size", "created"))
