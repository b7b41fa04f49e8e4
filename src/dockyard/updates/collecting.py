"""The updates of a host's services: what they are built on, what registries have, and what each service allows."""

import time
from calendar import timegm
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from dockyard import history
from dockyard.base_images import read_dockerfile
from dockyard.build import builder_for, test_script
from dockyard.dockerfile_text import instructions
from dockyard.errors import DockyardError
from dockyard.fleet.order import build_order
from dockyard.holds import hold_of
from dockyard.registry.client import Registries
from dockyard.updates.applying import REFRESH, find_failures
from dockyard.updates.asking import ask_lists, ask_tags, remember
from dockyard.updates.base import Base
from dockyard.updates.bases import find_bases
from dockyard.updates.bump import NotReadyError, find_ready_repository, plan_changes, refuse_choice
from dockyard.updates.git import GitError
from dockyard.updates.memory import change_memory, load_memory
from dockyard.updates.pending import PACKAGES, Gate, Pending, find_pending
from dockyard.updates.policy import Blocker, find_blockers, load_policy
from dockyard.updates.sightings import Memory
from dockyard.updates.zone import host_zone

if TYPE_CHECKING:
    from dockyard.service import Service
    from dockyard.settings.resolve import Settings
    from dockyard.yard import Yard

WAITS = frozenset({"cooldown", "window"})
"""Kinds of blockers that end by themselves, and that `--refresh` ignores."""


class Rebuild(NamedTuple):
    """A service whose packages were fetched last at `since`, in seconds of the epoch, and must be fetched again.

    `blockers` say why not now.
    """

    service: str
    since: float
    blockers: tuple[Blocker, ...] = ()


class Upstream(NamedTuple):
    """What is newer, by service; `problems` are what could not be asked, a line each.

    `asked` is when the oldest answer was given, in seconds of the epoch; 0 if nothing was ever asked.
    """

    bases: tuple[Base, ...] = ()
    pending: tuple[Pending, ...] = ()
    rebuilds: tuple[Rebuild, ...] = ()
    problems: tuple[str, ...] = ()
    asked: float = 0.0

    @property
    def to_rebuild(self) -> frozenset[str]:
        """The services whose packages must be fetched again now."""
        return frozenset(one.service for one in self.rebuilds if not one.blockers)

    @property
    def applicable(self) -> dict[str, tuple[Pending, ...]]:
        """The updates to apply now, by service: one for each image, the version's if there are two."""
        chosen: dict[tuple[str, str], Pending] = {}
        for one in self.pending:
            if not one.blockers:
                chosen.setdefault((one.base.service, one.base.name), one)
        services = dict.fromkeys(service for service, _ in chosen)
        return {name: tuple(one for (service, _), one in chosen.items() if service == name) for name in services}


def collect_updates(
    yard: "Yard", names: Iterable[str], *, is_offline: bool = False, ignores_waits: bool = False
) -> Upstream:
    """Ask registries what is newer for these services, each tag once; `is_offline`: as far as it is known already.

    A registry that does not answer is a line of `problems`. Raises DockyardError.
    """
    settings, _ = yard.load_all()
    bases = find_bases(yard, settings, names)
    now = time.time()
    gates = _gates(yard, settings, bases)
    problems: Mapping[str, str] = {}
    memory = load_memory()
    if not is_offline and bases:
        memory, problems = _ask(yard, bases, gates, memory, now)
    moment = datetime.fromtimestamp(now, host_zone())
    pending = [one for base in bases for one in find_pending(base, gates[base], memory, moment)]
    if ignores_waits:
        pending = [one._replace(blockers=_drop_waits(one.blockers)) for one in pending]
    pending = _judge_sources(yard, pending)
    rebuilds = _find_rebuilds(yard, settings, names, moment)
    if ignores_waits:
        rebuilds = [one._replace(blockers=_drop_waits(one.blockers)) for one in rebuilds]
    asked = [memory.tags[base.key].asked for base in bases if base.key in memory.tags]
    return Upstream(tuple(bases), tuple(pending), tuple(rebuilds), tuple(problems.values()), min(asked, default=0.0))


def _judge_sources(yard: "Yard", pending: list[Pending]) -> list[Pending]:
    """Return updates with the reasons why the source cannot be changed, or built with a digest, if that is due now."""
    unready: dict[str, str] = {}
    judged = []
    for one in pending:
        reason = ""
        if not one.blockers:
            service = yard.named(one.base.service)
            parameters = builder_for(yard, service).all_parameters
            if one.is_edit and service.name not in unready:
                unready[service.name] = _reason(partial(find_ready_repository, service))
            if one.is_edit:
                reason = unready[service.name] or _reason(partial(plan_changes, service, [one], parameters))
            elif service.file("Build"):
                reason = "its ./Build chooses the base image; pin the image so that dockyard can change it"
            else:
                reason = _reason(partial(refuse_choice, service, one, parameters))
        judged.append(one._replace(blockers=(Blocker("source", reason),)) if reason else one)
    return judged


