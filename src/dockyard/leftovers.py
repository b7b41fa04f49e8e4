"""What dockyard keeps of a service that is gone: given to the service that has taken its place, or removed."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dockyard.errors import DockyardError, NoSuchNameError
from dockyard.orphans import tags_of
from dockyard.plan.places import Places, normal
from dockyard.service import Service, select
from dockyard.settings.keys import VOL_BASE
from dockyard.settings.values import Mode
from dockyard.updates.choices import change_choices, choices_of, set_choices

if TYPE_CHECKING:
    from dockyard.engine.models import Row
    from dockyard.yard import Yard

Tell = Callable[[str], None]


class Action(NamedTuple):
    """One thing that is done about an orphan: as a line for people, and the doing."""

    line: str
    do: Callable[[], object]


def known_services(yard: "Yard") -> set[str]:
    """Return the names of services that are gone, and of which something is left: containers, history, records."""
    from dockyard import history
    from dockyard.secrets import state_directory

    place = state_directory() / "services"
    kept = {entry.name for entry in place.iterdir()} if place.is_dir() else set[str]()
    rows = {row.service for row in yard.rows if row.service}
    return (kept | rows | history.services()) - {service.name for service in yard.services}


def select_gone(yard: "Yard", beginning: str) -> str:
    """Return the one service that is gone whose name begins so. Raises NoSuchNameError, also for one that exists."""
    if beginning in {service.name for service in yard.services}:
        raise NoSuchNameError(
            f"service `{beginning}` still exists", hint="use this only for services without a directory"
        )
    return select(beginning, known_services(yard), "removed service")


def plan_forgetting(yard: "Yard", service: str) -> list[Action]:
    """Return what removes all that dockyard keeps of a service that is gone; its data in production are left alone.

    Raises DockyardError if a container of it is up.
    """
    from dockyard import history, host
    from dockyard.removal import remove_directory
    from dockyard.scan import forgetting
    from dockyard.secrets import state_directory

    rows = [row for row in yard.rows if row.service == service]
    up = [row.name for row in rows if row.is_up]
    if up:
        raise DockyardError(f"container `{up[0]}` of {service} is up", hint=f"stop it with `d down {up[0]}`")
    program, base = yard.engine.program, normal(yard.settings[VOL_BASE])
    actions = [Action(f"{program} rm {row.name}", lambda row=row: yard.engine.remove(row.id)) for row in rows]  # type: ignore[misc]
    actions += [
        Action(f"{program} rmi {tag}", lambda tag=tag: yard.engine.call("rmi", tag))  # type: ignore[misc]
        for tag in tags_of(yard, service)
    ]
    for mode in Mode:
        area = Places(base, service, mode, test_data=True).area
        if mode.isolated and Path(area.path).is_dir():
            actions.append(Action(f"rm -r {area.path}", lambda area=area: host.remove_test_area(area)))  # type: ignore[misc]
    records = state_directory() / "services" / service
    if records.is_dir():
        actions.append(Action(f"rm -r {records}", lambda: _remove_below(records.parent, service, remove_directory)))
    if chosen := choices_of(service):
        actions.append(
            Action(f"# the digests that it builds on: {', '.join(chosen)}", lambda: set_choices(service, {}))
        )
    if events := history.count(service):
        actions.append(Action(f"# {events} events of the history", lambda: history.forget(service)))
    names = {service, *(row.name for row in rows)}
    if found := forgetting.count(names):
        actions.append(Action(f"# {found} alerts", lambda: forgetting.forget(names)))
    return actions


def _remove_below(directory: Path, name: str, remove: Callable[[str, int], None]) -> None:
    above = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        remove(name, above)
    finally:
        os.close(above)


def left_data(yard: "Yard", service: str) -> str:
    """Return the directory of a service's data in production if it exists; else empty."""
    place = f"{normal(yard.settings[VOL_BASE])}/{service}"
    return place if Path(place).is_dir() else ""


