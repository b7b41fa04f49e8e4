"""Replace the running container by a new one: the steps, and the recovery of an interrupted switch.

The names of containers show the progress of a switch; see docs/decisions/switching.md:

    NAME.next          created, and never in service: production is unchanged
    NAME.old           NAME replaces it, and is being watched: recovery rolls back
    NAME.replaced      NAME is up and healthy: recovery finishes the switch
"""

import shlex
from collections.abc import Mapping
from typing import NamedTuple

from dockyard.engine.dialect import Dialect
from dockyard.engine.models import (
    DIRECTORY_LABEL,
    LAUNCH,
    NEXT,
    OLD,
    REPLACE,
    REPLACED,
    REPOSITORY_LABEL,
    START_FIRST,
    SUFFIXES,
    UNSTARTED,
    UPGRADE_LABEL,
    WAS_LIVE_LABEL,
    WAS_RESTART_LABEL,
    Container,
)
from dockyard.errors import DockyardError, Problem, SettingsError
from dockyard.plan.build import LIVE, PREVIOUS, version_tag
from dockyard.plan.launch import LaunchPlan
from dockyard.plan.start_first import NO_NETWORK, joining, network
from dockyard.plan.values import Command, HostStep
from dockyard.settings import keys
from dockyard.settings.values import Mode


class Watch(NamedTuple):
    """Wait until a container has stayed up, and is healthy if checked; `counts_from_now`: by a check from now on."""

    name: str
    counts_from_now: bool = False

    def shell(self, program: str) -> str:
        """Return what lets a person see the same."""
        return f"# until it has stayed up and is healthy: {program} inspect --format '{{{{json .State}}}}' {self.name}"


class ProductionTest(NamedTuple):
    """Run ./Test-prod on the container that has just come up."""

    directory: str

    def shell(self, _program: str) -> str:
        """Return what does the same in a shell."""
        return f"(cd {shlex.quote(self.directory)} && ./Test-prod)"


class Gone(NamedTuple):
    """Wait until the engine has removed a container that it removes at its end."""

    name: str

    def shell(self, program: str) -> str:
        """Return what does the same in a shell."""
        return f"while {program} inspect {self.name} >/dev/null 2>&1; do sleep 0.1; done"


class KeepChanges(NamedTuple):
    """Keep what changed in a container's copy-on-write layer, before it goes."""

    name: str

    def shell(self, program: str) -> str:
        """Return what lets a person see the same."""
        return f"# save what changed on top of its image: {program} diff {self.name}"


STOP_FIRST = "remove `start_first`, so that the old container stops before the new one starts"

SwitchStep = Command | HostStep | Watch | ProductionTest | KeepChanges | Gone


class Tags(NamedTuple):
    """Whose `:live` the new image becomes, and what `:live` and `:prev` are until then (ids; empty: nothing)."""

    repository: str
    live: str
    previous: str


class SwitchPlan(NamedTuple):
    """A switch in three parts: what can be done and undone unseen, what production notices, what seals it.

    `kind` is what the new container's upgrade label says.
    """

    launch: LaunchPlan
    kind: str
    image: str
    old: Container | None
    tags: Tags | None
    prepare: tuple[SwitchStep, ...]
    switch: tuple[SwitchStep, ...]
    seal: tuple[SwitchStep, ...]

    @property
    def name(self) -> str:
        """The container's name."""
        return self.launch.name

    @property
    def entry(self) -> Command:
        """The step with which the new container takes over: it starts, or joins its network."""
        return next(step for step in reversed(self.switch) if isinstance(step, Command))

    @property
    def steps(self) -> tuple[SwitchStep, ...]:
        """All steps, in order."""
        return (*self.prepare, *self.switch, *self.seal)


def is_kept(old: Container | None) -> bool:
    """Return whether a container can be stopped and restarted: not if the engine removes it when it ends."""
    return bool(old and old.is_up and not old.removed_at_end)


