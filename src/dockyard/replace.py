"""A new container in the place of the one that is up; the old one comes back if the new one does not stay up."""

import time

from dockyard import launch
from dockyard.engine.engine import Engine
from dockyard.engine.models import Container
from dockyard.errors import DockyardError
from dockyard.plan.launch import LaunchOptions, LaunchPlan, container_name, may_replace
from dockyard.service import Service
from dockyard.settings.keys import FOREGROUND, IMAGE
from dockyard.settings.values import Mode
from dockyard.yard import Yard

SPARE = ".old"
"""What is appended to the name of the old container until the new one stays up."""

STAY_UP = 1.0  # seconds that a new container is watched
PAUSE = 0.1


def up(yard: Yard, service: Service) -> LaunchPlan:
    """Launch production, which is not up. Raises DockyardError."""
    plan = _plan(yard, service, replacing=False)
    launch.carry_out(yard.engine, plan)
    return plan


def production(yard: Yard, service: Service) -> Container | None:
    """Return the container of a service's production, up or stopped, or None."""
    name = container_name(yard.load(service))
    return next(iter(yard.engine.containers([name])), None)


def replace(yard: Yard, service: Service) -> LaunchPlan:
    """Put a new container in the place of the one that is up, or launch one where none is.

    What can be known beforehand is decided before the old one stops. Raises DockyardError where the new one cannot be
    launched or does not stay up; the old one is then back.
    """
    old = production(yard, service)
    if not old or not old.is_up:
        return up(yard, service)
    if not may_replace(old, service.name, Mode.PROD):
        raise DockyardError(f"container `{old.name}` belongs to service `{old.service}`, {old.mode}", "stop it first")
    plan = _plan(yard, service, replacing=True)
    spare = f"{old.name}{SPARE}"
    if yard.engine.containers([spare]):
        hint = f"look at it, then remove it: {yard.engine.program} rm {spare}"
        raise DockyardError(f"container `{spare}` is left from an upgrade that did not end", hint)
    yard.engine.call("rename", old.id, spare)
    try:
        yard.engine.call("stop", old.id)
        launch.carry_out(yard.engine, plan)
        _watch(yard.engine, plan.name)
    except BaseException:
        _bring_back(yard, service, old)
        raise
    yard.engine.remove(old.id)
    return plan


def _plan(yard: Yard, service: Service, *, replacing: bool, image: str = "") -> LaunchPlan:
    flags: dict[str, str | bool | tuple[str, ...]] = {FOREGROUND.name: False}
    if image:
        flags[IMAGE.name] = f"sha256:{image}"
    settings = yard.load(service, flags=flags)
    options = LaunchOptions(directory=str(service.directory))
    return launch.plan(yard.engine, service, settings, options, replacing=replacing)


def _watch(engine: Engine, name: str) -> None:
    """Return once a container has stayed up for a while; raises DockyardError with its last words."""
    deadline = time.monotonic() + STAY_UP
    while time.monotonic() < deadline:
        found = engine.containers([name])
        if not found or found[0].status != "running":
            status = found[0].status if found else "gone"
            log = engine.logs(name).strip().splitlines()[-10:] if found else []
            raise DockyardError(f"{name}: the new container did not stay up ({status})", "\n".join(["its log:", *log]))
        time.sleep(PAUSE)


def _bring_back(yard: Yard, service: Service, old: Container) -> None:
    """Remove the new container, if there is one, and have the old one up again under its name."""
    for new in yard.engine.containers([old.name]):
        if new.id != old.id:
            yard.engine.remove(new.id)
    if yard.engine.containers([old.id]):
        yard.engine.call("rename", old.id, old.name)
        yard.engine.call("start", old.id)
    else:  # it was launched with --rm, so that stopping it removed it
        launch.carry_out(yard.engine, _plan(yard, service, replacing=False, image=old.image_id))
