"""All services from their sources to production: first everything is built and tested, then it switches, in waves."""

from collections.abc import Iterable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from dockyard import history
from dockyard.build import builder_for, latest_id
from dockyard.errors import DockyardError
from dockyard.fleet.crew import FAILED, OK, PARKED, SKIPPED, TIMEOUT, Crew, Done, Link, Task, Watcher, failure
from dockyard.fleet.order import build_order
from dockyard.fleet.starting import How, load, skip_renamed, waves
from dockyard.lock import held
from dockyard.plan.launch import container_name
from dockyard.plan.switch import Tags
from dockyard.replace import Replacement
from dockyard.switch import put_back
from dockyard.text import listed
from dockyard.updates.applying import (
    TakenBackError,
    from_data,
    guard_update,
    prepare_with_updates,
    to_data,
    undo_update,
)
from dockyard.upgrade import (
    Report,
    Wanted,
    built,
    each,
    look,
    promote,
    switching,
    tested,
    upgraded,
    with_changes,
)

if TYPE_CHECKING:
    from dockyard.service import Service
    from dockyard.settings.resolve import Settings
    from dockyard.yard import Yard


# ----------------------------------------------------------------------------------------------------- build, test
def build_all(yard: "Yard", watcher: Watcher, how: How, wanted: Wanted) -> list[Done]:
    """Build what has changed, in the Dockerfiles' order; what fails stops only what is built from it."""

    def work(service: "Service", link: Link) -> Mapping[str, Any]:
        builder = builder_for(yard, service)
        link.doing("building")
        image = built(yard, builder, wanted).image
        return {"text": f"{builder.name.tagged('latest')} is {image[:12]}", "image": image}

    return _in_order(yard, watcher, how, work)


def test_all(yard: "Yard", watcher: Watcher, how: How, wanted: Wanted) -> list[Done]:
    """Test the latest image of every service that has a Test."""
    settings, finished = load(yard, watcher)

    def work(service: "Service", link: Link) -> Mapping[str, Any]:
        builder = builder_for(yard, service)
        image = latest_id(builder)
        link.doing(f"testing {image[:12]}")
        tested(builder, image, wanted)
        return {"text": f"{image[:12]} passed", "image": image}

    services = [service for service in yard.services if service.is_testable and service.name in settings]
    return [*finished, *Crew(watcher, how.jobs, how.timeout).run(_tasks(services, work))]


test_all.__test__ = False  # type: ignore[attr-defined]  # pytest: this is no test


def _tasks(services: "Iterable[Service]", work: Any) -> list[Task]:  # noqa: ANN401 - a function of service and link
    return [
        Task(service.name, lambda link, service=service: work(service, link))  # type: ignore[misc]
        for service in services
    ]


def _in_order(
    yard: "Yard",
    watcher: Watcher,
    how: How,
    work: Any,  # noqa: ANN401
    held_back: Mapping[str, Done] = MappingProxyType({}),
) -> list[Done]:
    """Do work on every service that can be built, in their order; one whose base failed is left out.

    `held_back` are services that are left out as well, and have been reported.
    """
    settings, finished = load(yard, watcher)
    settings = {name: loaded for name, loaded in settings.items() if name not in held_back}
    finished += held_back.values()
    groups, depends = build_order(yard, settings)
    failed = {done.name for done in finished}
    crew = Crew(watcher, how.jobs, how.timeout)
    for group in groups:
        wanting = {name: sorted(depends.get(name, frozenset()) & failed) for name in group}
        left_out = [
            Done(name, SKIPPED, f"it is built from {', '.join(bases)}, which failed")
            for name, bases in wanting.items()
            if bases
        ]
        for done in left_out:
            watcher.done(done)
        able = [yard.named(name) for name, bases in wanting.items() if not bases]
        worked = crew.run(_tasks(able, work))
        failed |= {done.name for done in (*left_out, *worked) if not done.is_ok}
        finished += [*left_out, *worked]
    return finished


