"""Proof that an instance under test shares nothing with production: its command line against production's.

The engine's command lines are compared, so that raw flags count like everything else.
"""

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any, NamedTuple

from dockyard.plan.facts import Location
from dockyard.plan.flags import flag_values, is_set, mount_fields
from dockyard.plan.mounts import mounted_at
from dockyard.plan.places import is_within, normal
from dockyard.settings.key import Key
from dockyard.settings.keys import EXTRA_DOCKER, IP, MOUNT_DEVICES, NAME, NETWORK, PORTS
from dockyard.settings.resolve import Settings


class Kind(Enum):
    """What two instances can get into each other's way with."""

    NAME = "container name"
    ADDRESS = "address"
    PORT = "host port"
    PATH = "path"
    VOLUME = "volume"
    DEVICE = "device"
    CONTAINER = "container"


class Claim(NamedTuple):
    """One thing that an instance takes. `container`: one whose namespace or mounts it shares."""

    kind: Kind
    value: str
    writable: bool = True


class Production(NamedTuple):
    """What one service's production container uses; `where` is the line of its settings."""

    service: str
    claims: tuple[Claim, ...]
    where: Mapping[Claim, str]


class Conflict(NamedTuple):
    """Something that an instance under test would share with production, and who says so on either side."""

    ours: Claim
    theirs: Claim
    service: str
    where: str


# Devices of which every opener has one of his own, or nothing at all.
FOR_EVERYBODY = re.compile(r"/dev/(null|zero|full|random|urandom|fuse|kvm|net/tun|dri/renderD\d+)")

HINTS = {
    Kind.NAME: "give each instance another `name_prefix`",
    Kind.ADDRESS: "give tests another with `test_ip` or `test_subnet`",
    Kind.PORT: "give tests others with `test_ports`, or free ones with `port_offset: auto`",
    Kind.PATH: "give tests their own with `mount_rw` or a copying mount; `mount_persistent` shares it on purpose",
    Kind.VOLUME: "give tests other flags with `test_extra_docker`",
    Kind.DEVICE: "do without in tests: `test_mount_devices: []`",
    Kind.CONTAINER: "give tests another with `test_network` or `test_extra_docker`",
}
"""What to do about something that is shared."""

# Capabilities with which read-only mounts are remounted, files opened by number, or the kernel is controlled.
_REACHES_EVERYTHING = {"ALL", "SYS_ADMIN", "DAC_READ_SEARCH", "SYS_MODULE", "SYS_RAWIO"}

Locations = Mapping[str, Sequence[Location]]


def claims_of(argv: Sequence[str]) -> tuple[Claim, ...]:
    """Return what a `run` command takes of the host."""
    return tuple(dict.fromkeys(_claims(argv)))


def _claims(argv: Sequence[str]) -> Iterator[Claim]:
    yield from (Claim(Kind.NAME, name) for name in flag_values(argv, "name"))
    yield from (Claim(Kind.ADDRESS, _address(text)) for flag in ("ip", "ip6") for text in flag_values(argv, flag))
    for value in flag_values(argv, "publish"):  # podman takes several, with commas
        yield from (Claim(Kind.PORT, text) for text in value.split(","))
    for value in flag_values(argv, "device"):
        yield from (_device_claim(text) for text in value.split(","))
    for value in flag_values(argv, "mount"):
        yield from _mount_claim(value)
    for value in flag_values(argv, "volume"):
        source, *rest = value.split(":")
        if rest:
            options = rest[1].split(",") if len(rest) > 1 else []
            yield _source_claim(source, writable="ro" not in options)
    for flag in ("network", "net", "pid", "ipc", "uts", "userns", "cgroupns"):
        for value in flag_values(argv, flag):
            kind, _, name = value.partition(":")
            if kind == "container" and name:
                yield Claim(Kind.CONTAINER, name)
            yield from (Claim(Kind.ADDRESS, _address(text)) for text in re.findall(r"[:,]ip6?=([^,]+)", value))
    for value in flag_values(argv, "volumes-from"):
        yield Claim(Kind.CONTAINER, value.partition(":")[0])
    yield from (Claim(Kind.CONTAINER, value) for value in flag_values(argv, "pod"))


def _device_claim(text: str) -> Claim:
    """Return the device of `PATH[:PATH INSIDE][:PERMISSIONS]`; permissions without `w` make it read-only."""
    path, *others = text.split(":")
    is_readable_only = bool(others) and re.fullmatch("[rm]+", others[-1]) is not None
    return Claim(Kind.DEVICE, path, writable=not is_readable_only)


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text


def _mount_claim(value: str) -> Iterator[Claim]:
    fields = mount_fields(value)
    source, kind = fields.get("source", ""), fields.get("type", "volume").lower()
    if kind == "glob":  # all matches are below the part before the pattern
        source = re.split(r"[*?\[]", source)[0].rpartition("/")[0] or "/"
    if source and kind in {"bind", "volume", "glob", "cluster"}:
        read_only = fields.get("readonly", "false").lower() in {"true", "1"}
        yield _source_claim(source, writable=not read_only or fields.get("bind-recursive") == "writable")


def _source_claim(source: str, *, writable: bool) -> Claim:
    return Claim(Kind.PATH if source.startswith(("/", ".", "~")) else Kind.VOLUME, source, writable)


