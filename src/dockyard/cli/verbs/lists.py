"""Verbs that list services, containers and images."""

import re
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from dockyard.cli.command import argument, flag
from dockyard.cli.output import Result, say, table
from dockyard.cli.verb import verb
from dockyard.errors import DockyardError, SettingsError
from dockyard.service import Service, select
from dockyard.yard import Yard

if TYPE_CHECKING:
    from dockyard.engine import models
    from dockyard.settings.resolve import Settings

Row = dict[str, Any]


_ID = re.compile("[0-9a-f]{40,}")


def _row(found: "models.Row") -> Row:
    return {
        "name": found.name,
        "service": found.service,
        "mode": found.mode,
        "status": found.health or found.state,
        "uptime": found.uptime,
        "image": found.image[:12] if _ID.fullmatch(found.image) else found.image,
        "ports": [f"{host}->{port}" for port, host in found.ports.items()],
        "id": found.id[:12],
    }


def tell_notices(yard: Yard) -> dict[str, str]:
    """Report which services are not upgraded automatically, and return the reasons by service."""
    from dockyard.holds import notices

    names = {service.name for service in yard.services}
    found = {name: note for name, note in notices().items() if name in names}
    for name, note in found.items():
        say(f"note: {name} is not upgraded: {note}")
    return found


@verb(
    "list-up",
    "ls",
    "l",
    "ps",
    "p",
    report=True,
    options=(
        flag("--pending", help="also list the settings and secrets that a restart would change; runs secret_command"),
    ),
)
def list_up(yard: Yard, *, pending: bool) -> Result:
    """List the running containers with their services, and orphans; `d ips` lists their addresses."""
    from dockyard.orphans import list_orphans

    orphans = list_orphans(yard)
    names = {orphan.name for orphan in orphans}
    notes = tell_notices(yard)
    rows = [
        {**_row(row), "orphan": row.name in names, "note": notes.get(row.service, "")} for row in yard.rows if row.is_up
    ]
    for orphan in orphans:
        say(f"warning: {orphan}\n  hint: {orphan.hint}")
    columns = ("name", "service", "mode", "status", "uptime", "image", "ports")
    if not pending:
        return table(rows, columns)
    return table([{**row, "pending": _pending(yard, row)} for row in rows], (*columns, "pending"))


def _pending(yard: Yard, row: Row) -> str:
    """Return what a restart would change in a production container; empty for any other container."""
    from dockyard.contents import stale_files
    from dockyard.replace import pending_changes, planned, production

    service = next((one for one in yard.services if one.name == row["service"]), None)
    try:
        here = production(yard, service) if service else None
        if not service or not here or here.name != row["name"]:
            return ""
        launch = planned(yard, service)
        return "; ".join((*pending_changes(service, here, launch), *stale_files(launch.steps)))
    except DockyardError as error:
        return f"not known: {error}"


@verb("list-up-names", "lun", report=True)
def list_up_names(yard: Yard) -> Result:
    """List the names of the running containers."""
    names = [row.name for row in yard.rows if row.is_up]
    return Result(names, names)


def _loaded(yard: Yard) -> tuple[dict[str, "Settings"], int]:
    """Return the settings of all services; errors in some are reported, and set the exit code."""
    found, problems = yard.load_all()
    if not problems:
        return found, 0
    error = SettingsError(problems)
    for line in error.lines():
        say(line)
    return found, error.exit_code


@verb("list-all", "lA", report=True)
def list_all(yard: Yard) -> Result:
    """List all services, and whether each is up."""
    settings, exit_code = _loaded(yard)
    up = {row.name for row in yard.rows if row.is_up}
    rows = [_service_row(service, settings.get(service.name), up) for service in yard.services]
    columns = ("service", "up", "wave", "build", "test", "directory")
    return table(rows, columns)._replace(exit_code=exit_code)


def _service_row(service: Service, settings: "Settings | None", up: set[str]) -> Row:
    from dockyard.plan.launch import container_name
    from dockyard.settings.keys import AUTOSTART

    container = container_name(settings) if settings else service.name
    wave = settings[AUTOSTART] if settings else None
    return {
        "service": service.name,
        "container": container,
        "up": "up" if container in up else "",
        "wave": wave.number if wave else None,
        "build": "build" if service.is_buildable else "",
        "test": "test" if service.is_testable else "",
        "directory": str(service.directory),
    }


@verb("list-all-settings", "las", report=True, settles=False)
def list_all_settings(yard: Yard) -> Result:
    """List the settings of each service that differ from the default, with their source."""
    from dockyard.cli.explain import explained

    settings, exit_code = _loaded(yard)
    rows = [
        {"service": name, **row}
        for name, values in settings.items()
        for row in explained(values)
        if row["source"] != "default"
    ]
    return table(rows, ("service", "key", "value", "source"))._replace(exit_code=exit_code)


def _autostarting(yard: Yard) -> tuple[list[Row], int]:
    from dockyard.host import host_facts
    from dockyard.plan.waves import autostarting

    settings, exit_code = _loaded(yard)
    return [{"wave": wave, "service": name} for wave, name in autostarting(settings, host_facts().name)], exit_code


@verb("list-autostart", "la", report=True, settles=False)
def list_autostart(yard: Yard) -> Result:
    """List the autostart services of this host, with their waves."""
    rows, exit_code = _autostarting(yard)
    return table(rows, ("wave", "service"))._replace(exit_code=exit_code)


@verb("list-autostart-waves", "law", report=True, settles=False)
def list_autostart_waves(yard: Yard) -> Result:
    """List the autostart waves of this host in order, each with its services."""
    rows, exit_code = _autostarting(yard)
    waves: dict[int, list[str]] = {}
    for row in rows:
        waves.setdefault(row["wave"], []).append(row["service"])
    listed = [{"wave": wave, "services": names} for wave, names in waves.items()]
    return table(listed, ("wave", "services"))._replace(exit_code=exit_code)


@verb("autostart-wave", "aw", report=True, settles=False, options=(argument("wave", type=int),))
def autostart_wave(yard: Yard, wave: int) -> Result:
    """List the services of one autostart wave."""
    rows, exit_code = _autostarting(yard)
    names = [row["service"] for row in rows if row["wave"] == wave]
    return Result(names, names, exit_code)


def _names(services: Iterable[Service], wanted: Callable[[Service], bool]) -> Result:
    names = [service.name for service in services if wanted(service)]
    return Result(names, names)


@verb("list-buildable", "lb", report=True, settles=False)
def list_buildable(yard: Yard) -> Result:
    """List the services that can be built."""
    return _names(yard.services, lambda service: service.is_buildable)


@verb("list-testable", "lt", report=True, settles=False)
def list_testable(yard: Yard) -> Result:
    """List the services that have a Test."""
    return _names(yard.services, lambda service: service.is_testable)


@verb("ips", report=True)
def ips(yard: Yard) -> Result:
    """List the addresses of the running containers."""
    rows = [
        {"name": container.name, "network": network, "ip": address}
        for container in yard.engine.containers(row.id for row in yard.rows if row.is_up)
        for network, address in container.addresses.items()
    ]
    return table(rows, ("name", "ip", "network"))


@verb("images", "i", report=True, options=(argument("x", nargs="?", default=""),))
def images(yard: Yard, x: str) -> Result:
    """List the images of all services, or of service X."""
    names = {service.name for service in yard.services}
    wanted = {select(x, names)} if x else names
    rows = [row for row in yard.engine.image_list() if row["repository"].rpartition("/")[2] in wanted]
    return table(rows, ("repository", "tag", "id", "size", "created"))
