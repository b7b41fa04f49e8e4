"""No launch of production while another container writes to what it would write to, however that one was started."""

import json
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from dockyard import launches, paths
from dockyard.engine.engine import Engine, other_engines
from dockyard.engine.models import MODE_LABEL, SERVICE_LABEL, SHARED_LABEL, UNDER_TEST, Answer
from dockyard.engine.mounted import addresses_of, mounts_of, writable_devices_of
from dockyard.errors import DockyardError, InUseError
from dockyard.plan.facts import Location
from dockyard.plan.isolation import Kind
from dockyard.plan.writers import (
    Conflict,
    Holder,
    Use,
    advise,
    conflicts,
    describe,
    is_exclusive,
    is_replaced,
    volume_sources,
    written,
)
from dockyard.telling import warn

if TYPE_CHECKING:
    from dockyard.engine.models import Container
    from dockyard.launches import Register
    from dockyard.plan.launch import LaunchPlan

FRESH_SECONDS = 20
"""For how long a command that launches many services uses one list of the containers."""


class Running(NamedTuple):
    """All containers that were up at a moment, in ns of the system's monotonic clock, and what they write to."""

    holders: tuple[Holder, ...]
    at: int

    @property
    def is_fresh(self) -> bool:
        """Whether another launch of the same command may use it."""
        return time.monotonic_ns() - self.at < FRESH_SECONDS * launches.NANOSECONDS


class Wanted(NamedTuple):
    """What a launch would use; paths that others may write to as well, and containers whose mounts it takes over."""

    ours: Holder
    permitted: frozenset[str] = frozenset()
    partners: frozenset[str] = frozenset()

    @property
    def is_anything(self) -> bool:
        """Whether there is anything that a container could be in the way of."""
        return bool(self.ours.uses or self.partners)

    def with_partners(self, holders: Iterable[Holder]) -> Holder:
        """Return what the launch would use, with the mounts that it takes over."""
        mounts = (one for one in holders if one.name in self.partners and one.engine == self.ours.engine)
        taken_over = (use for one in mounts for use in one.uses if use.kind in {Kind.PATH, Kind.VOLUME})
        return self.ours._replace(uses=(*self.ours.uses, *taken_over))