# ------------------------------------------------------------------------------------------------------------- adopt
class Adoption(NamedTuple):
    """How a service takes over what another one left: `container` is stopped, and removed when the new one is up.

    `moves` are directories of data, before and after; `tags` are images, by what they are called before and after.
    """

    yard: "Yard"
    service: str
    new: Service
    container: "Row | None"
    moves: tuple[tuple[str, str], ...]
    tags: tuple[tuple[str, str], ...]

    @property
    def lines(self) -> list[str]:
        """The steps, as lines for people."""
        program = self.yard.engine.program
        stop = [f"{program} stop {self.container.name}"] if self.container and self.container.is_up else []
        up = [f"d up {self.new.name}"] if stop else []
        remove = [f"{program} rm {self.container.name}"] if self.container else []
        return [
            *stop,
            *(f"mv {before} {after}" for before, after in self.moves),
            *(f"{program} tag {before} {after}" for before, after in self.tags),
            *up,
            *remove,
            *(f"{program} rmi {before}" for before, _ in self.tags),
            f"# the history of {self.service} becomes that of {self.new.name}",
        ]

    def carry_out(self, tell: Tell) -> None:
        """Do it. Raises DockyardError; then everything is as it was, and what was up is up again."""
        was_up = bool(self.container and self.container.is_up)
        done: list[Callable[[], object]] = []
        try:
            if self.container and was_up:
                tell(f"stopping {self.container.name}")
                done.append(self._start_again)
                self.yard.engine.call("stop", self.container.id)
            self._move(done)
            if was_up:
                from dockyard import replace

                tell(f"starting {self.new.name}")
                replace.up(self.yard, self.new)
        except BaseException:
            from dockyard.recovery import undisturbed

            with undisturbed():
                self._remove_new()
                for undo in reversed(done):
                    undo()
            raise
        self._finish()

    def _move(self, done: list[Callable[[], object]]) -> None:
        for before, after in self.moves:
            _rename(before, after)
            done.append(lambda before=before, after=after: _rename(after, before))  # type: ignore[misc]
        for before, after in self.tags:
            self.yard.engine.call("tag", before, after)
            done.append(lambda after=after: self.yard.engine.call("rmi", after))  # type: ignore[misc]

    def _start_again(self) -> None:
        assert self.container  # noqa: S101 - see carry_out
        self.yard.engine.call("start", self.container.id)

    def _remove_new(self) -> None:
        """Remove the container that did not stay up: what it was given is returned."""
        from dockyard.plan.launch import container_name

        name = container_name(self.yard.load(self.new))
        for container in self.yard.engine.containers([name]):
            if container.service == self.new.name:
                self.yard.engine.remove(container.id)

    def _finish(self) -> None:
        from dockyard import history
        from dockyard.secrets import state_directory

        if self.container:
            self.yard.engine.remove(self.container.id)
        for before, _ in self.tags:
            self.yard.engine.call("rmi", before)
        history.rename(self.service, self.new.name)
        change_choices(lambda known: {**known, self.new.name: known.get(self.service, {}), self.service: {}})
        history.record(self.new.name, "adopt", "ok", adopted=self.service)
        records = state_directory() / "services"
        if (records / self.service).is_dir() and not (records / self.new.name).exists():
            (records / self.service).rename(records / self.new.name)


def _rename(before: str, after: str) -> None:
    try:
        os.rename(before, after)  # noqa: PTH104 - an empty directory may be in the place
    except OSError as error:
        hint = "a mount point cannot be renamed: mount it at the new path, and try again"
        raise DockyardError(f"{before}: cannot be renamed to {after}: {error.strerror}", hint) from None


def plan_adoption(yard: "Yard", service: str, new: Service) -> Adoption:
    """Plan that a service takes over container, data, images and history of one that is gone.

    Raises DockyardError if the new one has a container or data of its own already.
    """
    from dockyard.build import builder_for

    rows = [row for row in yard.rows if row.service == service and not row.is_under_test]
    _refuse_own(yard, new)
    base = normal(yard.load(new)[VOL_BASE])
    before, after = f"{base}/{service}", f"{base}/{new.name}"
    moves = ((before, after),) if Path(before).is_dir() else ()
    if moves and Path(after).is_dir() and any(Path(after).iterdir()):
        raise DockyardError(
            f"{before} cannot be renamed to {after}, which is not empty",
            hint="compare the two, and move away the one that is not needed",
        )
    renamed = builder_for(yard, new).name if new.is_buildable else None
    tags = tags_of(yard, service) if renamed else []
    pairs = tuple((tag, renamed.tagged(tag.rpartition(":")[2])) for tag in tags if renamed)
    return Adoption(yard, service, new, next(iter(_in_use_first(rows)), None), moves, pairs)


def _in_use_first(rows: "Iterable[Row]") -> "list[Row]":
    return sorted(rows, key=lambda row: not row.is_up)


def _refuse_own(yard: "Yard", new: Service) -> None:
    """Raise DockyardError if a service has a container of its own."""
    own = next((row for row in yard.rows if row.service == new.name and not row.is_under_test), None)
    if own:
        stop = f"stop it with `d down {own.name}`; then " if own.is_up else ""
        remedy = f"{stop}remove it with `d clean`, which saves its changes, and adopt again"
        raise DockyardError(f"{new.name} already has a container, `{own.name}`", hint=remedy)