def check_owner(old: Container, service: str, program: str) -> None:
    """Raise DockyardError for a container that is not this service's production, nor a stopped unowned one."""
    of_nobody = not old.service and not old.is_up
    if not of_nobody and (old.service != service or old.mode not in {Mode.PROD.value, Mode.IN_PLACE.value}):
        whose = f"to service `{old.service}`, {old.mode}" if old.service else "to no service"
        hint = f"set another `name` for `{service}`; `{program} inspect {old.name}` shows the other container"
        raise DockyardError(f"container `{old.name}` exists and belongs {whose}", hint)


def plan_switch(  # noqa: PLR0913 - facts, each of its own kind
    launch: LaunchPlan,
    old: Container | None,
    tags: Tags | None,
    dialect: Dialect,
    *,
    image: str = "",
    test_production: bool = False,
) -> SwitchPlan:
    """Plan that a launch takes the place of a container, up or stopped, if there is one.

    `image` stands for the launch's own image id where that is not known yet, in a plan that is only shown. Raises
    SettingsError where the new one is to start first, and cannot run beside the old one.
    """
    word = image or f"sha256:{launch.image_id}"
    if tags and not image and tags.live == launch.image_id:
        tags = None
    starts_first = _starts_first(launch, old, dialect)
    checks: tuple[SwitchStep, ...] = (Watch(launch.name, counts_from_now=starts_first),)
    if test_production:
        checks = (*checks, ProductionTest(launch.labels[DIRECTORY_LABEL]))
    labels = _labels(old, tags, dialect, starts_first=starts_first)
    begin = _starting_first(launch, dialect) if starts_first else _Beginning((), (), Command(("start", launch.name)))
    if old and is_kept(old):
        switch, seal = _replacing(launch.name, old, tags, word, begin, dialect)
    else:
        switch, seal = _launching(launch.name, old, tags, word)
    create = launch.creation(f"{launch.name}{NEXT}", word, labels)
    host_steps = tuple(step for step in launch.steps[:-1] if not isinstance(step, Command))
    prepare = (*host_steps, create, *begin.prepare)
    return SwitchPlan(launch, labels[UPGRADE_LABEL], word, old, tags, prepare, (*switch, *checks), seal)


def _labels(old: Container | None, tags: Tags | None, dialect: Dialect, *, starts_first: bool) -> dict[str, str]:
    """Return the new container's labels about the switch, by which another run can roll back or finish it."""
    labels = {UPGRADE_LABEL: START_FIRST if starts_first else REPLACE if is_kept(old) else LAUNCH}
    if tags:
        labels |= {REPOSITORY_LABEL: tags.repository, WAS_LIVE_LABEL: tags.live}
    if old and _is_held_back(old, dialect):
        labels[WAS_RESTART_LABEL] = old.restart
    return labels


def _is_held_back(old: Container, dialect: Dialect) -> bool:
    """Return whether the engine would start a stopped container by itself after the engine's restart."""
    return is_kept(old) and old.restart == "always" and bool(dialect.set_restart)


Parts = tuple[tuple[SwitchStep, ...], tuple[SwitchStep, ...]]


def _starts_first(launch: LaunchPlan, old: Container | None, dialect: Dialect) -> bool:
    """Return whether the new container is up before the old one stops. Raises SettingsError if it must not be."""
    check_start_first(launch, old, dialect)
    return bool(launch.settings[keys.START_FIRST] and is_kept(old) and dialect.join)


def check_start_first(launch: LaunchPlan, old: Container | None, dialect: Dialect) -> None:
    """Raise SettingsError if a new container is to start first, and cannot run beside the old one."""
    if launch.alone and old and old.is_up and dialect.join:
        where = launch.settings.value(keys.START_FIRST).source
        raise SettingsError([Problem(where, f"start_first: {reason}", STOP_FIRST) for reason in launch.alone])


class _Beginning(NamedTuple):
    """How a new container begins: what can be done unseen, right before the old one stops, and right after that."""

    prepare: tuple[SwitchStep, ...]
    before: tuple[Command, ...]
    after: Command