class Neighbours:
    """The containers of all engines of this host, listed once for the launches of one command."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._running: Running | None = None

    def list_now(self) -> Running:
        """List the containers, unless that was done a moment ago: processes that are forked later need not."""
        if not self._running or not self._running.is_fresh:
            self._running = _list_running(self._engine)
        return self._running

    def refuse(self, plan: "LaunchPlan") -> None:
        """Raise InUseError if a container writes to what a launch would write to."""
        wanted = self._wanted(plan)
        if wanted.is_anything:
            with launches.open_register() as register:
                self._refuse(wanted, register)

    def launching(self, plan: "LaunchPlan") -> AbstractContextManager[None]:
        """Raise InUseError as `refuse` does; during the block, other launches see this one.

        The container that the launch replaces counts until the end of the block, too: it may be started again.
        """
        return self._claim(self._wanted(plan))

    def starting(self, container: "Container", name: str) -> AbstractContextManager[None]:
        """Do as `launching` does, for a container that exists and gets a name."""
        answers = self._engine.inspect("container", container.id)
        permitted = frozenset(json.loads(container.labels.get(SHARED_LABEL, "[]")))
        holders = _holders({self._engine.dialect.name: answers})
        wanted = [Wanted(holder._replace(name=name), permitted) for holder in holders]
        return self._claim(wanted[0]) if wanted else nullcontext()

    @contextmanager
    def _claim(self, wanted: Wanted) -> Iterator[None]:
        if not wanted.is_anything:
            yield
            return
        with launches.open_register() as register:
            running = self._refuse(wanted, register)
            ours = wanted.with_partners(running.holders)
            replaced = (use for one in running.holders if is_replaced(ours, one) for use in one.uses)
            launch = register.add(ours._replace(uses=tuple(dict.fromkeys([*ours.uses, *replaced]))))
        try:
            yield
        finally:
            with launches.open_register() as register:
                register.end(launch)

    def _refuse(self, wanted: Wanted, register: "Register") -> Running:
        """Return what runs. Raises InUseError; what was listed earlier may be down by now, so that is listed again."""
        was_listed = bool(self._running and self._running.is_fresh)
        running = self.list_now()
        found = _conflicts(wanted, running, register)
        if found and was_listed:
            self._running = None
            running = self.list_now()
            found = _conflicts(wanted, running, register)
        if found:
            raise InUseError(describe(wanted.ours.name, found), hint=advise(found))
        return running

    def _wanted(self, plan: "LaunchPlan") -> Wanted:
        """Return what a launch would use, and where that is."""
        claims = written(plan.flags)
        volumes = _volumes(self._engine, [claim.value for claim in claims if claim.kind is Kind.VOLUME])
        places = paths.locations_of(
            [
                *(claim.value for claim in claims if claim.kind in {Kind.PATH, Kind.DEVICE}),
                *(path for answer in volumes.values() for path in _paths_of(answer)),
            ]
        )
        uses = []
        for kind, value, _ in claims:
            if kind is Kind.VOLUME:
                answer = volumes.get(value, {})
                here = (*(place for path in _paths_of(answer) for place in places[path]), *_mounted_device(answer))
            else:
                here = tuple(places.get(value, ()))
            if kind is not Kind.PATH or _is_data(value):
                uses.append(Use(kind, value, here))
        ours = Holder(self._engine.dialect.name, plan.name, tuple(uses), plan.service)
        return Wanted(ours, frozenset(plan.permitted), volume_sources(plan.flags))


def _conflicts(wanted: Wanted, running: Running, register: "Register") -> list[Conflict]:
    holders = (*running.holders, *register.holders(running.at))
    return conflicts(wanted.with_partners(running.holders), holders, wanted.permitted, wanted.partners)


# ----------------------------------------------------------------------------------------------- what runs on the host
def _list_running(engine: Engine) -> Running:
    """Ask all engines concurrently; one that does not answer is reported, unless it is the engine of the launch."""
    at = time.monotonic_ns()
    others = other_engines(engine)
    with ThreadPoolExecutor(max(len(others), 1)) as pool:
        asked = [(other, pool.submit(_ask, other)) for other in others]
        answers = {engine.dialect.name: _ask(engine)}
        for other, question in asked:
            try:
                answers[other.dialect.name] = question.result()
            except DockyardError as error:
                if not other.is_not_ours(error):
                    warn(f"{other.dialect.name}: the writers of its containers could not be listed: {error}")
    return Running(tuple(_holders(answers)), at)


def _ask(engine: Engine) -> list[Answer]:
    return engine.inspect("container", *(row.id for row in engine.rows() if row.is_up))


def _holders(answers: Mapping[str, list[Answer]]) -> list[Holder]:
    """Return the containers of each engine, with what they write to."""
    sources = [mount.source for found in answers.values() for answer in found for mount in mounts_of(answer)]
    devices = [device for found in answers.values() for answer in found for device in writable_devices_of(answer)]
    places = paths.locations_of(dict.fromkeys([*sources, *devices]))
    return [_holder(engine, answer, places) for engine, found in answers.items() for answer in found]


def _holder(engine: str, answer: Answer, places: Mapping[str, tuple[Location, ...]]) -> Holder:
    labels = (answer.get("Config") or {}).get("Labels") or {}
    name = answer["Name"].lstrip("/")
    uses = (*_mounted(answer, places), *_devices(answer, places), *_addresses(answer))
    return Holder(engine, name, uses, labels.get(SERVICE_LABEL, ""), labels.get(MODE_LABEL, "") in UNDER_TEST)


def _mounted(answer: Answer, places: Mapping[str, tuple[Location, ...]]) -> Iterator[Use]:
    """Yield what is mounted read-write: where the container has it by now, else where its source is."""
    mounts = mounts_of(answer)
    process = (answer.get("State") or {}).get("Pid") or 0
    inside = paths.locations_in(process, {mount.target for mount in mounts}) if process and mounts else {}
    for mount in mounts:
        kind, value = (Kind.VOLUME, mount.volume) if mount.volume else (Kind.PATH, mount.source)
        if mount.writable and is_exclusive(kind, value) and _is_data(mount.source):
            yield Use(kind, value, inside.get(mount.target) or tuple(places[mount.source]))


def _devices(answer: Answer, places: Mapping[str, tuple[Location, ...]]) -> Iterator[Use]:
    for device in writable_devices_of(answer):
        if is_exclusive(Kind.DEVICE, device):
            yield Use(Kind.DEVICE, device, tuple(places[device]))


def _addresses(answer: Answer) -> Iterator[Use]:
    return (Use(Kind.ADDRESS, address) for address in addresses_of(answer))


def _is_data(path: str) -> bool:
    """Return whether a path can hold data: a socket or a pipe has its users, and no writer."""
    try:
        mode = Path(path).stat().st_mode
    except OSError:
        return True
    return stat.S_ISDIR(mode) or stat.S_ISREG(mode) or stat.S_ISBLK(mode)


# ----------------------------------------------------------------------------------------------------------- volumes
def _volumes(engine: Engine, names: Iterable[str]) -> dict[str, Answer]:
    """Return what the engine says of those of some volumes that exist."""
    return {answer["Name"]: answer for answer in engine.inspect("volume", *dict.fromkeys(names))}


def _device_of(answer: Answer) -> str:
    """Return what a volume shows, if its driver mounts something: a directory of the host, a disk, a file server's."""
    return (answer.get("Options") or {}).get("device") or ""


def _paths_of(answer: Answer) -> list[str]:
    """Return the paths at which a volume is: its own directory, and the directory of the host that it shows."""
    device = _device_of(answer)
    shown = [device] if _is_directory(device) else []
    return [*filter(None, [answer.get("Mountpoint")]), *shown]


def _mounted_device(answer: Answer) -> Iterator[Location]:
    """Yield where a volume's disk or file server is mounted already."""
    device, options = _device_of(answer), (answer.get("Options") or {}).get("o") or ""
    if device and device not in _paths_of(answer):
        server = next((word[5:] for word in options.split(",") if word.startswith("addr=")), "")
        same = (mount for mount in paths.mount_table() if mount.source in {device, f"{server}{device}"})
        yield from (Location(mount.device, mount.root) for mount in same)


def _is_directory(path: str) -> bool:
    return path.startswith("/") and Path(path).is_dir()
