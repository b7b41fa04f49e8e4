"""A switch on a simulated engine: interrupted at any step, also while continuing or rolling back, it recovers."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockyard.engine.dialect import DOCKER, PODMAN, Dialect
from dockyard.engine.models import (
    LAUNCH,
    LAUNCH_LABEL,
    REPLACE,
    REPOSITORY_LABEL,
    START_FIRST,
    SUFFIXES,
    UPGRADE_LABEL,
    WAS_LIVE_LABEL,
    Container,
)
from dockyard.errors import DockyardError, SettingsError
from dockyard.plan.switch import FINISHED, UNDONE, Recovery, SwitchPlan, Tags, Watch, plan_recovery, plan_switch
from dockyard.plan.values import Command
from tests.unit.making import IMAGE_ID, plan_of, settings_of

LIVE, OLD, PREVIOUS = "a" * 64, "b" * 64, "c" * 64
REPOSITORY = "ktools/web"
PRODUCTION = {"dockyard.service": "web", "dockyard.mode": "prod"}


class Pretended:
    """Containers and tags, and the effects of commands on them."""

    def __init__(self, old: Container | None) -> None:
        self.containers: dict[str, Container] = {"web": old} if old else {}
        self.tags = {"live": LIVE, "prev": PREVIOUS}
        self.networks = {"old": {"bridge"}, "new": {"bridge"}}

    def told(self) -> dict[str, Container]:
        """Return the containers as the engine reports them."""
        return {name: one._replace(networks=frozenset(self.networks[one.id])) for name, one in self.containers.items()}

    def do(self, step: object) -> None:
        """Apply the effect of a command; the other steps change nothing here."""
        if isinstance(step, Command):
            getattr(self, f"do_{step.argv[0]}")(*step.argv[1:])

    def do_create(self, *argv: str) -> None:
        """Create a container."""
        labels = dict(word.partition("=")[::2] for flag, word in pairwise(argv) if flag == "--label")
        name = argv[argv.index("--name") + 1]
        assert name not in self.containers
        self.containers[name] = Container("new", name, "created", IMAGE_ID, labels=labels)

    def do_rename(self, old: str, new: str) -> None:
        """Rename a container; a name in use is refused."""
        assert new not in self.containers
        self.containers[new] = self.containers.pop(old)._replace(name=new)

    def do_stop(self, name: str) -> None:
        """Stop a container; one with --rm is removed."""
        container = self.containers.pop(name)
        if not container.removed_at_end:
            self.containers[name] = container._replace(status="exited")

    def do_start(self, name: str) -> None:
        """Start a container."""
        self.containers[name] = self.containers[name]._replace(status="running")
        self.networks[self.containers[name].id] = self.networks[self.containers[name].id] or {"bridge"}
        self.check_alone()

    def do_network(self, verb: str, network: str, name: str) -> None:
        """Connect a container to a network, or disconnect it. `none` excludes all other networks."""
        networks = self.networks[self.containers[name].id]
        if verb == "disconnect":
            networks.remove(network)
        else:
            assert not networks & {network, "none"}
            networks.add(network)
        self.check_alone()

    def check_alone(self) -> None:
        """Check that at most one container is in service: two would have the same ports."""
        serving = [one for one in self.containers.values() if one.is_up and "bridge" in self.networks[one.id]]
        assert len(serving) <= 1

    def do_update(self, *argv: str) -> None:
        """Set a restart policy."""
        self.containers[argv[2]] = self.containers[argv[2]]._replace(restart=argv[1])

    def do_rm(self, *argv: str) -> None:
        """Remove a container; a running one only with force."""
        container = self.containers.pop(argv[-1])
        assert "--force" in argv or not container.is_up

    def do_tag(self, image: str, reference: str) -> None:
        """Set a tag."""
        self.tags[reference.removeprefix(f"{REPOSITORY}:")] = image.removeprefix("sha256:")

    def is_in_order(self) -> bool:
        """Return whether exactly one container of production runs, and nothing is left over."""
        web = self.containers.get("web")
        return len(self.containers) == 1 and web is not None and web.is_up and self.networks[web.id] == {"bridge"}


def switch_of(old: Container | None, dialect: Dialect, *, tags: bool, start_first: bool = False) -> SwitchPlan:
    """Plan a switch from the running container, or from none."""
    settings = settings_of("start_first: true" if start_first else "")
    launch = plan_of(settings, dialect=dialect).labelled({LAUNCH_LABEL: "0"})
    return plan_switch(launch, old, Tags(REPOSITORY, LIVE, PREVIOUS) if tags else None, dialect)


def recover(engine: Pretended, dialect: Dialect, cut: Iterable[int]) -> list[str]:
    """Recover, interrupted each time after so many steps, then completely; returns the verdicts."""
    verdicts = []
    for steps in [*cut, 1000]:
        recovery: Recovery = plan_recovery("web", engine.told(), dialect)
        verdicts.append(recovery.verdict)
        for step in (*recovery.first, *recovery.then)[:steps]:
            engine.do(step)
    return verdicts


OLDS: dict[str, dict[str, Any]] = {
    "up": {},
    "always": {"restart": "always"},
    "stopped": {"status": "exited"},
    "removed at its end": {"removed_at_end": True},
}


@settings(max_examples=1500, deadline=None)
@given(
    kind=st.sampled_from([*OLDS, "none"]),
    dialect=st.sampled_from([DOCKER, PODMAN]),
    tags=st.booleans(),
    start_first=st.booleans(),
    steps=st.integers(0, 20),
    cut=st.lists(st.integers(0, 8), max_size=3),
)
def test_cut_short_anywhere_it_is_put_in_order(  # noqa: PLR0913
    *, kind: str, dialect: Dialect, tags: bool, start_first: bool, steps: int, cut: list[int]
) -> None:
    """One container of the name runs, its image is live, and nothing else is left, unless the switch had not begun."""
    old = None
    if kind != "none":
        old = Container("old", "web", **{"status": "running", "image_id": LIVE, "labels": PRODUCTION, **OLDS[kind]})
    plan = switch_of(old, dialect, tags=tags, start_first=start_first)
    engine = Pretended(old)
    for step in plan.steps[:steps]:
        engine.do(step)
    begun = any(isinstance(step, Command) for step in plan.steps[:steps])
    recover(engine, dialect, cut)
    if not begun and kind in {"stopped", "none"}:
        assert list(engine.containers) == (["web"] if old else [])
        return
    if set(engine.containers) == set() and kind == "removed at its end":
        raise AssertionError
    assert engine.is_in_order(), engine.containers
    now = engine.containers["web"]
    if tags:
        assert engine.tags["live"] == now.image_id
        assert engine.tags["prev"] == (LIVE if now.id == "new" else PREVIOUS)
    if now.id == "old":
        assert now.restart == (old.restart if old else "")


@given(kind=st.sampled_from([*OLDS, "none"]), dialect=st.sampled_from([DOCKER, PODMAN]), start_first=st.booleans())
def test_whole_switch_needs_no_recovery(kind: str, dialect: Dialect, start_first: bool) -> None:
    """After all steps the new container runs, is live, and there is nothing to recover."""
    old = None
    if kind != "none":
        old = Container("old", "web", **{"status": "running", "image_id": LIVE, "labels": PRODUCTION, **OLDS[kind]})
    engine = Pretended(old)
    for step in switch_of(old, dialect, tags=True, start_first=start_first).steps:
        engine.do(step)
    assert engine.is_in_order()
    assert engine.containers["web"].id == "new"
    assert engine.tags == {"live": IMAGE_ID, "prev": LIVE, f"version-{LIVE[:12]}": LIVE}
    assert recover(engine, dialect, []) == [""]


@given(names=st.sets(st.sampled_from(["web", *(f"web{suffix}" for suffix in SUFFIXES)])), up=st.booleans())
def test_what_is_nobodys_is_never_touched(names: set[str], up: bool) -> None:
    """Containers without our label are not part of a switch, whatever their names."""
    there = {name: Container(name, name, "running" if up else "exited", LIVE) for name in names}
    assert plan_recovery("web", there, DOCKER) == Recovery()


def test_tags_stay_until_the_new_one_has_proved_itself() -> None:
    """Whatever fails before that, `:live` and `:prev` need not be restored."""
    old = Container("old", "web", "running", LIVE, labels=PRODUCTION)
    plan = switch_of(old, DOCKER, tags=True)
    before = [step.argv[0] for step in (*plan.prepare, *plan.switch) if isinstance(step, Command)]
    assert before == ["create", "rename", "rename", "stop", "start"]


def words_of(plan: SwitchPlan) -> list[str]:
    """Return the engine's commands of a switch up to its commit, without creation and checks, one per line."""
    commands = (step.argv for step in (*plan.prepare, *plan.switch) if isinstance(step, Command))
    return [" ".join(argv) for argv in commands if argv[0] != "create"]


