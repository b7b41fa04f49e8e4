"""Gathers what checks inspect: settings of all services, facts of the host, and a few answers of the engine."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple

from dockyard import host, paths
from dockyard.check.host_facts import backup_of, host_answers, last_stops, rooms_of
from dockyard.check.subject import Answers, Dockerfile, Fleet, Launch, Subject
from dockyard.dockerfile import build_arguments, is_reference, stages
from dockyard.dockerfile_text import instructions
from dockyard.engine.dialect import DOCKER
from dockyard.engine.engine import Engine
from dockyard.engine.models import IdMap, Image, Network
from dockyard.errors import DockyardError, EngineError, EngineUnreachableError, Problem, SettingsError
from dockyard.isolation import claimed, production_of
from dockyard.launch import facts_here, safe_here, service_accounts
from dockyard.layers.store import Store, store_of
from dockyard.orphans import list_orphans
from dockyard.plan.build import LATEST, ImageName, image_name
from dockyard.plan.facts import Facts, PathFact, Questions
from dockyard.plan.isolation import Kind
from dockyard.plan.launch import LaunchOptions, LaunchPlan, plan_launch, questions
from dockyard.plan.mounts import RULES
from dockyard.plan.places import is_within, places_of
from dockyard.service import Service
from dockyard.settings.keys import BUILD_PARAMS, IP, KEYS, VOLS
from dockyard.settings.load import shown
from dockyard.settings.resolve import Settings, Value
from dockyard.settings.types import has_glob
from dockyard.settings.values import Mode
from dockyard.yard import Yard

MODES = (Mode.PROD, Mode.TEST)
_OPEN = 0o777  # assume that any user can use what does not exist yet: that it is missing is reported separately


class _Draft(NamedTuple):
    """The contents of a service's files."""

    service: Service
    file: str
    problems: tuple[Problem, ...]
    settings: Mapping[Mode, Settings]
    dockerfile: Dockerfile | None
    own: ImageName | None


def gather(yard: Yard, closely: Collection[str] | None = None) -> Fleet:
    """Return all services of a host, with what the engine knows of them, if it answers.

    `closely` limits the checks to these services: others are only compared with them, and the host is not checked.
    """
    drafts = [_draft(yard, service) for service in yard.services]
    engine, silence = _engine(yard)
    dialect = engine.dialect if engine else DOCKER
    name = host.host_facts().name
    asked = {
        (draft.service.name, mode): questions(draft.service.name, settings, _options(draft), dialect, name)
        for draft in drafts
        for mode, settings in draft.settings.items()
    }
    bases = [draft.dockerfile.base for draft in drafts if draft.dockerfile and is_reference(draft.dockerfile.base)]
    newest = [draft.own.tagged(LATEST) for draft in drafts if draft.own]
    answers = _ask(yard, engine, silence, asked.values(), [*bases, *newest], of_host=closely is None)
    addresses = host.addresses_of(_lookups(drafts, asked, closely))
    fleet = Fleet(answers, {}, backup=backup_of(yard.settings))
    for draft in drafts:  # first without launches: an image's user may be set in the Dockerfile of another service
        fleet.subjects[draft.service.name] = _subject(draft, fleet, asked)._replace(
            stops=last_stops(draft.service.name)
        )
    for draft in drafts:
        subject = fleet.subjects[draft.service.name]
        store = answers.store if closely is None or draft.service.name in closely else None
        launches = {
            mode: _launch(subject, settings, asked[draft.service.name, mode], addresses, store)
            for mode, settings in draft.settings.items()
        }
        launches = {mode: _safe(engine, launch) for mode, launch in launches.items()}
        fleet.subjects[draft.service.name] = subject._replace(
            production=launches.get(Mode.PROD), test=launches.get(Mode.TEST)
        )
    return _compared(fleet)


def _safe(engine: Engine | None, launch: Launch) -> Launch:
    plan = launch.plan
    return launch._replace(plan=plan._replace(unfit=safe_here(engine, plan.unfit))) if plan else launch