# -------------------------------------------------------------------------------------------------------- upgrade
def upgrade_all(
    yard: "Yard", watcher: Watcher, how: How, wanted: Wanted, *, all_or_nothing: bool = False
) -> list[Done]:
    """Build and test everything, then switch wave by wave; what failed to build or test is left as it is.

    `all_or_nothing`: the first switch that fails takes all others back.
    """
    made = _in_order(
        yard,
        _Making(watcher),
        how,
        lambda service, link: _make(yard, service, wanted, link),
        {**_refused(yard, watcher), **skip_renamed(yard, watcher)},
    )
    ready = [done for done in made if done.data.get("state") == "ready"]
    finished = [done for done in made if done not in ready]
    settings, _ = yard.load_all()
    crew = Crew(watcher, how.jobs, how.timeout)
    names = {done.name: done for done in ready}
    failed = False
    for wave, members in _switch_order(settings, names):
        if failed and all_or_nothing:
            finished += [_skipped(watcher, name, "the switch of another service failed") for name in members]
            _undo_updates(yard, wanted, (names[name] for name in members))
            continue
        missing = _failed_before(settings, wave, finished)
        if down := _down(yard, settings, missing):
            reason = f"not tried: {listed(down)}, which it waits for, failed"
            finished += [_skipped(watcher, name, reason) for name in members]
            continue
        work = partial(_switch, yard, names, wanted=wanted._replace(missing=missing), park=all_or_nothing)
        yard.neighbours.list_now()
        switched = crew.run(_tasks([yard.named(name) for name in members], work))
        failed = failed or any(done.result not in {OK, PARKED} for done in switched)
        finished += [done for done in switched if done.result != PARKED]
    if all_or_nothing:
        finished += crew.release(final=not failed)
        if failed:
            _take_back(yard, finished)
            _undo_updates(yard, wanted, (done for done in made if done.data.get("state") == "promoted"))
    return finished


def _undo_updates(yard: "Yard", wanted: Wanted, made: Iterable[Done]) -> None:
    """Have services build on what they did before, as nothing was switched to."""
    for done in made:
        applied = from_data(done.data.get("applied"), wanted.updates.get(done.name, ()))
        if applied:
            undo_update(yard.named(done.name), applied)


def _refused(yard: "Yard", watcher: Watcher) -> dict[str, Done]:
    """Return the services that cannot be upgraded, by name, as `d check` finds."""
    from dockyard.check.gate import refusals

    names = [service.name for service in yard.services if service.is_buildable]
    found = {name: Done(name, **failure(error)) for name, error in refusals(yard, names).items()}
    for done in found.values():
        watcher.done(done)
    return found


