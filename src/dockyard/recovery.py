"""Putting in order what a switch left that was cut short: by SIGKILL, by a power cut, by the end of the engine."""

import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from dockyard import lock
from dockyard.engine.models import SUFFIXES
from dockyard.errors import DockyardError, EngineError, EngineUnreachableError, LockedError
from dockyard.plan.switch import Gone, KeepChanges, base_name, plan_recovery
from dockyard.plan.values import Command
from dockyard.telling import warn

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine
    from dockyard.engine.models import Container
    from dockyard.keeping import Kept
    from dockyard.plan.switch import SwitchStep
    from dockyard.yard import Yard

PAUSE = 0.1
TRIES = 30  # what a killed run asked for may still happen, for three seconds

Tell = Callable[[str], None]


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put signals off for the block, and for the children that it starts: half undone is worse than late."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, signal.SIG_IGN) for number in signals}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def settle_all(yard: "Yard", tell: Tell) -> None:
    """Put every switch in order that was cut short; one that is under way, under its lock, is left alone."""
    left = {base_name(row.name) for row in yard.rows if row.is_left}
    for name in sorted(left | set(lock.lingering(yard.engine))):
        try:
            with lock.held(yard.engine, name):
                settle(yard.engine, name, tell)
        except LockedError:
            continue
        finally:
            yard.forget_rows()


def settle(engine: "Engine", name: str, tell: Tell) -> None:
    """Finish or undo what was cut short for a container, whose lock is held; raises DockyardError where it cannot."""
    verdict = restore(engine, name)
    if verdict:
        _record(engine, name, verdict, tell)


def restore(engine: "Engine", name: str, between: Callable[[], None] | None = None) -> str:
    """Recover an interrupted switch, as its containers' names require; returns the verdict, empty if there was none.

    `between` is called when the container is up, before leftovers are removed. Raises EngineError.
    """
    for attempt in range(TRIES):
        containers = _containers(engine, name)
        recovery = plan_recovery(name, containers, engine.dialect)
        if not recovery.verdict:
            return ""
        try:
            engine.end_strays(containers.values())
            with _starting(engine, containers, recovery.first):
                for step in recovery.first:
                    perform(engine, step)
            if between:
                once, between = between, None
                once()
            for step in recovery.then:
                perform(engine, step)
        except EngineError:
            if attempt + 1 == TRIES:
                raise
            time.sleep(PAUSE)
        else:
            return recovery.verdict
    raise AssertionError  # the last attempt raises or returns


@contextmanager
def _starting(engine: "Engine", containers: Mapping[str, "Container"], steps: Iterable["SwitchStep"]) -> Iterator[None]:
    """Have other launches see the containers that some steps start. Raises InUseError if one must not be started."""
    from dockyard.writers import Neighbours

    down = [container for container in started(containers, steps) if not container.is_up]
    with ExitStack() as launches:
        for container in down:
            launches.enter_context(Neighbours(engine).starting(container, base_name(container.name)))
        yield


def started(containers: Mapping[str, "Container"], steps: Iterable["SwitchStep"]) -> "list[Container]":
    """Return the containers that some steps start, by what they are called when it is their turn."""
    named, found = dict(containers), []
    for step in steps:
        match step:
            case Command(("rename", before, after)):
                named[after] = named.pop(before)
            case Command(("start", name)):
                found.append(named[name])
            case _:
                continue
    return found


def perform(engine: "Engine", step: "SwitchStep") -> None:
    """Carry out one step that needs nothing but the engine. Raises DockyardError."""
    match step:
        case Command():
            engine.call(*step.argv)
        case KeepChanges():
            keep_changes(engine, step.name)
        case Gone():
            if not engine.is_gone(step.name):
                raise DockyardError(f"{step.name} was stopped, but the engine has not removed it")
        case _:
            raise AssertionError(step)


def keep_changes(engine: "Engine", name: str) -> "Kept | None":
    """Save the changes in a container's layer; a failure to save them is only reported."""
    from dockyard import dossier
    from dockyard.keeping import keep_changes

    container = next(iter(engine.containers([name])), None)
    if not container or not container.service:
        return None
    try:
        kept = keep_changes(engine, container, dossier.place(container.service))
    except EngineUnreachableError:
        raise
    except DockyardError as error:
        warn(f"{base_name(name)}: the changes in the old container could not be saved: {error}")
        return None
    for line in kept.lines(base_name(name)):
        warn(line)
    return kept


def _containers(engine: "Engine", name: str) -> "dict[str, Container]":
    """Return all containers with the names of a switch, by name."""
    names = [name, *(f"{name}{suffix}" for suffix in SUFFIXES)]
    return {one.name: one for one in engine.containers(names)}


def _record(engine: "Engine", name: str, verdict: str, tell: Tell) -> None:
    from dockyard import history

    up = next(iter(engine.containers([name])), None)
    image = up.image_id if up else ""
    history.record(up.service if up else name, "recover", verdict, image=image)
    tell(f"{name}: an interrupted switch was {verdict}; {f'{image[:12]} is up' if up else 'nothing is up'}")


def unsettled(name: str, error: DockyardError) -> DockyardError:
    """Return the error for a recovery that failed."""
    return DockyardError(
        f"{name}: the recovery of an interrupted switch failed: {error}",
        hint="run any `d` command to retry, such as `d list-up`",
    )
