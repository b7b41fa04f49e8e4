"""A new container in the place of the one that is up; the old one comes back if the new one does not stay up."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dockyard import launch
from dockyard.engine.engine import Engine
from dockyard.engine.models import Container
from dockyard.errors import DockyardError, EngineError
from dockyard.plan.launch import LaunchOptions, LaunchPlan, container_name
from dockyard.service import Service
from dockyard.settings.keys import FOREGROUND, IMAGE
from dockyard.settings.values import Mode
from dockyard.yard import Yard

SPARE = ".old"
"""What is appended to the name of the old container until the new one stays up."""

STAY_UP = 1.0  # seconds that a new container is watched
PAUSE = 0.1
TRIES = 20  # a launch that was cut short may still bring a container, for two seconds


def production(yard: Yard, service: Service) -> Container | None:
    """Return the container of a service's production, up or stopped, or None."""
    name = container_name(yard.load(service))
    return next(iter(yard.engine.containers([name])), None)


def up(yard: Yard, service: Service, *, image: str = "") -> LaunchPlan:
    """Launch production, which is not up; `image` is the id that it has to be, where one was promoted.

    Raises DockyardError where it cannot be launched or does not stay up.
    """
    plan = _plan(yard, service, replacing=False)
    _check_image(plan, image)
    launch.carry_out(yard.engine, plan)
    _watch(yard.engine, plan)
    return plan


def replace(yard: Yard, service: Service, *, image: str = "") -> LaunchPlan:
    """Put a new container in the place of the one that is up, or launch one where none is; `image` as in `up`.

    What can be known beforehand is decided before the old one stops. Raises DockyardError where the new one cannot be
    launched or does not stay up; the old one is then back.
    """
    old = production(yard, service)
    if not old or not old.is_up:
        return up(yard, service, image=image)
    if old.service != service.name or old.mode not in {Mode.PROD.value, Mode.IN_PLACE.value}:
        whose = f"to service `{old.service}`, {old.mode}" if old.service else "to no service"
        hint = f"{yard.engine.program} stop {old.name}, or give one of the two another name"
        raise DockyardError(f"container `{old.name}` is up and belongs {whose}", hint)
    plan = _plan(yard, service, replacing=True)
    _check_image(plan, image)
    spare = f"{old.name}{SPARE}"
    if yard.engine.containers([spare]):
        hint = f"look at it, then remove it: {yard.engine.program} rm {spare}"
        raise DockyardError(f"container `{spare}` is left from an upgrade that did not end", hint)
    try:
        yard.engine.call("rename", old.id, spare)
        yard.engine.call("stop", old.id)
        launch.carry_out(yard.engine, plan)
        _watch(yard.engine, plan)
    except BaseException:
        with _undisturbed():
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
    return launch.plan(yard, service, settings, options, replacing=replacing)


def _check_image(plan: LaunchPlan, image: str) -> None:
    """Raise DockyardError where the settings would launch something else than what was promoted."""
    if image and plan.image_id != image:
        raise DockyardError(
            f"{plan.name} would be launched from {plan.image}, {plan.image_id[:12]}; promoted was {image[:12]}",
            hint="`image`, `tag`, `repo1` and `build_repo` have to name what d-build builds",
        )


def _watch(engine: Engine, plan: LaunchPlan) -> None:
    """Return once a container has stayed up for a while; raises DockyardError with its last words."""
    name = plan.name
    deadline = time.monotonic() + STAY_UP
    while time.monotonic() < deadline:
        found = engine.containers([name])
        if not found or found[0].status != "running":
            status = found[0].status if found else "gone"
            hint = "\n".join([*plan.advice, "its log:", *engine.last_words(name)])
            raise DockyardError(f"{name}: the new container did not stay up ({status})", hint)
        time.sleep(PAUSE)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put signals off for the block, and for the children that it starts: half undone is worse than late."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _bring_back(yard: Yard, service: Service, old: Container) -> None:
    """Remove the new container, if there is one, and have the old one up again under its name."""
    for _ in range(TRIES):
        for new in yard.engine.containers([old.name]):
            if new.id != old.id:
                yard.engine.remove(new.id)
        try:
            _restore(yard, service, old)
        except EngineError:
            time.sleep(PAUSE)  # the name was taken just now, by the launch that was cut short
        else:
            return
    raise DockyardError(
        f"`{old.name}` could not be put back: container {old.id[:12]} is the old one",
        hint=f"{yard.engine.program} rename {old.id[:12]} {old.name} && {yard.engine.program} start {old.name}",
    )


def _restore(yard: Yard, service: Service, old: Container) -> None:
    found = yard.engine.containers([old.id])
    if not found:  # it was launched with --rm, so that stopping it removed it
        launch.carry_out(yard.engine, _plan(yard, service, replacing=True, image=old.image_id))
        return
    if found[0].name != old.name:
        yard.engine.call("rename", old.id, old.name)
        yard.engine.call("stop", old.id)  # waits for a stop that was under way, so that the start comes after it
    yard.engine.call("start", old.id)
