"""Checks of services against each other: names, ports, addresses, data, and the order in which they start."""

from collections.abc import Iterator

from dockyard.check.point import Concern, Found, Severity
from dockyard.check.registry import check
from dockyard.check.subject import Subject
from dockyard.isolation import shared
from dockyard.plan.isolation import HINTS, Claim, Conflict, Kind, Production, conflicts, unprovable, where_said
from dockyard.plan.launch import LaunchPlan, container_name
from dockyard.settings.keys import AUTOSTART, NETWORK


@check("name-taken", Severity.ERROR, "A container name that another service has", stops=True)
def name_taken(subject: Subject) -> Iterator[Found]:
    """Of two services with the same container name, only one can run."""
    yield from _clashes(subject, Kind.NAME, "give one of them another `name`")


@check("port-taken", Severity.ERROR, "A host port that another service publishes", stops=True)
def port_taken(subject: Subject) -> Iterator[Found]:
    """Of two services that publish the same host port, the one that starts later fails."""
    yield from _clashes(subject, Kind.PORT, "give one of them another port")


@check("address-taken", Severity.ERROR, "A fixed address that another service has", stops=True)
def address_taken(subject: Subject) -> Iterator[Found]:
    """Of two services with the same address, the engine starts only the first."""
    yield from _clashes(subject, Kind.ADDRESS, "give one of them another `ip`")


@check("data-shared", Severity.NOTE, "Data that another service also uses", concern=Concern.DATA)
def data_shared(subject: Subject) -> Iterator[Found]:
    """An attacker who breaks into one of the services can change what the other reads."""
    yield from _clashes(subject, Kind.PATH, "mount it read-only if that is enough")


@check(
    "test-shares-production", Severity.ERROR, "A test that would share something with production", concern=Concern.DATA
)
def test_shares_production(subject: Subject) -> Iterator[Found]:
    """A test instance that shares resources with production is refused, so no new version is deployed."""
    plan = subject.test.plan if subject.test else None
    for conflict in _with_production(subject, plan) if plan else ():
        ours, theirs = conflict.ours, conflict.theirs
        other = f" (there `{theirs.value}`)" if theirs.value != ours.value else ""
        whose = f"production of `{conflict.service}`, {conflict.where}"
        yield Found(
            f"{plan.name if plan else ''} would share {ours.kind.value} `{ours.value}`{other} with {whose}",
            _where(subject, ours, test=True),
            hint=HINTS[ours.kind],
        )


@check("test-port-taken", Severity.WARNING, "A test's port or address that another service's test also uses")
def test_port_taken(subject: Subject) -> Iterator[Found]:
    """Tests of several services run concurrently: of two that use the same one, one fails now and then."""
    told = {clash.service for kind in (Kind.PORT, Kind.ADDRESS) for clash in _with_others(subject, kind)}
    for kind in (Kind.PORT, Kind.ADDRESS):
        for clash in _with_others(subject, kind, test=True):
            if clash.service not in told:
                yield _clash(subject, clash, "test of", HINTS[kind], test=True)


@check("test-unproven", Severity.WARNING, "A test that could reach everything", concern=Concern.DATA)
def test_unproven(subject: Subject) -> Iterator[Found]:
    """Such a test instance is not isolated from production: a bad build can damage it."""
    plan = subject.test.plan if subject.test else None
    for reason in dict.fromkeys(unprovable(plan.flags)) if plan else ():
        yield Found(
            f"tests are not isolated from production: {reason}", hint="give tests other settings with `test_` keys"
        )


@check("autostart-order", Severity.WARNING, "A service that starts before the service it needs")
def autostart_order(subject: Subject) -> Iterator[Found]:
    """A container in the network of another one cannot start before that one."""
    if not subject.settings or not subject.settings[AUTOSTART]:
        return
    kind, _, name = subject.settings[NETWORK].partition(":")
    mine, needed = subject.settings[AUTOSTART], None
    for other in subject.fleet.subjects.values() if kind == "container" else ():
        if other.settings and container_name(other.settings) == name:
            needed = other.settings[AUTOSTART]
            if mine and (not needed or needed.number >= mine.number):
                has = f"in wave {needed.number}" if needed else "never"
                message = f"the service starts in wave {mine.number}, and `{name}`, whose network it joins, {has}"
                yield Found(message, subject.said(AUTOSTART), hint=f"give it a later wave than `{name}`")


def _clashes(subject: Subject, kind: Kind, hint: str) -> Iterator[Found]:
    for conflict in _with_others(subject, kind):
        yield _clash(subject, conflict, "", hint)


def _clash(subject: Subject, conflict: Conflict, whose: str, hint: str, *, test: bool = False) -> Found:
    ours, theirs = conflict.ours, conflict.theirs
    other = f" (there `{theirs.value}`)" if theirs.value != ours.value else ""
    owner = " ".join(filter(None, [whose, f"`{conflict.service}`"]))
    message = f"{ours.kind.value} `{ours.value}`{other} is also used by {owner}, {conflict.where}"
    return Found(message, _where(subject, ours, test=test), hint=hint)


def _where(subject: Subject, claim: Claim, *, test: bool = False) -> str:
    launch = subject.test if test else subject.production
    found = where_said(claim, launch.settings, subject.service.name) if launch else ""
    return "" if found in {"default", "the directory's name"} else found


def _with_others(subject: Subject, kind: Kind, *, test: bool = False) -> list[Conflict]:
    """Return what a service shares with others: production with production, or test with test."""
    every = subject.fleet.tests if test else subject.fleet.productions
    mine = [claim for one in every if one.service == subject.service.name for claim in one.claims if claim.kind is kind]
    return conflicts(mine, _others(every, subject, kind), subject.fleet.locations, "/dev/null", set()) if mine else []


def _others(every: tuple[Production, ...], subject: Subject, kind: Kind) -> list[Production]:
    return [
        one._replace(claims=tuple(claim for claim in one.claims if claim.kind is kind))
        for one in every
        if one.service != subject.service.name
    ]


def _with_production(subject: Subject, plan: LaunchPlan) -> list[Conflict]:
    """Return what a test instance would share with any production, each once."""
    return list(dict.fromkeys(shared(plan, subject.fleet.productions, subject.fleet.locations)))