def test_starting_first_leaves_to_the_outage_a_stop_and_a_network() -> None:
    """The new container is up and watched while the old one serves; it gets addresses and names as it joins."""
    settings = "start_first: true\nnetwork: front\nip: 10.0.0.7\nextra_docker: --network-alias shop"
    launch = plan_of(settings_of(settings)).labelled({LAUNCH_LABEL: "0"})
    plan = plan_switch(launch, Container("old", "web", "running", LIVE, labels=PRODUCTION), None, DOCKER)
    assert plan.kind == START_FIRST
    assert plan.entry.argv[:2] == ("network", "connect")
    assert words_of(plan) == [
        "network disconnect front web.next",
        "network connect none web.next",
        "start web.next",
        "rename web web.old",
        "rename web.next web",
        "network disconnect none web",
        "stop web.old",
        "network connect --ip 10.0.0.7 --alias shop front web",
    ]
    assert plan.prepare[-1] == Watch("web.next")
    assert Watch("web", counts_from_now=True) in plan.switch


def test_who_cannot_run_beside_the_old_one_is_not_switched_to() -> None:
    """Both could write to the same directory: refused before anything has changed. The first launch is not refused."""
    launch = plan_of(settings_of("start_first: true\nmount_rw: data:/data")).labelled({LAUNCH_LABEL: "0"})
    old = Container("old", "web", "running", LIVE, labels=PRODUCTION)
    with pytest.raises(SettingsError, match="would both write to") as caught:
        plan_switch(launch, old, None, DOCKER)
    assert "remove `start_first`" in "\n".join(caught.value.lines())
    passing = plan_of(settings_of("start_first: true\nrm: true")).labelled({LAUNCH_LABEL: "0"})
    with pytest.raises(SettingsError, match="a rollback would be impossible"):
        plan_switch(passing, old._replace(removed_at_end=True), None, DOCKER)
    assert words_of(plan_switch(launch, None, None, DOCKER))[-1] == "start web"
    assert words_of(plan_switch(launch, old, None, PODMAN))[-1] == "start web"


