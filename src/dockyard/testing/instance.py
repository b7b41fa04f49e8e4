"""The instance that a Test is about: launched for it and removed after it, or the one that runs in production."""

import os
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from dockyard import launch
from dockyard.cli.output import announce, say
from dockyard.engine.engine import Engine
from dockyard.errors import DockyardError
from dockyard.lock import held
from dockyard.plan.launch import LaunchOptions, LaunchPlan, container_name, may_replace
from dockyard.reaper import reaper, remove_run
from dockyard.service import Service
from dockyard.settings.keys import FOREGROUND, NAME, RM, TAG
from dockyard.settings.load import Flags
from dockyard.settings.values import Mode
from dockyard.testing.container import Container
from dockyard.watch import watch
from dockyard.yard import RUN, UNTIL_HEALTHY, Yard, image_under_test


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
        yield Container(yard.engine, container_name(yard.load(service, mode, flags=wanted.flags())))
        return
    # A Test may run the Test of another service, which must not end what this one launched.
    run = (image_under_test(service) and os.environ.get(RUN)) or secrets.token_hex(8)
    settings = yard.load(service, Mode.TEST, flags=wanted.flags())
    with held(yard.engine, container_name(settings)):
        _remove_leftover(yard.engine, container_name(settings), service.name)
        plan = launch.plan(yard, service, settings, LaunchOptions(directory=str(service.directory), run=run))
        announce(plan)
        with _launched(yard.engine, plan, wanted.out, run) as container:
            yield container


@contextmanager
def _launched(engine: Engine, plan: LaunchPlan, out: str, run: str) -> Iterator[Container]:
    """Launch, and remove what was launched, with its test data."""
    with reaper(engine, run) as nothing_is_left:
        launched = False
        try:
            launch.carry_out(engine, plan, say)
            launched = True
            yield _up(engine, plan)
            _wait_until_healthy(engine, plan)
        except Exception:
            launched = True  # an error, unlike an interrupt, does not cut a launch short
            raise
        finally:
            try:
                _keep_log(engine, out, run)
            finally:
                remove_run(engine, run)
                launch.remove_test_area(engine, plan)
                if launched:
                    nothing_is_left()


def _up(engine: Engine, plan: LaunchPlan) -> Container:
    if not engine.is_up(plan.name):
        hint = launch.last_words(engine, plan, lines=20)
        raise DockyardError(f"{plan.name}: ended as soon as it was launched", hint)
    return Container(engine, plan.name)


def _wait_until_healthy(engine: Engine, plan: LaunchPlan) -> None:
    """Raise DockyardError where an instance that is still up does not get healthy, if that counts."""
    if UNTIL_HEALTHY not in os.environ or not engine.is_up(plan.name):
        return
    problem = watch(engine, [plan.name], stay_up=0)[plan.name].problem
    if problem:
        raise DockyardError(f"{plan.name}: {problem}", launch.last_words(engine, plan, lines=20))


def _remove_leftover(engine: Engine, name: str, service: str) -> None:
    """Remove what an earlier test left under the name; anything else stays, and the plan refuses the name."""
    for container in engine.containers([name]):
        if may_replace(container, service, Mode.TEST):
            say(f"note: {name} was left over from an earlier test: removed")
            engine.remove(container.id, with_volumes=True)


def _keep_log(engine: Engine, out: str, run: str) -> None:
    """Write the log of a run's container where the user asked for it."""
    if not out:
        return
    from pathlib import Path

    from dockyard.engine.models import RUN_LABEL

    for container in engine.all_containers(f"label={RUN_LABEL}={run}", stopped=True):
        log = "\n".join([*engine.last_words(container.id, lines=10**6), ""])
        if out == "-":
            sys.stdout.buffer.write(log.encode("utf-8", "surrogateescape"))
        else:
            Path(out).write_text(log, encoding="utf-8", errors="surrogateescape")