def _starting_first(launch: LaunchPlan, dialect: Dialect) -> _Beginning:
    """Return how one begins that starts without a network.

    That is a network, too: one that is on none at all, the engine would put on its own at its next start. So it leaves
    that as late as it can without making the outage longer.
    """
    waiting = f"{launch.name}{NEXT}"
    prepare = (
        Command((*dialect.leave, network(launch.flags), waiting)),
        Command((*dialect.join, NO_NETWORK, waiting)),
        Command(("start", waiting)),
        Watch(waiting),
    )
    leave = Command((*dialect.leave, NO_NETWORK, launch.name))
    return _Beginning(prepare, (leave,), Command((*dialect.join, *joining(launch.flags, launch.name))))


def _replacing(  # noqa: PLR0913, PLR0917 - facts, each of its own kind
    name: str, old: Container, tags: Tags | None, image: str, begin: _Beginning, dialect: Dialect
) -> Parts:
    held_back = (_restart_policy(f"{name}{OLD}", "unless-stopped", dialect),) if _is_held_back(old, dialect) else ()
    switch: tuple[SwitchStep, ...] = (
        Command(("rename", name, f"{name}{OLD}")),
        Command(("rename", f"{name}{NEXT}", name)),
        *held_back,
        *begin.before,
        Command(("stop", f"{name}{OLD}")),
        begin.after,
    )
    seal: tuple[SwitchStep, ...] = (
        Command(("rename", f"{name}{OLD}", f"{name}{REPLACED}")),
        *_tagging(tags, image),
        KeepChanges(f"{name}{REPLACED}"),
        Command(("rm", f"{name}{REPLACED}")),
    )
    return switch, seal


def _launching(name: str, old: Container | None, tags: Tags | None, image: str) -> Parts:
    """Return the steps if there is no container to roll back to: tags change first, so continuing is always right."""
    stop: tuple[SwitchStep, ...] = (KeepChanges(name), Command(("stop", name)), Gone(name)) if old and old.is_up else ()
    remove: tuple[SwitchStep, ...] = (KeepChanges(name), Command(("rm", name))) if old and not old.is_up else ()
    rename = Command(("rename", f"{name}{NEXT}", name))
    return (*stop, *remove, *_tagging(tags, image), rename, Command(("start", name))), ()


def _tagging(tags: Tags | None, image: str) -> tuple[Command, ...]:
    """Return `:live` → `:prev`, then the new image → `:live`: so each always has a name or a container."""
    return moving_tags(tags.repository, tags.live, image) if tags else ()


def moving_tags(repository: str, was_live: str, image: str) -> tuple[Command, ...]:
    """Return what makes an image `:live`, and what was live `:prev`, and a version that is retained."""
    tags = (PREVIOUS, version_tag(was_live)) if was_live else ()
    retain = (Command(("tag", was_live, f"{repository}:{tag}")) for tag in tags)
    return (*retain, Command(("tag", image, f"{repository}:{LIVE}")))


def tags_as_they_were(tags: Tags) -> tuple[Command, ...]:
    """Return what puts `:live` and `:prev` back; one that was not there goes."""
    repository, live, previous = tags
    return tuple(
        Command(("tag", image, f"{repository}:{tag}")) if image else Command(("rmi", f"{repository}:{tag}"))
        for tag, image in ((LIVE, live), (PREVIOUS, previous))
    )


def _restart_policy(name: str, policy: str, dialect: Dialect) -> Command:
    return Command((*dialect.set_restart, policy, name))


# ---------------------------------------------------------------------------------------------- what was cut short
UNDONE, FINISHED = "undone", "finished"


class Recovery(NamedTuple):
    """What puts a container's switch in order: `first` has it up again, `then` removes what is left."""

    verdict: str = ""
    first: tuple[SwitchStep, ...] = ()
    then: tuple[SwitchStep, ...] = ()


class Found(NamedTuple):
    """The containers of a switch, by how they are named; only those that dockyard launched for one service."""

    here: Container | None
    next: Container | None
    old: Container | None
    replaced: Container | None


def base_name(name: str) -> str:
    """Return the name of the container that a name of a switch is about; any other name is its own."""
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)


