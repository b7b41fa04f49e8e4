"""Verbs that start and stop one container."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dockyard.cli.command import flag
from dockyard.cli.output import Result, announce, launched, say
from dockyard.cli.verb import On, verb
from dockyard.errors import DockyardError
from dockyard.yard import Yard

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from dockyard.engine.models import Container
    from dockyard.service import Service


@contextmanager
def settled(yard: Yard, service: "Service") -> Iterator[None]:
    """Hold the lock of a service's production container for the block; an interrupted switch is recovered first."""
    from dockyard import recovery
    from dockyard.lock import held
    from dockyard.plan.launch import container_name

    name = container_name(yard.load(service))
    with held(yard.engine, name, yard.wait):
        recovery.settle(yard.engine, name, say)
        yield


@verb("up", "start", "1", on=On.SERVICE, locks=True)
def up(yard: Yard, name: str) -> Result:
    """Start the production container."""
    from dockyard import replace

    service = yard.named(name)
    with settled(yard, service):
        there = replace.production(yard, service)
        if there and there.is_up:
            return Result([f"{there.name} is up already"])
        return launched(replace.up(yard, service))


@verb("down", "stop", "0", on=On.RUNNING, locks=True)
def down(yard: Yard, name: str) -> Result:
    """Stop a container; this also removes a test instance's data."""
    from dockyard.launch import remove_area_of
    from dockyard.lock import held
    from dockyard.plan.switch import base_name
    from dockyard.stopping import kill_notes, seconds_to_end

    container = next(iter(yard.engine.containers([name])), None)
    if container and container.is_under_test:  # its own Test holds the lock, and is to end with it
        yard.engine.call("stop", name)
        remove_area_of(yard, container)
        return Result([f"{name} is down"])
    with held(yard.engine, base_name(name), yard.wait), _looked_at(yard, container):
        asked = time.time()
        yard.engine.call("stop", name)
        ended = next(iter(yard.engine.containers([name])), None)
    killed = bool(ended and ended.was_killed)
    _record(container, "stop", killed=killed)
    notes = kill_notes(name, seconds_to_end(ended, asked)) if ended and killed else ()
    return Result([f"{name} is down", *notes])


@verb(
    "restart",
    "01",
    "R",
    on=On.EITHER,
    locks=True,
    options=(flag("-n", "--dry-run", help="show the commands, in order, and change nothing"),),
)
def restart(yard: Yard, name: str, *, dry_run: bool) -> Result:
    """Recreate the container from the live image and the current settings.

    If the new container does not stay up and become healthy, the restart is rolled back to the old one. A container
    that belongs to no service is stopped and started unchanged.
    """
    from dockyard.contents import stale_files
    from dockyard.replace import pending_changes, replacement

    if name in {service.name for service in yard.services}:
        service = yard.named(name)
        if dry_run:
            plan = replacement(yard, service, "restart", say).plan
            changes = pending_changes(service, plan.old, plan.launch) if plan.old and plan.old.is_up else []
            changes += stale_files(plan.steps)
            lines = [step.shell(yard.engine.program) for step in plan.steps]
            return Result([*(f"# {name}: {change}" for change in changes), *lines])
        with settled(yard, service):
            pending = replacement(yard, service, "restart", say)
            announce(pending.plan.launch)
            switched = pending.carry_out()
        launch = pending.plan.launch
        line = f"{launch.name} is up, from {launch.image}, {launch.image_id[:12]}, {switched}"
        return Result([line, *switched.notes])
    if dry_run:
        return Result([f"{yard.engine.program} restart {name}"])
    return _restarted(yard, name)


def _restarted(yard: Yard, name: str) -> Result:
    from dockyard.lock import held
    from dockyard.plan.switch import base_name

    container = next(iter(yard.engine.containers([name])), None)
    if container and container.is_under_test:
        # It may have left links in its test area, which the engine would follow at the start.
        hint = f"stop it with `d down {name}`, then launch a new one: d-run -{'D' if container.mode == 'dev' else 'DT'}"
        raise DockyardError(f"`{name}` is a test instance, which cannot be restarted", hint)
    with held(yard.engine, base_name(name), yard.wait), _looked_at(yard, container):
        yard.engine.call("restart", name)
    _record(container, "restart")
    owner = container.service if container else ""
    return Result([f"{name} is up again, unchanged{'' if owner else '; it belongs to no service'}"])


def _looked_at(yard: Yard, container: "Container | None") -> "AbstractContextManager[None]":
    """Inspect the changes of a container while it stops; an engine that does not answer delays this only once."""
    from contextlib import nullcontext

    from dockyard.scan.capture import looked_at

    return looked_at(yard.engine, [container.name]) if container and container.is_up else nullcontext()


def _record(container: "Container | None", action: str, *, killed: bool = False) -> None:
    from dockyard import history

    if container and container.service:
        detail = {"killed": True} if killed else {}
        history.record(container.service, action, "ok", image=container.image_id, **detail)


@verb("hup", "H", "r", on=On.RUNNING)
def hup(yard: Yard, name: str) -> Result:
    """Send SIGHUP to process 1."""
    yard.engine.call("kill", "--signal", "HUP", name)
    return Result([f"{name}: SIGHUP sent"])