def waiting(**fields: Any) -> Container:  # noqa: ANN401 - fields
    """Return a new container that started first."""
    labels = {**PRODUCTION, UPGRADE_LABEL: START_FIRST, REPOSITORY_LABEL: REPOSITORY, WAS_LIVE_LABEL: LIVE}
    given = {"networks": frozenset({"none"}), "status": "running", **fields}
    return Container("new", "web.next", image_id=IMAGE_ID, labels=labels, **given)


def test_one_without_network_is_never_promoted() -> None:
    """If the old container was removed in the meantime, the new one, unproven and on no network, is removed too."""
    found = plan_recovery("web", {"web.next": waiting()}, DOCKER)
    assert (found.verdict, found.first) == (UNDONE, ())
    assert found.then == (Command(("rm", "--force", "web.next")),)


def test_the_old_one_does_not_wait_for_one_without_network_to_stop() -> None:
    """It may take its time, and blocks nothing; one that has joined is stopped first."""
    old = Container("old", "web.old", "exited", LIVE, labels=PRODUCTION)
    for networks, stops in (({"none"}, False), (set(), False), ({"bridge"}, True)):
        new = waiting(networks=frozenset(networks))._replace(name="web")
        found = plan_recovery("web", {"web": new, "web.old": old}, DOCKER)
        assert (Command(("stop", "web")) in found.first) is stops
        assert found.first[-1] == Command(("start", "web"))


@pytest.mark.parametrize(
    ("old", "dialect"),
    [
        (None, DOCKER),
        (Container("old", "web", "exited", LIVE, labels=PRODUCTION), DOCKER),
        (Container("old", "web", "running", LIVE, labels=PRODUCTION), PODMAN),
    ],
)
def test_nobody_starts_first_where_nobody_stops_or_the_engine_cannot(old: Container | None, dialect: Dialect) -> None:
    """Without a running old container there is no downtime to reduce; podman binds ports when a container starts."""
    plan = switch_of(old, dialect, tags=True, start_first=True)
    assert plan.kind != START_FIRST
    assert words_of(plan) == words_of(switch_of(old, dialect, tags=True))


def test_one_that_podman_has_prepared_is_in_the_way() -> None:
    """It has its ports before it runs: it is stopped before the old one starts, and a first launch is started."""
    old = Container("old", "web.old", "exited", LIVE, labels=PRODUCTION)
    new = Container("new", "web", "initialized", IMAGE_ID, labels={**PRODUCTION, UPGRADE_LABEL: REPLACE})
    first = plan_recovery("web", {"web": new, "web.old": old}, PODMAN).first
    assert first.index(Command(("stop", "web"))) < first.index(Command(("start", "web")))
    launched = new._replace(labels={**PRODUCTION, UPGRADE_LABEL: LAUNCH})
    assert plan_recovery("web", {"web": launched}, PODMAN) == Recovery(FINISHED, (Command(("start", "web")),))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_no_service_is_called_like_half_a_switch(suffix: str) -> None:
    """A container with such a name would be mistaken for a leftover of a switch."""
    with pytest.raises(DockyardError, match="the name is reserved"):
        plan_of(settings_of(service=f"web{suffix}"))