class _Making:
    """Shows a service that is built and tested as not yet done where it is still to switch."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher, self.doing, self.tick = watcher, watcher.doing, watcher.tick

    def done(self, done: Done) -> None:
        """Report how it ended."""
        if done.data.get("state") == "ready":
            self.watcher.doing(done.name, "ready")
        else:
            self.watcher.done(done)


def _skipped(watcher: Watcher, name: str, reason: str) -> Done:
    done = Done(name, SKIPPED, reason)
    watcher.done(done)
    return done


def _switch_order(
    settings: "Mapping[str, Settings]", ready: Mapping[str, object]
) -> list[tuple[int | None, list[str]]]:
    """Return what is to switch, by wave; what does not start by itself comes last, and is in none."""
    in_waves = [(wave, [name for name in members if name in ready]) for wave, members in waves(settings)]
    others = [name for name in ready if not any(name in members for _, members in in_waves)]
    return [(wave, members) for wave, members in (*in_waves, (None, others)) if members]


def _failed_before(settings: "Mapping[str, Settings]", wave: int | None, finished: Iterable[Done]) -> tuple[str, ...]:
    """Return the services of earlier waves that have failed in this run; what is in no wave waits for none."""
    earlier = {name for number, members in waves(settings) if wave is not None and number < wave for name in members}
    return tuple(done.name for done in finished if done.name in earlier and done.result in {FAILED, TIMEOUT})


def _down(yard: "Yard", settings: "Mapping[str, Settings]", names: Iterable[str]) -> list[str]:
    """Return those services whose production is not up."""
    containers = {name: container_name(settings[name]) for name in names}
    up = {one.name for one in yard.engine.containers(containers.values()) if one.is_up}
    return [name for name, container in containers.items() if container not in up]


def _make(yard: "Yard", service: "Service", wanted: Wanted, link: Link) -> Mapping[str, Any]:
    """Build and test; promote at once where nothing runs, so that others can be built from it."""
    from dockyard import recovery

    container = container_name(yard.load(service))
    with held(yard.engine, container, yard.wait) as tell:
        both = each(tell, link.doing)
        recovery.settle(yard.engine, container, both)
        ready = prepare_with_updates(yard, service, wanted, both)
        if isinstance(ready, Report):
            return {"state": ready.result, **_data(ready)}
        if not ready.reasons:
            tags = ready.tags
            report = {**_data(promote(yard, ready)), "applied": to_data(ready.applied)}
            return {"state": "promoted", **report, "repository": tags.repository, "was": [*tags[1:]]}
        made = {name: getattr(ready, name) for name in ("image", "tested", "reasons", "notes")}
        return {"state": "ready", **made, "applied": to_data(ready.applied)}


def _data(report: Report) -> dict[str, Any]:
    outage = {} if report.outage_ms is None else {"outage_ms": report.outage_ms}
    return {"text": "; ".join((report.text, *report.notes)), "image": report.image, "upgrade": report.result, **outage}


def _switch(  # noqa: PLR0913
    yard: "Yard", made: Mapping[str, Done], service: "Service", link: Link, *, wanted: Wanted, park: bool
) -> Mapping[str, Any]:
    """Switch to the image that passed its Test; with `park`, commit only when the parent says so."""
    from dockyard import recovery

    container = container_name(yard.load(service))
    with held(yard.engine, container, yard.wait) as tell:
        both = each(tell, link.doing)
        recovery.settle(yard.engine, container, both)
        builder = builder_for(yard, service)
        passed = made[service.name].data
        applied = from_data(passed["applied"], wanted.updates.get(service.name, ()))
        with guard_update(yard, service, applied):
            ready = look(yard, builder, str(passed["image"]))._replace(tested=passed["tested"], applied=applied)
            pending = switching(yard, service, ready, wanted, both)
            switched = pending.switch()
            report = upgraded(pending, switched)
            if park:
                _wait_for_others(pending, report, link)
            pending.finish(switched)
        builder.publish()
        report = with_changes(yard, report, pending.image_before, tuple(passed["notes"]))
    return _data(report)


def _wait_for_others(pending: Replacement, report: Report, link: Link) -> None:
    """Return when all others have switched too; otherwise undo this switch and raise DockyardError."""
    final = False
    try:
        final = link.park(_data(report))
    finally:
        if not final:
            pending.undo()
    if not final:
        raise TakenBackError("rolled back, as the switch of another service failed")


def _take_back(yard: "Yard", finished: list[Done]) -> None:
    """Put the tags back of what was promoted in this run, where nothing runs."""
    for number, done in enumerate(finished):
        if done.data.get("state") == "promoted":
            repository, (live, previous) = str(done.data["repository"]), done.data["was"]
            try:
                put_back(yard.engine, Tags(repository, live, previous))
            except DockyardError as error:
                finished[number] = done._replace(**failure(error))
                continue
            history.record(done.name, "promote", "undone", image=str(done.data["image"]))
            reason = "its tags were rolled back, as the switch of another service failed"
            finished[number] = done._replace(result=FAILED, reason=reason)
