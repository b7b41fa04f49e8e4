"""Starting, stopping and restarting all services of a host, wave by wave."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard import history, launch
from dockyard.engine.models import NEXT
from dockyard.errors import DockyardError, SettingsError
from dockyard.fleet.crew import FAILED, OK, Crew, Done, Link, Task, Watcher, failure
from dockyard.host import host_facts
from dockyard.lock import held
from dockyard.masked_output import masked_output
from dockyard.plan.launch import LaunchOptions, container_name, questions
from dockyard.plan.switch import base_name
from dockyard.plan.waves import autostarting
from dockyard.stopping import kill_notes, seconds_to_end
from dockyard.watch import watch

if TYPE_CHECKING:
    from dockyard.engine.known import Known
    from dockyard.engine.models import Container, Row
    from dockyard.plan.launch import LaunchPlan
    from dockyard.settings.resolve import Settings
    from dockyard.yard import Yard

STAY_UP = 0.25  # seconds that the last containers of a wave are watched; the others have been up for longer by then


class How(NamedTuple):
    """How many at once, and how many seconds each has."""

    jobs: int
    timeout: float | None = None


def load(yard: "Yard", watcher: Watcher) -> "tuple[dict[str, Settings], list[Done]]":
    """Return the settings of all services by name, and those whose settings are wrong as failed."""
    found: dict[str, Settings] = {}
    failed: list[Done] = []
    for service in yard.services:
        try:
            found[service.name] = yard.load(service)
        except SettingsError as error:
            failed.append(_told(watcher, Done(service.name, **failure(error))))
    return found, failed


def _told(watcher: Watcher, done: Done) -> Done:
    watcher.done(done)
    return done


def skip_renamed(yard: "Yard", watcher: Watcher) -> dict[str, Done]:
    """Return the services that evidently are orphans under a new name, by name: they are not launched."""
    from dockyard.orphans import list_renamed, refuse_renamed

    refused = {name: refuse_renamed(name, orphan) for name, orphan in list_renamed(yard).items()}
    return {name: _told(watcher, Done(name, **failure(error))) for name, error in refused.items()}


def waves(settings: "Mapping[str, Settings]") -> list[tuple[int, list[str]]]:
    """Return the waves of this host in the order of starting, each with its services."""
    found: dict[int, list[str]] = {}
    for number, name in autostarting(settings, host_facts().name):
        found.setdefault(number, []).append(name)
    return list(found.items())


# ------------------------------------------------------------------------------------------------------------ up
def up_all(yard: "Yard", watcher: Watcher, how: How) -> list[Done]:
    """Launch what starts by itself on this host, wave by wave; the next when the last is up, healthy, or failed."""
    settings, finished = load(yard, watcher)
    held_back = skip_renamed(yard, watcher)
    finished += held_back.values()
    there = [(wave, [name for name in members if name not in held_back]) for wave, members in waves(settings)]
    running = {row.name for row in yard.rows if row.is_up}
    up = [name for _, members in there for name in members if container_name(settings[name]) in running]
    finished += [_told(watcher, Done(name, OK, data={"text": "up already"})) for name in up]
    knowing = yard.with_engine(
        _known(yard, settings, [name for _, members in there for name in members if name not in up])
    )
    if len(up) < sum(len(members) for _, members in there):
        yard.neighbours.list_now()
    for _, members in there:
        finished += _wave(yard, knowing, [name for name in members if name not in up], watcher, how)
    return finished


def _known(yard: "Yard", settings: "Mapping[str, Settings]", names: Iterable[str]) -> "Known":
    """Ask the engine once what the launches of many services need to know."""
    from dockyard.engine.known import Known

    host = host_facts().name
    asked = [
        questions(name, settings[name], LaunchOptions(str(yard.named(name).directory)), yard.engine.dialect, host)
        for name in names
    ]
    known = Known(
        yard.engine,
        (image for each in asked for image in each.images),
        (each.container for each in asked),
        (each.network for each in asked if each.network),
    )
    if any(each.ids for each in asked):
        _ = known.id_map  # asked here, for all processes to come
    return known


def _wave(yard: "Yard", knowing: "Yard", names: list[str], watcher: Watcher, how: How) -> list[Done]:
    """Launch the services of one wave, which `knowing` knows all about, and see how they do."""
    from dockyard.replace import planned

    plans: dict[str, LaunchPlan] = {}
    finished: list[Done] = []

    def tasks() -> Iterator[Task]:
        for name in names:
            try:
                plan = plans[name] = planned(knowing, yard.named(name), replacing=False)
            except DockyardError as error:
                finished.append(_told(watcher, Done(name, **failure(error))))
            else:
                yield Task(name, partial(_start, yard, plan))

    begun = Crew(_Starting(watcher), how.jobs, how.timeout).run(tasks())  # the first starts while the next is planned
    finished += _watched(yard, begun, plans, watcher, how)
    history.record_all(
        (done.name, "start", done.result, str(done.data.get("image", "")), {})
        for done in finished
        if done.is_ok or done.name not in plans  # the others are recorded with their failure reports
    )
    return finished


class _Starting:
    """Shows a started container as not yet done, since it is still being watched."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher
        self.doing = watcher.doing
        self.tick = watcher.tick

    def done(self, done: Done) -> None:
        """Report how it ended."""
        if done.is_ok:
            self.watcher.doing(done.name, "started")
        else:
            self.watcher.done(done)