def unprovable(argv: Sequence[str]) -> Iterator[str]:
    """Yield in words what lets an instance reach everything on the host, so that nothing can be proven of it."""
    if is_set(argv, "privileged"):
        yield "it is privileged"
    for flag in ("network", "net", "pid", "ipc"):
        if "host" in flag_values(argv, flag):
            yield f"it shares the host's {flag.replace('net', 'network') if flag == 'net' else flag}"
    added = (
        name.strip().upper().removeprefix("CAP_") for value in flag_values(argv, "cap-add") for name in value.split(",")
    )
    yield from (f"it has the capability {name}" for name in dict.fromkeys(added) if name in _REACHES_EVERYTHING)
    if is_set(argv, "use-api-socket"):
        yield "it can control the engine through `--use-api-socket`"
    for claim in claims_of(argv):
        if claim.kind is Kind.PATH and re.search(r"/(docker|podman|containerd)\.sock$", claim.value):
            yield f"it can control the engine through `{claim.value}`"


def conflicts(
    ours: Iterable[Claim], productions: Iterable[Production], locations: Locations, test_areas: str, allowed: set[str]
) -> list[Conflict]:
    """Return what an instance under test would share with any production.

    `locations` tells where each path really is, with what is mounted below it; `test_areas` is VOL_BASE/TMP. `allowed`
    are paths that may be shared: those of mount_persistent.
    """
    mine = [claim for claim in ours if not (claim.kind is Kind.PATH and normal(claim.value) in allowed)]
    return [
        Conflict(claim, theirs, production.service, production.where.get(theirs, ""))
        for production in productions
        for theirs in production.claims
        for claim in mine
        if _clash(claim, theirs, locations, test_areas)
    ]


def _clash(ours: Claim, theirs: Claim, locations: Locations, test_areas: str) -> bool:
    match ours.kind, theirs.kind:
        case (Kind.PORT, Kind.PORT):
            return _same_port(ours.value, theirs.value)
        case (Kind.PATH, Kind.PATH):
            return ours.writable and _share(ours, theirs, locations, test_areas)
        case (Kind.DEVICE, Kind.DEVICE):
            return _share(ours, theirs, locations, test_areas) and not FOR_EVERYBODY.fullmatch(ours.value)
        case (Kind.NAME, Kind.NAME) | (Kind.ADDRESS, Kind.ADDRESS) | (Kind.VOLUME, Kind.VOLUME):
            return ours.writable and ours.value == theirs.value
        case (Kind.CONTAINER, Kind.NAME) | (Kind.CONTAINER, Kind.CONTAINER):
            return ours.value == theirs.value
    return False


def _share(ours: Claim, theirs: Claim, locations: Locations, test_areas: str) -> bool:
    """Return whether two paths are, or hold, the same place, by whatever name.

    Who only reads a directory that holds all test areas shares nothing: what is there is nobody's production.
    """
    areas = locations.get(test_areas, ())[:1]
    for mine in locations.get(ours.value, ()):
        for other in locations.get(theirs.value, ()):
            holds_areas = any(_is_in(area, other) and _is_in(mine, area) for area in areas)
            if (_is_in(mine, other) or _is_in(other, mine)) and (theirs.writable or not holds_areas):
                return True
    return False


def _is_in(one: Location, other: Location) -> bool:
    return one.device == other.device and is_within(one.path, other.path)


class Published(NamedTuple):
    ip: str
    ports: range
    protocol: str


def published(text: str) -> Published:
    """Return what `[ip:][host]:container[/protocol]` takes of the host; no ports where the engine picks them."""
    pair, _, protocol = text.partition("/")
    match = re.fullmatch(r"(?:(?:\[(.*)\]|([^:\]]*)):)?([\d-]*):[\d-]+", pair)
    if not match:
        return Published("", range(0), "")
    first, _, last = match[3].partition("-")
    ports = range(int(first), int(last or first) + 1) if first.isdigit() and (last or first).isdigit() else range(0)
    return Published(_address(match[1] or match[2] or ""), ports, protocol.lower() or "tcp")


ANY_ADDRESS = {"", "0.0.0.0", "::"}  # noqa: S104 - compared, not bound


def _same_port(ours: str, theirs: str) -> bool:
    mine, other = published(ours), published(theirs)
    if mine.protocol != other.protocol or not set(mine.ports) & set(other.ports):
        return False
    return mine.ip == other.ip or mine.ip in ANY_ADDRESS or other.ip in ANY_ADDRESS


_SAID_BY: Mapping[Kind, Key[Any]] = {
    Kind.NAME: NAME,
    Kind.ADDRESS: IP,
    Kind.PORT: PORTS,
    Kind.DEVICE: MOUNT_DEVICES,
    Kind.CONTAINER: NETWORK,
    Kind.VOLUME: EXTRA_DOCKER,
}


def where_said(claim: Claim, settings: Settings, service: str) -> str:
    """Return which line of the settings brings a claim about."""
    raw: tuple[str, ...] = settings[EXTRA_DOCKER]
    if claim in claims_of(raw):
        return settings.value(EXTRA_DOCKER).source
    if claim.kind is Kind.PATH:
        return mounted_at(claim.value, settings, service)
    return settings.values[_SAID_BY[claim.kind].name].source