def _draft(yard: Yard, service: Service) -> _Draft:
    path = service.file("settings.yaml") or service.file("Dockerfile") or service.file("Build") or service.directory
    settings: dict[Mode, Settings] = {}
    problems: list[Problem] = []
    for mode in MODES:
        try:
            settings[mode] = yard.load(service, mode)
        except SettingsError as error:
            problems += error.problems
    if problems:
        return _Draft(service, shown(path), tuple(dict.fromkeys(problems)), {}, _dockerfile(service, ()), None)
    parameters = settings[Mode.PROD][BUILD_PARAMS]
    own = image_name(service.name, settings[Mode.PROD]) if service.is_buildable else None
    return _Draft(service, shown(path), (), settings, _dockerfile(service, parameters), own)


def _dockerfile(service: Service, parameters: tuple[str, ...]) -> Dockerfile | None:
    path = service.file("Dockerfile")
    if not path:
        return None
    text = path.read_text(encoding="utf-8", errors="replace")
    return Dockerfile(shown(path), instructions(text), stages(text, build_arguments(parameters)))


def _options(draft: _Draft | Subject) -> LaunchOptions:
    return LaunchOptions(directory=str(draft.service.directory))


def _engine(yard: Yard) -> tuple[Engine | None, str]:
    """Return the engine, or why there is none."""
    try:
        return yard.engine, ""
    except EngineUnreachableError as error:
        return None, str(error)


def _ask(  # noqa: PLR0913 - each of its own kind
    yard: Yard, engine: Engine | None, silence: str, asked: Iterable[Questions], bases: Iterable[str], *, of_host: bool
) -> Answers:
    """Return the engine's answers, each kind of question asked once for all services."""
    if not engine:
        return Answers(DOCKER, silence=silence)
    every = list(asked)
    references = dict.fromkeys([*(name for one in every for name in one.images), *bases])
    try:
        return Answers(
            engine.dialect,
            engine.images(references),
            engine.networks(one.network for one in every if one.network),
            engine.id_map if any(one.ids for one in every) else IdMap(),
            store=store_of(engine),
            **({**host_answers(engine), "orphans": tuple(list_orphans(yard))} if of_host else {}),
        )
    except (EngineUnreachableError, EngineError) as error:
        return Answers(engine.dialect, silence=str(error))


def _subject(draft: _Draft, fleet: Fleet, asked: Mapping[tuple[str, Mode], Questions]) -> Subject:
    wanted = asked[draft.service.name, Mode.PROD].images if draft.settings else ()
    image = next((fleet.answers.images[name] for name in wanted if name in fleet.answers.images), None)
    return Subject(draft.service, draft.file, draft.problems, draft.dockerfile, draft.own, image, None, None, fleet)


# ------------------------------------------------------------------------------------------------------- launches
def _lookups(
    drafts: Iterable[_Draft], asked: Mapping[tuple[str, Mode], Questions], closely: Collection[str] | None
) -> Iterable[str]:
    """Return the names to look up: none if no checked service has a fixed address."""
    judged = [draft for draft in drafts if closely is None or draft.service.name in closely]
    pins = any(settings[IP] for draft in judged for settings in draft.settings.values())
    return dict.fromkeys(name for one in asked.values() for name in one.lookups) if pins else ()


def _launch(
    subject: Subject, settings: Settings, asked: Questions, addresses: Mapping[str, str], store: Store | None
) -> Launch:
    found, unreadable = _facts(subject, asked, addresses, store)
    presumed = _presumed(subject, settings, asked)
    facts = found._replace(paths={**presumed, **found.paths})
    plan, refusals = _planned(subject, settings, facts)
    if not plan:  # impossible mounts are reported; the rest is checked without them
        bare = Settings(settings.mode, {**settings.values, **_without_mounts(settings)})
        plan, _ = _planned(subject, bare, facts)
    return Launch(settings, facts, plan, refusals, frozenset(presumed.keys() - found.paths.keys()), unreadable)