def found(name: str, containers: Mapping[str, Container]) -> Found:
    """Return the containers of a switch from those that exist, by name; another service's are not among them."""
    ours = [containers.get(f"{name}{suffix}") for suffix in ("", *SUFFIXES)]
    services = {one.service for one in ours[1:] if one and one.service}
    here, *others = (one if one and (not services or one.service in services) else None for one in ours)
    left = (one if one and one.service and not one.is_under_test else None for one in others)
    return Found(here, *left)


def plan_recovery(name: str, containers: Mapping[str, Container], dialect: Dialect) -> Recovery:
    """Plan what the next command does about a switch that was cut short; nothing to do where none was.

    `containers` are all with the switch's names, by name. A container of somebody else under the name stays, and
    then nothing can be done.
    """
    here, next_, old, replaced = state = found(name, containers)
    if containers.get(name) and not here:
        return Recovery()
    if replaced:
        return _finish(name, state)
    if old:
        return _undo(name, state, dialect)
    if next_:
        return _without_old(name, state)
    if here and here.status in UNSTARTED and here.labels.get(UPGRADE_LABEL) == LAUNCH:
        return Recovery(FINISHED, (Command(("start", name)),))
    return Recovery()


def _remove(container: Container | None, dialect: Dialect) -> tuple[Command, ...]:
    return (Command((*dialect.removal, container.name)),) if container else ()


def _start(name: str, container: Container | None) -> tuple[Command, ...]:
    return () if container and container.is_up else (Command(("start", name)),)


def _finish(name: str, state: Found) -> Recovery:
    here, next_, _, replaced = state
    assert replaced  # noqa: S101 - see the caller
    leftover = (Command(("rm", "--force", next_.name)),) if next_ else ()
    if not here:
        back = Command(("rename", replaced.name, name))
        return Recovery(UNDONE, (back, *_start(name, replaced)), leftover)
    last = (KeepChanges(replaced.name), Command(("rm", "--force", replaced.name)))
    return Recovery(FINISHED, (*_start(name, here), *_promotion(here)), (*leftover, *last))


def _promotion(new: Container) -> tuple[Command, ...]:
    """Return the tags that a new container's labels ask for."""
    repository = new.labels.get(REPOSITORY_LABEL, "")
    return moving_tags(repository, new.labels.get(WAS_LIVE_LABEL, ""), new.image_id) if repository else ()


def _undo(name: str, state: Found, dialect: Dialect) -> Recovery:
    here, next_, old, _ = state
    assert old  # noqa: S101 - see the caller
    new = here or next_
    policy = new.labels.get(WAS_RESTART_LABEL, "") if new else ""
    restore = (_restart_policy(old.name, policy, dialect),) if policy else ()
    aside = _remove(next_, dialect) if here else ()
    if here:
        # A stop of the old one may be in progress: a second stop waits for it. One without conflicts stops later.
        stop = (Command(("stop", here.name)),) if here.is_in_the_way else ()
        aside = (*aside, *stop, Command(("rename", name, f"{name}{NEXT}")), Command(("stop", old.name)))
    back = (Command(("rename", old.name, name)), *(_start(name, old) if not here else (Command(("start", name)),)))
    then = (Command((*dialect.removal, f"{name}{NEXT}")),) if new else ()
    return Recovery(UNDONE, (*restore, *aside, *back), then)


def _without_old(name: str, state: Found) -> Recovery:
    """Plan for a new container that is made, where none made way for it."""
    here, next_, _, _ = state
    assert next_  # noqa: S101 - see the caller
    how = next_.labels.get(UPGRADE_LABEL)
    gone = (Command(("rm", "--force", next_.name)),)
    if here and (here.is_up or how != LAUNCH):
        stop = (Command(("stop", next_.name)),) if next_.is_in_the_way else ()
        return Recovery(UNDONE, (*stop, *_start(name, here)), gone)
    if how == START_FIRST:  # the old one was removed by another program, and the new one was not watched yet
        return Recovery(UNDONE, (), gone)
    remove = (KeepChanges(name), Command(("rm", name))) if here else ()
    return Recovery(
        FINISHED, (*remove, *_promotion(next_), Command(("rename", next_.name, name)), *_start(name, next_))
    )
