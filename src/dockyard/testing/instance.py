"""The instance that a Test is about: launched for it and removed after it, or the one that runs in production."""

import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from dockyard import evidence, launch
from dockyard.cli.output import announce, say, warn
from dockyard.directives import EVIDENCE, RUN, UNTIL_HEALTHY, directive
from dockyard.engine.engine import Engine
from dockyard.errors import DockyardError, NoSuchNameError
from dockyard.lock import held
from dockyard.masking import known
from dockyard.plan.launch import LaunchOptions, LaunchPlan, container_name, may_replace
from dockyard.reaper import containers_of, reaper, remove_run
from dockyard.service import Service
from dockyard.settings.keys import FOREGROUND, NAME, RM, TAG
from dockyard.settings.load import Flags
from dockyard.settings.values import Mode
from dockyard.testing.container import Container
from dockyard.watch import watch
from dockyard.yard import Yard, image_under_test

LOG_LINES = 20  # lines of a log that may show what is missing


class Wanted(NamedTuple):
    """Which instance: `launched` for the test or there already, production's or a test's; its name and tag."""

    launched: bool = False
    production: bool = False
    name: str = ""
    tag: str = ""
    out: str = ""

    def flags(self) -> Flags:
        """Return what the user said, as flags. An instance that ends by itself stays, so that its log can be read."""
        given = {NAME.name: self.name, TAG.name: self.tag}
        return {FOREGROUND.name: False, RM.name: False, **{key: text for key, text in given.items() if text}}


@contextmanager
def instance(service: Service, wanted: Wanted) -> Iterator[Container]:
    """Yield the container to test. One that was launched for it is gone afterwards, whichever way the block ends."""
    yard = Yard()
    if not wanted.launched:
        mode = Mode.PROD if wanted.production else Mode.TEST
        with _explained(yard.engine, container_name(yard.load(service, mode, flags=wanted.flags()))) as container:
            yield container
        return
    # A Test may run the Test of another service, which must not end what this one launched.
    is_directed = bool(image_under_test(service))
    run = (is_directed and directive(RUN)) or secrets.token_hex(8)
    saved = directive(EVIDENCE) if is_directed else ""
    settings = yard.load(service, Mode.TEST, flags=wanted.flags())
    with held(yard.engine, container_name(settings)):
        _remove_leftover(yard.engine, container_name(settings), service.name)
        plan = launch.plan(yard, service, settings, LaunchOptions(directory=str(service.directory), run=run))
        announce(plan)
        with _launched(yard.engine, plan, wanted.out, run, saved) as container:
            yield container


@contextmanager
def _explained(engine: Engine, name: str) -> Iterator[Container]:
    """Yield a container that is up already; if the block fails, report how it is."""
    found = engine.containers([name])
    if not found or not found[0].is_up:
        raise NoSuchNameError(f"container `{name}` is not up", hint="launch it, or run the Test with -r")
    container = Container(engine, found[0])
    try:
        yield container
    except BaseException:
        report(container)
        raise


@contextmanager
def _launched(engine: Engine, plan: LaunchPlan, out: str, run: str, saved: str) -> Iterator[Container]:
    """Launch, and remove what was launched, with its test data; what explains a failure is saved in a directory."""
    with reaper(engine, run, saved) as nothing_is_left:
        launched = False
        try:
            launch.carry_out(engine, plan, say)
            launched = True
            yield _up(engine, plan)
            _wait_until_healthy(engine, plan)
        except BaseException as error:
            launched = launched or isinstance(error, Exception)  # an interrupt may cut a launch short
            _explain(engine, run, saved)
            for line in launch.advice(plan, engine.last_words(plan.name, LOG_LINES)):
                say(line)
            raise
        finally:
            try:
                _keep_log(engine, out, run)
            finally:
                remove_run(engine, run)
                launch.remove_test_area(engine, plan)
                if launched:
                    nothing_is_left()


def _explain(engine: Engine, run: str, directory: str) -> None:
    """Report how the instance is or ended, before it is removed, or save it for the program that runs the Test."""
    try:
        containers = [container.id for container in containers_of(engine, run)]
    except DockyardError as error:
        warn(f"it is not known how the instance ended: {error}")
        return
    if directory:
        evidence.save(engine, containers, directory)
    else:
        for line in evidence.lines(evidence.collect(engine, containers)):
            say(line)


def report(container: Container) -> None:
    """Report how a container is or ended, with the end of its log."""
    for line in container.explanation():
        say(line)


def _up(engine: Engine, plan: LaunchPlan) -> Container:
    found = engine.containers([plan.name])
    if not found or not found[0].is_up:
        raise DockyardError(f"{plan.name}: ended as soon as it was launched")
    return Container(engine, found[0])


def _wait_until_healthy(engine: Engine, plan: LaunchPlan) -> None:
    """Raise DockyardError if an instance that is still up does not become healthy, if it has a health check."""
    if not directive(UNTIL_HEALTHY) or not engine.is_up(plan.name):
        return
    problem = watch(engine, [plan.name], stay_up=0)[plan.name].problem
    if problem:
        raise DockyardError(f"{plan.name}: {problem}")


def _remove_leftover(engine: Engine, name: str, service: str) -> None:
    """Remove what an earlier test left under the name; anything else stays, and the plan refuses the name."""
    for container in engine.containers([name]):
        if may_replace(container, service, Mode.TEST):
            say(f"note: {name} was left over from an earlier test and is removed")
            engine.remove(container.id, with_volumes=True)


def _keep_log(engine: Engine, out: str, run: str) -> None:
    """Write the log of a run's container where the user asked for it."""
    if not out:
        return
    from pathlib import Path

    for container in containers_of(engine, run):
        log = known.hide("\n".join([*engine.last_words(container.id, lines=10**6), ""]))
        if out == "-":
            sys.stdout.buffer.write(log.encode("utf-8", "surrogateescape"))
        else:
            Path(out).write_text(log, encoding="utf-8", errors="surrogateescape")
