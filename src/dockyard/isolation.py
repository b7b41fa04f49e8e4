"""Whether an instance under test would share anything with the production of any service on this host."""

from typing import TYPE_CHECKING

from dockyard import host, paths
from dockyard.engine.models import Image, Network
from dockyard.errors import DockyardError, Problem, SettingsError
from dockyard.plan.facts import Facts, Location, PathFact, Questions
from dockyard.plan.isolation import (
    HINTS,
    Claim,
    Conflict,
    Kind,
    Locations,
    Production,
    claims_of,
    conflicts,
    unprovable,
    where_said,
)
from dockyard.plan.launch import LaunchOptions, LaunchPlan, plan_launch, questions
from dockyard.plan.places import is_within

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dockyard.engine.dialect import Dialect
    from dockyard.service import Service
    from dockyard.settings.resolve import Settings
    from dockyard.yard import Yard


def refuse_sharing(yard: "Yard", service: "Service", planned: LaunchPlan, file: str = "") -> tuple[str, ...]:
    """Return what the user should know where not everything could be compared.

    `file` names another file than settings.yaml: production may be launched with that, or with either.

    Raises SettingsError, with both places, for everything that the instance would share with production.
    """
    with_addresses = any(claim.kind is Kind.ADDRESS for claim in claims_of(planned.flags))
    services = [(service, file)] if file else []
    # By directory: the service may be a copy of one that is in production under the same name.
    services += [(service, ""), *((other, "") for other in yard.services if other.directory != service.directory)]
    productions, notes = _productions(yard, services, with_addresses=with_addresses)
    found = shared(planned, productions)
    if found:
        raise SettingsError(list(dict.fromkeys(_problem(conflict, planned) for conflict in found)))
    doubts = [f"{planned.name} is not isolated from production: {reason}" for reason in unprovable(planned.flags)]
    return (*notes, *doubts)


def shared(
    planned: LaunchPlan, productions: "Iterable[Production]", known: "Locations | None" = None
) -> list[Conflict]:
    """Return what an instance would share with production; `known` has the location of all paths, if collected."""
    ours, others, areas = claims_of(planned.flags), tuple(productions), planned.test_areas
    where = known or paths.locations_of(
        [areas, *claimed(ours), *(path for other in others for path in claimed(other.claims))]
    )
    return conflicts(ours, others, {**where, **_in_test_area(planned, ours)}, areas, set(planned.shared))


def claimed(claims: "Iterable[Claim]") -> list[str]:
    """Return the paths and devices that are claimed."""
    return [claim.value for claim in claims if claim.kind in {Kind.PATH, Kind.DEVICE}]


def _in_test_area(planned: LaunchPlan, ours: "Iterable[Claim]") -> dict[str, tuple[Location, ...]]:
    """Return where what lies in the test area will be: that is emptied first, so that no link in it counts.

    What is mounted in the area counts, for whatever is in it.
    """
    if not planned.area:
        return {}
    area = planned.area.path
    top, *mounted = paths.locations_of([area])[area]
    inside = [claim.value for claim in ours if is_within(claim.value, area) and ".." not in claim.value.split("/")]
    return {path: (top._replace(path=f"{top.path}{path.removeprefix(area)}"), *mounted) for path in inside}


def _problem(conflict: Conflict, planned: LaunchPlan) -> Problem:
    ours, theirs = conflict.ours, conflict.theirs
    other = f" (there `{theirs.value}`)" if theirs.value != ours.value else ""
    whose = f"production of `{conflict.service}`, {conflict.where}"
    message = f"{planned.name} would share {ours.kind.value} `{ours.value}`{other} with {whose}"
    return Problem(where_said(ours, planned.settings, planned.service), message, HINTS[ours.kind])


def _productions(
    yard: "Yard", services: "list[tuple[Service, str]]", *, with_addresses: bool
) -> tuple[list[Production], list[str]]:
    """Return what the production containers of services would use, and the services whose settings cannot be used."""
    found: list[Production] = []
    notes: list[str] = []
    for each, file in services:
        try:
            settings = yard.load(each, file=file)
            flags = production_flags(each, settings, yard.engine.dialect, with_addresses=with_addresses)
        except DockyardError as error:
            notes.append(
                f"{each.name}: not compared with its production container, as its settings cannot be used: {error}"
            )
            continue
        found.append(production_of(each.name, settings, flags))
    return found, notes


def production_of(service: str, settings: "Settings", flags: tuple[str, ...]) -> Production:
    """Return what a production takes of the host that is launched with these flags."""
    claims = claims_of(flags)
    return Production(service, claims, {claim: where_said(claim, settings, service) for claim in claims})


def production_flags(
    service: "Service", settings: "Settings", dialect: "Dialect", *, with_addresses: bool
) -> tuple[str, ...]:
    """Return the engine's command for launching production, as if all it needs existed. Raises DockyardError."""
    options = LaunchOptions(directory=str(service.directory))
    asked = questions(service.name, settings, options, dialect, host.host_facts().name)
    return plan_launch(service.name, settings, _presumed(asked, dialect, with_addresses=with_addresses), options).flags


def _presumed(asked: Questions, dialect: "Dialect", *, with_addresses: bool) -> Facts:
    """Return the answers with which a launch can be planned; only what patterns match and names mean is looked up."""
    matches = paths.matches_of(asked.patterns)
    wanted = [*asked.paths, *(path for found in matches.values() for path in found)]
    there = {path: fact._replace(real=path) for path, fact in paths.path_facts(wanted).items()}
    missing = [path for path in wanted if path not in {*there, *asked.made}]
    return Facts(
        dialect=dialect,
        host=host.host_facts(),
        images={reference: Image("") for reference in asked.images},
        network=Network(asked.network, "") if asked.network else None,
        addresses=host.addresses_of(asked.lookups) if with_addresses else {},
        paths={**there, **{path: PathFact("directory", 0, 0, 0o755, path) for path in missing}},
        matches=matches,
    )