def _start(yard: "Yard", plan: "LaunchPlan", link: Link) -> Mapping[str, Any]:
    from dockyard.replace import start

    with held(yard.engine, plan.name, yard.wait):
        link.doing("starting")
        start(yard, plan)
    return {"text": f"up, from {plan.image}, {plan.image_id[:12]}", "image": plan.image_id, "notes": list(plan.notes)}


def _watched(
    yard: "Yard", begun: list[Done], plans: "Mapping[str, LaunchPlan]", watcher: Watcher, how: How
) -> list[Done]:
    """Return the started services; those that did not stay up or become healthy count as failed."""
    from dockyard.replace import record_failed_start

    for done in begun:
        if not done.is_ok:
            record_failed_start(yard, plans[done.name], done.reason, done.hint, is_there=False)
    names = {done.name: plans[done.name].name for done in begun if done.is_ok}
    verdicts = watch(yard.engine, names.values(), stay_up=STAY_UP, patience=how.timeout)
    finished = [done for done in begun if not done.is_ok]
    for done in begun:
        problem = verdicts[names[done.name]].problem if done.is_ok else ""
        if problem:
            hint = launch.last_words(yard.engine, plans[done.name])
            record_failed_start(yard, plans[done.name], problem, hint)
            finished.append(_told(watcher, done._replace(result=FAILED, reason=problem, hint=hint)))
        elif done.is_ok:
            finished.append(_told(watcher, done))
    return finished


# ---------------------------------------------------------------------------------------------------------- down
def production_up(yard: "Yard") -> "dict[str, Row]":
    """Return the rows of the services' production that is up, by service; what is about to take its place is not."""
    names = {service.name for service in yard.services}
    rows = (row for row in yard.rows if row.is_up and row.service in names and not row.is_under_test)
    return {row.service: row for row in rows if not row.name.endswith(NEXT)}


def stopping_order(yard: "Yard") -> "list[dict[str, Row]]":
    """Return the services that are up, in groups by name: what does not start by itself, then the last wave first.

    One that makes way for another is stopped under the name that it, or the other one, has then: that is locked, too.
    """
    settings, _ = yard.load_all()
    up = {name: row._replace(name=base_name(row.name)) for name, row in production_up(yard).items()}
    in_waves = [[name for name in members if name in up] for _, members in reversed(waves(settings))]
    others = [name for name in up if not any(name in members for members in in_waves)]
    return [{name: up[name] for name in members} for members in (others, *in_waves) if members]


def down_all(yard: "Yard", watcher: Watcher, _how: How) -> list[Done]:
    """Stop the services that are up, group by group."""
    return [done for members in stopping_order(yard) for done in _stop(yard, list(members), members, watcher)]


