"""A compose project → services: accounts for every value of it, and writes nothing."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dockyard.errors import Problem, SettingsError
from dockyard.moving import network_rules, ordering, project_keys
from dockyard.moving.context import Context, Wanted
from dockyard.moving.mounts import plan_stores
from dockyard.moving.outcome import Carried, Command, File, Left, Outcome, Secret, setting
from dockyard.moving.process_rules import without_secrets
from dockyard.moving.reading import Project
from dockyard.moving.rules import FLAG
from dockyard.moving.service_files import service_files
from dockyard.moving.service_keys import rule_for
from dockyard.moving.tree import Part
from dockyard.service import RESERVED
from dockyard.settings.keys import KEYS, NAME
from dockyard.settings.nodes import Scalar
from dockyard.settings.types import UnfitError


class NewService(NamedTuple):
    """A service to create: its name, its wave if it has one, and its files by their paths below its directory."""

    name: str
    wave: str
    files: dict[str, File]


class Import(NamedTuple):
    """The result of an import."""

    project: Project
    services: tuple[NewService, ...]
    carried: tuple[Carried, ...]
    left: tuple[Left, ...]
    commands: tuple[Command, ...]
    secrets: tuple[Secret, ...]


def plan_import(project: Project, wanted: Wanted, base: str) -> Import:
    """Plan the import of a project whose services store their data below `base`.

    Raises SettingsError for a project that cannot be imported.
    """
    _refuse_names(project, wanted)
    waves = ordering.waves_of(project, wanted)
    stores = plan_stores(project, wanted, sorted(project.services, key=lambda name: (waves[name], name)), base)
    services: list[NewService] = []
    every: list[Outcome] = []
    for name, part in project.services.items():
        context = Context(project, wanted, base, name, part, stores, waves)
        outcomes = _accounted(part, [_fit(outcome, context) for outcome in _outcomes(context)])
        files = service_files(context, outcomes)
        wave = next((one.node.text for one in outcomes if _is_wave(one)), "")  # type: ignore[union-attr]
        services.append(NewService(context.directory, wave, files))
        every += outcomes
    every += project_keys.network_commands(project, wanted)
    top = Part((), project.root.node)
    every += _rest(top, [*every, *project_keys.project_outcomes(project, wanted)])
    return _sorted(project, services, every)


def _is_wave(outcome: Outcome) -> bool:
    return isinstance(outcome, Carried) and outcome.key == "autostart" and isinstance(outcome.node, Scalar)


def _refuse_names(project: Project, wanted: Wanted) -> None:
    """Raise SettingsError for a project without services, and for those that cannot be directories."""
    if not project.services:
        problem = Problem(project.root.node.where, "there are no services", "name a compose file with `services`")
        raise SettingsError([problem])
    problems = []
    for name, part in project.services.items():
        try:
            NAME.type.read(Scalar(wanted.prefix + name))
        except UnfitError:
            problems.append(
                Problem(part.node.where, f"`{name}` is not a valid name of a service", "use --prefix, or rename it")
            )
        if wanted.prefix + name == RESERVED:
            problems.append(Problem(part.node.where, f"the name `{RESERVED}` is reserved", "use --prefix"))
        if not part.at("image") and not part.at("build"):
            problems.append(Problem(part.node.where, f"`{name}` has neither `image` nor `build`"))
    if problems:
        raise SettingsError(problems)


def _outcomes(context: Context) -> Iterator[Outcome]:
    """Yield the outcome of each key of a service, and of what compose does by default."""
    yield from ordering.autostart(context)
    yield from network_rules.joined(context)
    yield setting("puid", "")
    yield setting("tz", "")
    network = context.part.at("networks", network_rules.chosen(context.part, context.project))
    if not network or not network.at("ipv4_address"):
        yield setting("ip", "")
    for key, part in context.part.pairs().items():
        yield from rule_for(key)(part, context)


def _fit(outcome: Outcome, context: Context) -> Outcome:
    """Return an outcome; if the setting would refuse the value, or show a secret, its parts are left behind."""
    if not isinstance(outcome, Carried) or not outcome.key or not outcome.parts:
        return outcome
    try:
        KEYS[outcome.key].type.read(outcome.node)
    except UnfitError as error:
        expected = error.faults[0][1]
        return Left(outcome.parts, f"`{outcome.key}` must be {expected}", FLAG)
    return without_secrets(outcome, context)


def _accounted(service: Part, outcomes: list[Outcome]) -> list[Outcome]:
    """Return the outcomes of all values of a service: a value that no rule handles is reported as left behind."""
    once = _without_second_meanings(outcomes)
    spoken = {part.path for outcome in once if isinstance(outcome, Carried | Left) for part in outcome.parts}
    for leaf in service.leaves():
        if leaf.path not in spoken:
            once.append(_unspoken(leaf))
    return once


def _unspoken(leaf: Part) -> Outcome:
    if leaf.is_empty or not leaf.text:
        return Carried((leaf,), how="no value, as if not set")
    return Left((leaf,), "its form is not known", FLAG)


def _without_second_meanings(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """Return the outcomes; a setting with a single value has the first one, others are left behind.

    If a word of a command line is left behind, so is the whole command line.
    """
    found: list[Outcome] = []
    values: dict[str, Carried] = {}
    for outcome in outcomes:
        if not isinstance(outcome, Carried) or not outcome.key or KEYS[outcome.key].type.nothing == ():
            found.append(outcome)
            continue
        first = values.setdefault(outcome.key, outcome) if isinstance(outcome.node, Scalar) else outcome
        if first.node != outcome.node and _text(first) != _text(outcome):
            found.append(Left(outcome.parts, f"`{outcome.key}` is already {_text(first)}"))
        elif first is outcome or outcome.parts:
            found.append(outcome)
    return found


def _text(outcome: Carried) -> str:
    return outcome.node.text if isinstance(outcome.node, Scalar) else ""


def _rest(root: Part, outcomes: list[Outcome]) -> list[Outcome]:
    """Return the outcomes outside of services; a value that a service has by an alias is handled there."""
    spoken = {
        part.node.where
        for outcome in outcomes
        if isinstance(outcome, Carried | Left)
        for part in outcome.parts
        if part.path[:1] == ("services",)
    }
    found: list[Outcome] = []
    for outcome in outcomes:
        parts = outcome.parts if isinstance(outcome, Carried | Left) else ()
        if parts and parts[0].path[:1] == ("services",):
            continue
        if isinstance(outcome, Left):
            parts = tuple(part for part in parts if part.node.where not in spoken)
            found += [outcome._replace(parts=parts)] if parts else []
        elif isinstance(outcome, Carried) and parts:
            found.append(outcome)
    known = {part.path for outcome in found if isinstance(outcome, Carried | Left) for part in outcome.parts}
    for leaf in root.leaves():
        if leaf.path[:1] != ("services",) and leaf.path not in known and leaf.node.where not in spoken:
            found.append(_unspoken(leaf))
    return found


def _sorted(project: Project, services: list[NewService], outcomes: list[Outcome]) -> Import:
    def line(outcome: Carried | Left) -> tuple[str, int]:
        name, _, number = outcome.parts[0].where.rpartition(":")
        return name, int(number) if number.isdigit() else 0

    carried = [one for one in outcomes if isinstance(one, Carried) and one.parts]
    left = [one for one in outcomes if isinstance(one, Left) and one.parts]
    return Import(
        project=project,
        services=tuple(services),
        carried=tuple(sorted(carried, key=line)),
        left=tuple(sorted(dict.fromkeys(left), key=line)),
        commands=tuple(dict.fromkeys(one for one in outcomes if isinstance(one, Command))),
        secrets=tuple(_secrets(outcomes)),
    )


def _secrets(outcomes: Iterable[Outcome]) -> list[Secret]:
    return list({one.name: one for one in outcomes if isinstance(one, Secret)}.values())
