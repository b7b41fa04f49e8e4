"""Launching: gathers what a plan asks for, and carries the plan out."""

import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import nullcontext

from dockyard import accounts, copying, host, paths, secrets
from dockyard.directives import RECORD, directive
from dockyard.engine.dialect import Dialect
from dockyard.engine.engine import Engine
from dockyard.engine.models import LAUNCH_LABEL, Container, IdMap, Image
from dockyard.errors import DockyardError
from dockyard.isolation import refuse_sharing
from dockyard.layers.store import Store, store_of
from dockyard.masked_output import masked_output
from dockyard.plan.capabilities import explain_failure
from dockyard.plan.copies import ChosenCopy
from dockyard.plan.facts import Accounts, Facts, Questions
from dockyard.plan.launch import LaunchOptions, LaunchPlan, plan_launch, questions
from dockyard.plan.mounts import copied, copies_of
from dockyard.plan.ownership import Finding
from dockyard.plan.places import Places, above_in, is_within, normal, places_of
from dockyard.plan.values import Command, Copy, EmptyTestArea, MakeDirectory, MakeFile, Step
from dockyard.privilege import in_namespace
from dockyard.service import Service
from dockyard.settings.keys import VOL_BASE
from dockyard.settings.resolve import Settings
from dockyard.settings.types import has_glob
from dockyard.settings.values import Mode
from dockyard.yard import Yard


def gather(engine: Engine, service: Service, asked: Questions) -> Facts:
    """Answer a plan's questions, each kind with one question to the engine or the host."""
    images = engine.images(asked.images)
    accounts = service_accounts(service, asked, images, store_of(engine))
    return facts_here(asked, engine.dialect, images)._replace(
        accounts=accounts,
        container=next(iter(engine.containers([asked.container])), None) if asked.container else None,
        siblings=tuple(engine.all_containers(*(f"label={label}" for label in asked.labels))) if asked.labels else (),
        network=engine.network(asked.network) if asked.network else None,
        ids=engine.id_map if asked.ids else IdMap(),
    )


def facts_here(asked: Questions, dialect: Dialect, images: Mapping[str, Image]) -> Facts:
    """Answer those questions that the host answers without its engine. Raises DockyardError for an unreadable path."""
    matches = paths.matches_of(asked.patterns)
    copied = [path for source in asked.copied for path in matches.get(source, (source,))]
    return Facts(
        dialect=dialect,
        host=host.host_facts(),
        images=images,
        addresses=host.addresses_of(asked.lookups),
        paths=paths.path_facts(_with_above([*asked.paths, *(path for found in matches.values() for path in found)])),
        matches=matches,
        copies=copying.copy_facts(copied, asked.base),
        host_accounts=accounts.host_accounts(asked.users, asked.groups),
    )


def service_accounts(
    service: Service, asked: Questions, images: Mapping[str, Image], store: Store | None = None
) -> Accounts:
    """Return the accounts of a service: its own, then those of its image, which is read only if owners matter.

    Raises DockyardError if the image cannot be read; without a store, it is not.
    """
    files = service.directory / "files"
    image = next((images[reference] for reference in asked.images if reference in images), None)
    if not (image and store and asked.ids):
        return accounts.accounts_of(files)
    with store.image(image, accounts.FILES) as layers:
        return accounts.accounts_of(files, layers)


def _with_above(wanted: list[str]) -> list[str]:
    """Return paths with all directories above them: test data must be protected as well as production's."""
    return list(dict.fromkeys(path for each in wanted for path in (*above_in(each, "/"), each)))


def copies(service: Service, settings: Settings) -> tuple[ChosenCopy, ...]:
    """Return how an instance's copies of production's directories come about, without asking the engine.

    Raises SettingsError for one that cannot be.
    """
    places = places_of(settings, service.name, test_data=False)
    wanted = list(copied(settings, places))
    matches = paths.matches_of(source for source in wanted if has_glob(source))
    found = [path for source in wanted for path in matches.get(source, (source,))]
    facts = copying.copy_facts(found, places.base)
    return tuple(copies_of(settings, places, matches, paths.path_facts(found), facts))


def plan(
    yard: Yard, service: Service, settings: Settings, options: LaunchOptions, *, replacing: bool = False
) -> LaunchPlan:
    """Plan the launch of an instance as the world is now; `replacing` one of its name that makes way first.

    Raises DockyardError; for an instance under test also where it would share anything with production.
    """
    asked = questions(service.name, settings, options, yard.engine.dialect, host.host_facts().name)
    facts = gather(yard.engine, service, asked._replace(container="") if replacing else asked)
    planned = plan_launch(service.name, settings, facts, options)
    planned = planned._replace(unfit=safe_here(yard.engine, planned.unfit))
    if not settings.mode.isolated:
        planned = planned.labelled({LAUNCH_LABEL: planned.fingerprint})
    else:
        notes = refuse_sharing(yard, service, planned, options.file)
        planned = planned._replace(notes=(*planned.notes, *notes))
    return planned