def _without_mounts(settings: Settings) -> dict[str, Value[Any]]:
    names = [*(rule.key.name for rule in RULES), VOLS.name]
    return {name: settings.values[name]._replace(value=KEYS[name].default) for name in names}


def _planned(subject: Subject, settings: Settings, facts: Facts) -> tuple[LaunchPlan | None, tuple[Problem, ...]]:
    """Return a plan, or why there is none."""
    try:
        return plan_launch(subject.service.name, settings, facts, _options(subject)), ()
    except SettingsError as error:
        return None, tuple(error.problems)
    except DockyardError as error:
        return None, (Problem("", str(error), error.hint),)


def _facts(subject: Subject, asked: Questions, addresses: Mapping[str, str], store: Store | None) -> tuple[Facts, str]:
    """Return what a plan needs, presuming what is missing; and why the mounts could not be inspected, if so."""
    answers = subject.fleet.answers
    images = {name: answers.images[name] for name in asked.images if name in answers.images}
    newest = answers.images.get(subject.own.tagged(LATEST)) if subject.own else None
    if newest and not images:  # built, but not live yet: this image will be launched
        images = {asked.images[0]: newest}
    here, unreadable = asked._replace(lookups=()), ""
    try:
        accounts = service_accounts(subject.service, here, images, store)
    except DockyardError as error:
        unreadable = str(error)
        accounts = service_accounts(subject.service, here, images)
    try:
        facts = facts_here(here, answers.dialect, images)
    except DockyardError as error:
        unreadable = str(error)
        facts = facts_here(here._replace(paths=(), patterns=(), copied=()), answers.dialect, images)
    user = subject.user
    presumed = Image("", user=user.name if user else "")
    return facts._replace(
        images=images or dict.fromkeys(asked.images, presumed),
        network=answers.networks.get(asked.network) or (Network(asked.network, "") if asked.network else None),
        addresses={name: addresses[name] for name in asked.lookups if name in addresses},
        ids=answers.ids,
        accounts=accounts,
    ), unreadable


def _presumed(subject: Subject, settings: Settings, asked: Questions) -> dict[str, PathFact]:
    """Return directories in the place of sources outside the service's own, which nobody makes."""
    if settings.mode.isolated:
        return {}
    own = places_of(settings, subject.service.name, test_data=False).own
    outside = [path for path in asked.paths if not has_glob(path) and not is_within(path, own)]
    made = [path for path in outside if any(is_within(volume, path) for volume in asked.made)]
    return {path: PathFact("directory", 0, 0, _OPEN, path) for path in outside if path not in made}


# ------------------------------------------------------------------------------------------------------ together
def _compared(fleet: Fleet) -> Fleet:
    """Return the services with the resources that each uses on the host, and their locations."""
    subjects: dict[str, Subject] = {}
    launches = [(one.service.name, launch) for one in fleet.subjects.values() for launch in (one.production, one.test)]
    taken = {
        mode: tuple(
            production_of(name, launch.settings, launch.plan.flags)
            for name, launch in launches
            if launch and launch.plan and launch.settings.mode is mode
        )
        for mode in MODES
    }
    areas = [launch.plan.test_areas for _, launch in launches if launch and launch.plan]
    claims = [claim for productions in taken.values() for one in productions for claim in one.claims]
    locations = paths.locations_of(dict.fromkeys([*areas, *claimed(claims)]))
    written = [
        claim.value for one in taken[Mode.PROD] for claim in one.claims if claim.kind is Kind.PATH and claim.writable
    ]
    whole = Fleet(
        fleet.answers, subjects, taken[Mode.PROD], taken[Mode.TEST], locations, rooms_of(written), fleet.backup
    )
    subjects.update({name: one._replace(fleet=whole) for name, one in fleet.subjects.items()})
    return whole