def _reason(check: Callable[[], object]) -> str:
    """Return why a check refuses; empty if it does not."""
    try:
        check()
    except (GitError, NotReadyError) as error:
        return str(error)
    return ""


def _drop_waits(blockers: Iterable[Blocker]) -> tuple[Blocker, ...]:
    """Return those blockers that do not end by themselves."""
    return tuple(one for one in blockers if one.kind not in WAITS)


def _find_rebuilds(
    yard: "Yard", settings: "Mapping[str, Settings]", names: Iterable[str], moment: datetime
) -> list[Rebuild]:
    """Return the services whose Dockerfile runs commands, and whose packages were last fetched too long ago."""
    found = []
    for service in (yard.named(name) for name in names if name in settings):
        policy = load_policy(settings[service.name])
        since = _last_refresh(service) if policy.rebuild else 0.0
        if since and moment.timestamp() - since >= policy.rebuild:
            waits = find_blockers(policy._replace(cooldown=0), now=moment, first_seen=since, kind=PACKAGES)
            held = _why_held(service.name)
            lasting = [
                *([Blocker("held", held)] if held else []),
                *([] if _has_test(service, settings[service.name]) else [Blocker("untested", "no Test")]),
            ]
            found.append(Rebuild(service.name, since, (*lasting, *waits)))
    return found


def _last_refresh(service: "Service") -> float:
    """Return when the packages of a service's image were last fetched; 0 if its Dockerfile runs no command."""
    dockerfile = service.file("Dockerfile")
    if not dockerfile or not any(one.name == "RUN" for one in instructions(read_dockerfile(dockerfile))):
        return 0.0
    refreshed = [event for event in history.of_action(service.name, REFRESH, 1) if event.result == "ok"]
    built = history.of_action(service.name, "build")
    event = next(iter([*refreshed, *built[-1:]]), None)
    return timegm(time.strptime(event.when, "%Y-%m-%dT%H:%M:%SZ")) if event else 0.0


def _ask(
    yard: "Yard", bases: list[Base], gates: Mapping[Base, Gate], memory: Memory, now: float
) -> tuple[Memory, Mapping[str, str]]:
    followed = [base for base in bases if not gates[base].policy.track.is_same_tag]
    with Registries(yard.engine.dialect.name) as registries:
        answers = ask_tags(registries, bases, memory, now).join(ask_lists(registries, followed, memory, now))
        built_on = {base.key: base.digest for base in bases if base.digest}
        known = remember(memory, answers, now, built_on)
        moment = datetime.fromtimestamp(now, host_zone())
        tags = [_of_tag(one) for base in followed for one in find_pending(base, gates[base], known, moment)]
        further = [base for base in tags if base.key not in answers.sightings]
        answers = answers.join(ask_tags(registries, further, known, now)) if further else answers
    return change_memory(lambda known: remember(known, answers, now, built_on)), answers.problems


def _of_tag(update: Pending) -> Base:
    """Return the image of an update as a base, to resolve its tag."""
    return update.base._replace(reference=update.base.reference.with_tag(update.tag))


def _gates(yard: "Yard", settings: "Mapping[str, Settings]", bases: Iterable[Base]) -> dict[Base, Gate]:
    """Return what decides on the updates of each image of each service."""
    _, depends = build_order(yard, settings)
    untested = frozenset(name for name, one in settings.items() if not _has_test(yard.named(name), one))
    gates: dict[str, Gate] = {}
    found = {}
    for base in bases:
        name, service = base.service, yard.named(base.service)
        if name not in gates:
            gates[name] = Gate(
                load_policy(settings[name]),
                find_untested(name, depends, untested),
                _failures(yard, service),
                _why_held(name),
                service.is_buildable,
            )
        found[base] = gates[name]._replace(policy=load_policy(settings[name], base.name))
    return found


def find_untested(name: str, depends: Mapping[str, Iterable[str]], untested: Collection[str]) -> str:
    """Return a service without a Test in which an update would go live: this one, or one that is built from it.

    `depends` has the services that each is built from. Empty if there is none.
    """
    above = [service for service, wanted in depends.items() if name in wanted]
    if not above:
        return name if name in untested else ""
    return next((found for service in above if (found := find_untested(service, depends, untested))), "")


def _why_held(name: str) -> str:
    held = hold_of(name)
    return str(held) if held else ""


def _failures(yard: "Yard", service: "Service") -> Mapping[str, str]:
    try:
        return find_failures(yard, service)
    except DockyardError:  # its source cannot be read, which an upgrade reports
        return {}


def _has_test(service: "Service", settings: "Settings") -> bool:
    try:
        return bool(service.program("Test-prod") or test_script(service, settings))
    except DockyardError:  # it cannot be run, which an upgrade reports
        return False