def safe_here(engine: Engine | None, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    """Return findings whose commands do no harm here: none for a path that a running container uses, or may use.

    The commands of a user, for an engine of his own, begin with its client.
    """
    if not any(finding.fix for finding in findings):
        return findings
    try:
        running = engine.all_containers() if engine else None
    except DockyardError:
        running = None
    if running is None:
        return tuple(finding.without_fix(_UNKNOWN_USE.format(finding.path)) for finding in findings)
    checked = [(finding, _users_of(finding.path, running) if finding.path else []) for finding in findings]
    safe = tuple(finding.in_use(names) if names else finding for finding, names in checked)
    return _for_own_engine(engine, safe) if engine and in_namespace() else safe


_UNKNOWN_USE = "wait until the engine answers, and check which containers use `{}`; change nothing under a running one"


def _users_of(path: str, running: Iterable[Container]) -> list[str]:
    """Return the containers that have a path mounted, or what is in it, or a directory that it is in."""
    real = os.path.realpath(path)
    return [
        container.name
        for container in running
        if any(is_within(real, place) or is_within(place, real) for place in map(os.path.realpath, _sources(container)))
    ]


def _sources(container: Container) -> list[str]:
    return [source for source in container.mounts.values() if source.startswith("/")]


def _for_own_engine(engine: Engine, findings: tuple[Finding, ...]) -> tuple[Finding, ...]:
    words = shlex.join((engine.program, *engine.dialect.unshare))
    return tuple(one._replace(fix=f"{words} {one.fix}") if one.fix else one for one in findings)


def _nobody(_text: str) -> None:
    """Ignore the event."""


def carry_out(engine: Engine, launch: LaunchPlan, tell: Callable[[str], None] = _nobody) -> int:
    """Do what a plan says. Returns the exit code of an instance in the foreground, 0 for a detached one.

    `tell` gets what did not go as planned, but well enough.

    Raises DockyardError; a detached container that could be made but not started is not left behind, nor is test data
    that no container is there to use.
    """
    values = secrets.values_of(launch.secrets, launch.settings)
    try:
        for step in launch.steps[:-1]:
            for note in do(engine, step):
                tell(note)
        if launch.foreground:
            with nullcontext() if "--tty" in launch.flags else masked_output():
                return engine.attach(*launch.argv, secrets=values)
        try:
            _run(engine, launch, values)
        except DockyardError as error:
            remove_never_started(engine, launch)
            error.hint = "\n".join([*filter(None, [error.hint]), *launch.advice])
            raise
    except BaseException:
        remove_test_area(engine, launch)
        raise
    finally:
        if launch.foreground:
            remove_test_area(engine, launch)
    return 0


def _run(engine: Engine, launch: LaunchPlan, values: Mapping[str, str]) -> None:
    """Run a detached container; a recorder of the files it opens is notified before it starts."""
    recorder = directive(RECORD)
    if not recorder:
        engine.call(*secrets.with_digests(launch.argv, values, launch.secrets), secrets=values)
        return
    from dockyard.surface.recorder import tell

    created = engine.call(*launch.creation(launch.name, launch.image, {}).argv, secrets=values)
    tell(recorder, created.split()[-1])
    engine.call("start", launch.name)


def last_words(engine: Engine, launch: LaunchPlan, *more: str, name: str = "", lines: int = 10) -> str:
    """Return hints on why a launched container did not stay up: advice, `more`, the last lines of its log.

    `name` is its container's, if that differs from the launch's.
    """
    log = engine.last_words(name or launch.name, lines)
    return "\n".join([*advice(launch, log), *more, "its log:", *log])


def advice(launch: LaunchPlan, log: Iterable[str]) -> list[str]:
    """Return what may be the reason why an instance with this log ended, and how to fix it."""
    return [*launch.advice, *explain_failure(launch.lacks, log)]


def remove_never_started(engine: Engine, launch: LaunchPlan) -> None:
    """Remove the container of a launch that the engine created and then could not start."""
    for container in engine.containers([launch.name]):
        if container.service == launch.service and container.status == "created":
            engine.call("rm", container.id)


def remove_test_area(engine: Engine, launch: LaunchPlan) -> None:
    """Unmount and remove an instance's test data, unless there still is a container to use it."""
    if launch.area and engine.is_gone(launch.name):
        host.remove_test_area(launch.area)


def remove_area_of(yard: Yard, container: Container) -> None:
    """Unmount and remove the test data of an instance under test that is gone."""
    if container.is_under_test and yard.engine.is_gone(container.id):
        area = Places(normal(yard.settings[VOL_BASE]), container.service, Mode(container.mode), test_data=True).area
        if any(is_within(source, area.path) for source in container.mounts.values()):
            host.remove_test_area(area)


def do(engine: Engine, step: Step) -> Iterator[str]:
    """Carry out one step of a plan, and yield what did not go as planned, but well enough."""
    match step:
        case Command():
            engine.call(*step.argv)
        case MakeDirectory():
            host.make_directory(step)
        case MakeFile():
            host.make_file(step)
        case EmptyTestArea():
            host.empty_test_area(step)
        case Copy():
            done = copying.copy(step)
            if done not in {None, step.method}:
                yield f"{step.source}: copied with {done.value}, as {step.method.value} was refused"