def _stop(yard: "Yard", names: list[str], up: "Mapping[str, Row]", watcher: Watcher) -> list[Done]:
    """Stop the containers of a wave side by side."""
    from dockyard.scan.capture import looked_at

    finished: list[Done] = []
    with ExitStack() as locks:
        free = []
        for name in names:
            try:
                locks.enter_context(held(yard.engine, up[name].name, yard.wait))
                free.append(name)
                watcher.doing(name, "stopping")
            except DockyardError as error:
                finished.append(_told(watcher, Done(name, **failure(error))))
        if not free:
            return finished
        containers = {up[name].name: name for name in free}
        with looked_at(yard.engine, containers):
            began, asked = time.monotonic(), time.time()
            reasons = yard.engine.stop(containers)
            took = time.monotonic() - began
        ended = {one.name: one for one in yard.engine.containers(containers)}
        for container, name in containers.items():
            done = _stop_result(name, ended.get(container), asked, took)
            reason = reasons.get(container)
            finished.append(_told(watcher, done._replace(result=FAILED, reason=reason) if reason else done))
    history.record_all(
        (done.name, "stop", done.result, "", {"killed": True} if done.data.get("killed") else {}) for done in finished
    )
    return finished


def _stop_result(name: str, container: "Container | None", asked: float, took: float) -> Done:
    """Return the result of a stop; `took` is for a container that the engine has removed, which has no state."""
    seconds = seconds_to_end(container, asked) if container else took
    if not container or not container.was_killed:
        return Done(name, OK, data={"text": "down"}, took=took if seconds is None else seconds)
    text = "; ".join(("down", *kill_notes(name, seconds)))
    return Done(name, OK, data={"text": text, "killed": True}, took=seconds or took)


# ------------------------------------------------------------------------------------------------------- restart
def restart_order(yard: "Yard", settings: "Mapping[str, Settings]") -> list[list[str]]:
    """Return the services that are up, wave by wave; what does not start by itself comes last."""
    up = production_up(yard)
    in_waves = [[name for name in members if name in up] for _, members in waves(settings)]
    others = [name for name in up if name in settings and not any(name in members for members in in_waves)]
    return [members for members in (*in_waves, others) if members]


def restart_all(yard: "Yard", watcher: Watcher, how: How) -> list[Done]:
    """Replace the services that are up, wave by wave; each is rolled back if the new container does not stay up."""
    settings, finished = load(yard, watcher)
    crew = Crew(watcher, how.jobs, how.timeout)
    for members in restart_order(yard, settings):
        yard.neighbours.list_now()
        finished += crew.run(
            Task(name, lambda link, name=name: _restart(yard, name, link))  # type: ignore[misc]
            for name in members
        )
    return finished


def _restart(yard: "Yard", name: str, link: Link) -> Mapping[str, Any]:
    from dockyard import recovery
    from dockyard.replace import replacement

    service = yard.named(name)
    container = container_name(yard.load(service))
    with held(yard.engine, container, yard.wait):
        recovery.settle(yard.engine, container, link.doing)
        switched = replacement(yard, service, "restart", link.doing).carry_out()
    return {"text": "; ".join((str(switched), *switched.notes)), "outage_ms": switched.outage}


# -------------------------------------------------------------------------------------------------------- inside
def run_in_all(yard: "Yard", watcher: Watcher, how: How, command: list[str]) -> list[Done]:
    """Run a command as root in every service that is up."""
    up = production_up(yard)
    tasks = [
        Task(name, lambda _, row=row: _run(yard, row, command))  # type: ignore[misc]
        for name, row in up.items()
    ]
    return Crew(watcher, how.jobs, how.timeout).run(tasks)


def _run(yard: "Yard", row: "Row", command: list[str]) -> Mapping[str, Any]:
    yard.engine.containers([row.name])  # its secrets are known from now on
    with masked_output():
        code = yard.engine.attach("exec", "--user", "0", row.name, *command)
    if code:
        raise DockyardError(f"ended with exit code {code}")
    return {"text": "exit code 0"}
