"""One writer for each place of the host: what a launch would write to, against what other containers write to.

Devices and fixed addresses count as well. Readers never conflict, neither with each other nor with a writer.
"""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dockyard.plan.facts import Location
from dockyard.plan.flags import flag_values
from dockyard.plan.isolation import FOR_EVERYBODY, Claim, Kind, claims_of
from dockyard.plan.places import is_within, normal
from dockyard.plan.switch import base_name

_NOT_DATA = (
    *("/etc/localtime", "/etc/timezone", "/etc/machine-id", "/usr/share/zoneinfo", "/lib/modules", "/usr/lib/modules"),
    *("/proc", "/sys", "/dev", "/tmp/.X11-unix"),  # noqa: S108 - compared, not written to
)
"""What containers share without harm, read-only or not: the kernel's own, and what none of them writes to."""
_WHOLE_HOST = {
    *("/", "/run", "/var/run"),
    *("/var/lib/docker", "/var/lib/docker/volumes", "/var/lib/containers", "/var/lib/containers/storage"),
    "/var/lib/containers/storage/volumes",
}
"""What programs mount that manage the host or its engine: they hold everything, and own no data there."""
_DEVICES_FOR_MANY = re.compile(
    r"/dev/(dri|snd|dma_heap|infiniband)(/.*)?|/dev/(nvidia|vhost-|kfd|vchiq|vcsm|video1\d).*"
)
"""Further devices that several processes can open: their drivers keep the openers apart."""


class Use(NamedTuple):
    """A path, volume or device that a container writes to, or an address that it has; `places`: where it really is."""

    kind: Kind
    value: str
    places: tuple[Location, ...] = ()


class Holder(NamedTuple):
    """A container that runs, or is about to, and what it writes to.

    `launch` says who is launching it, if it may not be up yet; `is_under_test` is as for a Container.
    """

    engine: str
    name: str
    uses: tuple[Use, ...]
    service: str = ""
    is_under_test: bool = False
    launch: str = ""


class Conflict(NamedTuple):
    """Something that a launch would use while a container uses it."""

    ours: Use
    theirs: Use
    holder: Holder


def written(flags: Sequence[str]) -> tuple[Claim, ...]:
    """Return what a launch with these flags would write to, and the addresses that it would have."""
    return tuple(claim for claim in claims_of(flags) if claim.writable and is_exclusive(claim.kind, claim.value))


def is_exclusive(kind: Kind, value: str) -> bool:
    """Return whether only one container at a time may write to something, or have it."""
    if kind is Kind.PATH:
        path = normal(value)
        return path not in _WHOLE_HOST and not any(is_within(path, top) for top in _NOT_DATA)
    if kind is Kind.DEVICE:
        return not (FOR_EVERYBODY.fullmatch(value) or _DEVICES_FOR_MANY.fullmatch(value))
    return kind in {Kind.VOLUME, Kind.ADDRESS}


def volume_sources(flags: Sequence[str]) -> frozenset[str]:
    """Return the containers whose mounts a launch takes over with `--volumes-from`."""
    return frozenset(value.partition(":")[0] for value in flag_values(flags, "volumes-from"))


def conflicts(
    ours: Holder, holders: Iterable[Holder], permitted: Iterable[str] = (), partners: frozenset[str] = frozenset()
) -> list[Conflict]:
    """Return what a launch would use while another container uses it.

    `permitted` are paths that settings declare shared, `partners` containers whose mounts the launch takes over. The
    container that the launch replaces, and instances under test of the same service, are no conflict: with those,
    `mount_persistent` shares on purpose.
    """
    allowed = {normal(path) for path in permitted}
    mine = [use for use in ours.uses if not (use.kind is Kind.PATH and normal(use.value) in allowed)]
    others = [
        holder
        for holder in holders
        if not _is_same(ours, holder) and not (holder.name in partners and holder.engine == ours.engine)
    ]
    return [
        Conflict(use, theirs, holder)
        for holder in others
        for theirs in holder.uses
        for use in mine
        if _clash(use, theirs, same_engine=holder.engine == ours.engine)
    ]


def is_replaced(ours: Holder, other: Holder) -> bool:
    """Return whether a launch replaces a container, under whatever name a switch has given it."""
    return bool(ours.service) and (ours.engine, ours.service, ours.name) == (
        other.engine,
        other.service,
        base_name(other.name),
    )


def _is_same(ours: Holder, holder: Holder) -> bool:
    is_own_test = holder.is_under_test and holder.service == ours.service
    return is_replaced(ours, holder) or is_own_test


def _clash(ours: Use, theirs: Use, *, same_engine: bool) -> bool:
    data = {Kind.PATH, Kind.VOLUME}
    if ours.kind is theirs.kind is Kind.ADDRESS:
        return ours.value == theirs.value
    if ours.kind is theirs.kind is Kind.VOLUME and same_engine and ours.value == theirs.value:
        return True
    is_comparable = {ours.kind, theirs.kind} <= data or ours.kind is theirs.kind is Kind.DEVICE
    return is_comparable and any(_overlap(mine, other) for mine in ours.places for other in theirs.places)


def _overlap(one: Location, other: Location) -> bool:
    return one.device == other.device and (is_within(one.path, other.path) or is_within(other.path, one.path))


# --------------------------------------------------------------------------------------------------------- in words
_DOES = {
    Kind.PATH: ("would write to", "writes to"),
    Kind.VOLUME: ("would write to volume", "writes to"),
    Kind.DEVICE: ("would use device", "uses"),
    Kind.ADDRESS: ("would have address", "has"),
}


def describe(name: str, found: Sequence[Conflict]) -> str:
    """Return what is wrong, in one sentence for each container and place."""
    return "; ".join(dict.fromkeys(_sentence(name, conflict) for conflict in found))


def _sentence(name: str, conflict: Conflict) -> str:
    ours, theirs, holder = conflict
    would, does = _DOES[ours.kind]
    container = f"container `{holder.name}` of {holder.engine}"
    there = "" if theirs.value == ours.value else f", there `{theirs.value}`"
    launch = f", which {holder.launch} is launching" if holder.launch else ""
    return f"{name} {would} `{ours.value}`, and {container} {does} it as well{there}{launch}"


def advise(found: Sequence[Conflict]) -> str:
    """Return what to do: stop the other container, or say that both may write."""
    stops = dict.fromkeys(f"`{one.holder.engine} stop {one.holder.name}`" for one in found if not one.holder.launch)
    first = f"stop the other container: {', '.join(stops)}" if stops else "wait until the other launch has ended"
    on_mount = "; if both may write there, say so with `shared: true` and a `reason` on the mount"
    return first + (on_mount if any(one.ours.kind is Kind.PATH for one in found) else "")
