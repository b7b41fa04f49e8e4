"""No instance under test shares anything with production: 10,000 hosts, each with one to four services.

A host is drawn as a few numbers that pick prepared pieces: lines of settings that are read once, when this module is
imported (so no example costs a parser), links, and bind mounts. What decides is the real thing, from settings to
`isolation.refuse_sharing` and `paths.locations_of`; only the host is a model: links, a table of mounts, what exists.

What judges knows nothing of it. The oracle reads command lines as an engine does, from the first word to the image, and
walks the model by replaying its mounts. For dev and test of each service either there is an error, which names both
places, or the oracle finds nothing that any production has too, but what mount_persistent names.

In the last tests parts of the check are taken out one by one, and the oracle has to see what then slips through.
"""

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fnmatch import fnmatchcase
from functools import cached_property, lru_cache
from itertools import chain, count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dockyard import host, isolation, paths
from dockyard.engine.dialect import DOCKER
from dockyard.engine.models import Image, Network
from dockyard.errors import DockyardError, SettingsError
from dockyard.plan import isolation as plan_isolation
from dockyard.plan.facts import Facts, HostFacts, Location, PathFact, Questions
from dockyard.plan.isolation import Kind
from dockyard.plan.launch import LaunchOptions, LaunchPlan, plan_launch, questions
from dockyard.service import Service
from dockyard.settings import resolve as settings_of_layers
from dockyard.settings.keys import IMAGE, KEYS, MOUNT_PERSISTENT, NAME
from dockyard.settings.nodes import Mapping, Node, Scalar
from dockyard.settings.nodes import Sequence as ListNode
from dockyard.settings.resolve import Settings, Value, resolve
from dockyard.settings.values import Mode

EXAMPLES = 10_000
BASE = "/rw/dv"
SERVICES = ("web", "mail", "test-web", "shop")
ADDRESSES = {"web": "10.1.3.7", "mail": "10.1.1.8", "test-web": "10.1.1.7"}

# ------------------------------------------------------------------------------------------------ pieces of settings
SOURCES = (
    *("data", "data/sub", "log", "missing", ".", "data/*", "link", "link/deep"),
    *("/rw/dv", "/rw/dv/web", "/rw/dv/web/data", "/rw/dv/mail/data/sub", "/rw/dv/mail/log", "/rw/dv/test-web/data"),
    *("/rw/dv/TMP", "/rw/dv/TMP/web/data", "/rw/dv/TMP/mail@dev", "/", "/srv", "/srv/a", "/srv/a/b", "/srv/shared"),
    *(
        "/srv/*",
        "/links/data",
        "/links/srv/b",
        "/links/base/mail/data",
        "/mnt/bind",
        "/mnt/bind/data",
        "/mnt/other/sub",
    ),
)
MOUNT_KEYS = tuple(name for name in KEYS if name.startswith("mount_") and name != "mount_devices")
VOLUMES: tuple[Any, ...] = ("data", "log/x", "new", "/srv/made", {"path": "data/file", "contents": "x"})
PORTS = (
    *("80:80", "8080:80", "10080:80", "127.0.0.1:10080:80", "192.0.2.1:10080:81", "20080:80", "18080:1", "81:80"),
    *("53:53", "53:53/udp", "10053:53/udp", "79-81:79-81", "10079-10081:79-81", "60000:1", "[::1]:10080:80"),
)
DEVICES = ("/dev/ttyUSB0", "/dev/snd", "/dev/snd/seq", "/dev/null", "/dev/dri/renderD128", "/links/tty", "/dev/tty*")
RAW_MOUNTS = (
    *(("-v", "/srv/a:/x"), ("-v/srv/a/b:/x",), ("--volume=/rw/dv/web/data:/x:ro",), ("-itv", "/links/srv:/x")),
    *(("-v", "named:/x"), ("-v", "named:/x:ro"), ("-v", "/anonymous"), ("-v", "/mnt/bind/data:/x:rw,z")),
    *(("--mount", "type=bind,src=/mnt/bind,dst=/x"), ("--mount=type=BIND,Source=/srv/shared,target=/x",)),
    *(("--mount", "type=bind,source=/rw/dv/mail,target=/x,readonly"), ("--mount", "source=named,target=/x")),
    *(("--volume", "named:/y:z"), ("-v=named:/y",)),
)
RAW_OTHERS = (
    *(("-p", "10080:80"), ("-dp", "192.0.2.1:10080:80"), ("--publish=80:80/UDP",), ("-p=127.0.0.1:8080:80",)),
    *(("-p", "10078-10080:1-3"), ("-p", "80"), ("-p", "[0:0:0:0:0:0:0:1]:10080:80")),
    *(("--device", "/dev/ttyUSB0:/dev/x:r"), ("--device=/dev/snd",), ("--device", "/links/tty")),
    *(("--name", "web"), ("--name=shop",), ("--ip", "10.1.3.7"), ("--ip6", "2001:db8::7"), ("--ip6=2001:DB8:0::7",)),
    *(("--network", "other:ip=10.1.3.7"), ("--network=container:vpn",)),
)
RAW_CONTAINERS = (
    *(("--volumes-from", "web"), ("--volumes-from=mail:ro",), ("--pid", "container:mail"), ("--volumes-from", "box")),
    *(("--network", "container:test-web"), ("--network=container:mail",)),
)
NAMES = (
    *(("name", name) for name in ("web", "mail", "test-web", "shop", "test-mail")),
    *(("name_prefix", prefix) for prefix in ("", "dev-", "test-")),
)
OTHERS: tuple[tuple[str, Any], ...] = (
    *(("hostname", "web"), ("network", "net"), ("network", "none"), ("network", "container:vpn")),
    *(("ip", ip) for ip in ("10.1.3.7", "10.1.1.7", "10.1.1.8", "web", "mail", "0")),
    *(("subnet", subnet) for subnet in ("1", "3", "7")),
    *(("port_offset", offset) for offset in ("auto", "1", "2000")),
    *(("ipv6_ports", "true"), ("user", "33")),
)
EMPTIED = ("mount_rw", "mount_devices", "extra_docker", "ports")


class Piece(NamedTuple):
    """Some of what one key holds; those of a list key are put together, of any other the last counts."""

    spelling: str
    value: Any
    where: str


def _node(value: object, where: str) -> Node:
    if isinstance(value, dict):
        return Mapping(tuple((Scalar(key, where), _node(inner, where)) for key, inner in value.items()), where)
    if isinstance(value, list | tuple):
        return ListNode(tuple(_node(inner, where) for inner in value), where)
    return Scalar(str(value), where)


def _written() -> Iterator[tuple[int, list[tuple[str, Any]]]]:
    """Yield settings, kind by kind with weights, so that hundreds of mounts do not crowd out the rest."""
    mounts = [[(key, [f"{s}:/t{n}{'/' * ('*' in s)}"]) for n, s in enumerate(SOURCES)] for key in MOUNT_KEYS]
    yield 2, [pair for pairs in mounts for pair in pairs]
    yield 1, mounts[MOUNT_KEYS.index("mount_test_only")]
    yield 1, [("vols", [volume]) for volume in VOLUMES]
    yield 2, [("ports", [port]) for port in PORTS]
    yield 1, [("mount_devices", [device]) for device in DEVICES]
    yield 2, [("extra_docker", raw) for raw in RAW_MOUNTS]
    yield 1, [("extra_docker", raw) for raw in RAW_OTHERS]
    yield 1, [("extra_docker", raw) for raw in RAW_CONTAINERS]
    yield 1, list(NAMES)
    yield 1, list(OTHERS)


LINES = count(1)


def _piece(spelling: str, written: object) -> Piece:
    where = f"settings.yaml:{next(LINES)}"
    type_ = KEYS[spelling.removeprefix("test_").removeprefix("dev_")].type
    return Piece(spelling, type_.nothing if written == "" else type_.read(_node(written, f"{where}:5")), where)


def _pieces() -> Iterator[tuple[int, list[tuple[Piece, ...]]]]:
    """Yield pieces with and without each override, and some that only together do anything; weights before."""
    for weight, pairs in _written():
        yield weight, [(_piece(f"{prefix}{key}", value),) for key, value in pairs for prefix in ("", "test_", "dev_")]
    yield 1, [(_piece(f"test_{key}", ""),) for key in EMPTIED]
    net = (_piece("network", "net"), _piece("test_network", "net"))
    yield (
        1,
        [
            (*net, _piece("ip", ip), _piece(*own))
            for ip in ("10.1.3.7", "10.1.1.7", "web", "-")
            for own in (("test_ip", "10.1.1.7"), ("subnet", "1"), ("test_subnet", "1"), ("ip", ip))
        ],
    )


PIECES = st.sampled_from([pieces for weight, pieces in _pieces() for _ in range(weight)]).flatmap(st.sampled_from)


# Only what a piece can say is resolved for each example; all other keys have their defaults.
DRAWN = (*MOUNT_KEYS, "mount_devices", "vols", "ports", "extra_docker", *(key for key, _ in (*NAMES, *OTHERS)))
SAID = {name: KEYS[name] for name in (*DRAWN, IMAGE.name)}
UNSAID = {mode: resolve([{}], mode, {}).values for mode in Mode}


def _layer(pieces: Sequence[Piece]) -> dict[str, Value[Any]]:
    layer: dict[str, Value[Any]] = {}
    for piece in pieces:
        before = layer.get(piece.spelling)
        joined = (*before.value, *piece.value) if before and isinstance(piece.value, tuple) else piece.value
        layer[piece.spelling] = Value(joined, piece.where, piece.spelling)
    return layer


# ------------------------------------------------------------------------------------------------- a model of a host
LINKS = (
    *(("/links/data", "/rw/dv/web/data"), ("/links/srv", "/srv/a"), ("/links/base", "/rw/dv")),
    *(("/links/tty", "/dev/ttyUSB0"), ("/rw/dv/web/link", "/srv"), ("/rw/dv/mail/data/link", "/rw/dv/web")),
    *(("/srv/shared", "/rw/dv/mail/log"), ("/rw/dv/TMP", "/srv/a"), ("/rw/dv/test-web", "/rw/dv/web")),
)
BINDS = (
    *(("/rw/dv/web", "/mnt/bind"), ("/srv/a", "/mnt/bind"), ("/srv/a/b", "/rw/dv/mail/data"), ("/rw/dv", "/mnt/other")),
    *(("/rw/dv/mail/data", "/mnt/other/sub"), ("/srv", "/rw/dv/web/log"), ("/mnt/bind", "/srv/shared")),
    *(("/rw/dv/web/data", "/rw/dv/TMP/web/data"), ("/srv/a", "/srv"), ("/mnt/bind/data", "/rw/dv/test-web/data")),
)
TREE = frozenset(
    (
        *("/", "/rw", "/rw/dv", "/rw/dv/TMP", "/srv", "/srv/a", "/srv/a/b", "/srv/shared", "/mnt", "/mnt/bind"),
        *("/mnt/other", "/mnt/other/sub", "/links", "/dev", "/dev/ttyUSB0", "/dev/snd", "/dev/snd/seq", "/dev/null"),
        *("/dev/dri", "/dev/dri/renderD128", "/dev/tty0", "/rw/dv/web/link", "/rw/dv/web/link/deep"),
        *(f"/rw/dv/{name}{below}" for name in SERVICES for below in ("", "/data", "/data/sub", "/log")),
    )
)


def _within(path: str, directory: str) -> bool:
    return path == directory or path.startswith(directory.rstrip("/") + "/")


class Inode(NamedTuple):
    device: str
    path: str


class World:
    """Links by their paths, and bind mounts in the order of their creation; /srv is a separate disk."""

    def __init__(self, links: Sequence[tuple[str, str]], binds: Sequence[tuple[str, str]]) -> None:
        self.links = dict(links)
        self.mounts: list[tuple[str, Inode]] = [("/", Inode("8:1", "/")), ("/srv", Inode("8:2", "/"))]
        self._real: dict[str, str] = {}
        for source, point in binds:
            self.mounts.append((self.real(point), self.inode(self.real(source))))

    def real(self, path: str) -> str:
        """Return a path without links."""
        if path not in self._real:
            self._real[path] = self._followed(path)
        return self._real[path]

    def _followed(self, path: str, depth: int = 0) -> str:
        done = ""
        todo = [part for part in path.split("/") if part]
        while todo:
            done = f"{done}/{todo.pop(0)}"
            if done in self.links and depth < 9:
                return self._followed("/".join([self.links[done], *todo]), depth + 1)
        return done or "/"

    def inode(self, real: str) -> Inode:
        """Return what is at a path without links: the last mount that covers it shows it."""
        point, root = next(mount for mount in reversed(self.mounts) if _within(real, mount[0]))
        below = real[len(point) :].strip("/")
        return Inode(root.device, f"{root.path.rstrip('/')}/{below}".rstrip("/") or "/")

    def table(self) -> list[paths.MountPoint]:
        """Return the mounts as /proc/self/mountinfo has them: each is mounted on what was in its place before."""
        rows = []
        for number, (point, root) in enumerate(self.mounts):
            parent = max((n for n in range(number) if _within(point, self.mounts[n][0])), default=-1)
            rows.append(paths.MountPoint(str(number), str(parent), root.device, root.path, point, "ext4", "/dev/sda"))
        return rows

    @cached_property
    def _there(self) -> frozenset[Inode]:
        plain = World((), ())
        return frozenset(plain.inode(path) for path in TREE)

    def facts(self, asked: Sequence[str]) -> dict[str, PathFact]:
        found = {}
        for path in asked:
            real = self.real(path)
            if self.inode(real) in self._there:
                kind = "other" if real.startswith("/dev/") and real not in {"/dev/snd", "/dev/dri"} else "directory"
                found[path] = PathFact(kind, 0, 0, 0o755, real)
        return found

    def matches(self, patterns: Sequence[str]) -> dict[str, tuple[str, ...]]:
        names = sorted(TREE | set(self.links))
        return {
            pattern: tuple(n for n in names if n.count("/") == pattern.count("/") and fnmatchcase(n, pattern))
            for pattern in patterns
        }


# -------------------------------------------------------------------------------------- deciding, as dockyard does it
class Host:
    """One example, in the shape of a Yard: production's settings of all its services."""

    def __init__(self, world: World, layers: dict[str, dict[str, Value[Any]]]) -> None:
        self.world = world
        self.layers = layers
        self.services = [Service(Path(f"/src/{name}")) for name in layers]
        self.engine = SimpleNamespace(dialect=DOCKER)
        self.told: dict[tuple[str, bool], tuple[str, ...]] = {}
        self._loaded: dict[tuple[str, Mode], Settings] = {}

    def load(self, service: Service, mode: Mode = Mode.PROD, file: str = "") -> Settings:
        assert not file
        key, named = (service.name, mode), Value(service.name, "the directory's name")
        if key not in self._loaded:
            defaults = {NAME.name: named, IMAGE.name: named}
            said = resolve([{}, self.layers[service.name], {}, {}], mode, defaults)
            self._loaded[key] = Settings(mode, {**UNSAID[mode], **said.values})
        return self._loaded[key]

    def plan(self, service: Service, mode: Mode) -> LaunchPlan:
        """Return a launch on this host; for production as if all were there that it needs. Raises DockyardError."""
        loaded = self.load(service, mode)
        asked = questions(service.name, loaded, LaunchOptions(), DOCKER, "harbour")
        return plan_launch(service.name, loaded, self._facts(asked, everything=mode is Mode.PROD), LaunchOptions())

    def _facts(self, asked: Questions, *, everything: bool) -> Facts:
        matches = self.world.matches(asked.patterns)
        wanted = [*asked.paths, *(path for found in matches.values() for path in found)]
        there = self.world.facts(wanted)
        if everything:
            there = {path: fact._replace(real=path) for path, fact in there.items()}
            there |= {path: PathFact("directory", 0, 0, 0o755, path) for path in {*wanted} - {*there, *asked.made}}
        return Facts(
            dialect=DOCKER,
            host=HostFacts("harbour"),
            images={asked.images[0]: Image("1" * 64)},
            network=Network(asked.network, "bridge") if asked.network else None,
            addresses={name: ADDRESSES[name] for name in asked.lookups if name in ADDRESSES},
            paths=there,
            matches=matches,
        )


@st.composite
def _hosts(draw: Callable[..., Any]) -> Host:
    number = draw(st.sampled_from((1, 2, 2, 3, 4)))
    first = draw(st.integers(0, 3))
    names = [SERVICES[(first + n) % 4] for n in range(number)]
    picked = {name: draw(st.lists(PIECES, max_size=5 if number < 3 else 3)) for name in names}
    world = World(
        draw(st.lists(st.sampled_from(LINKS), max_size=3, unique=True)),
        draw(st.lists(st.sampled_from(BINDS), max_size=2, unique=True)),
    )
    return Host(world, {name: _layer([*chain(*bundles)]) for name, bundles in picked.items()})


@contextmanager
def _on(current: dict[str, Host]) -> Iterator[None]:
    """Have dockyard see the current example instead of this host, and plan each production of it once."""
    plan_production = isolation.production_flags

    def once(service: Service, loaded: Settings, dialect: Any, *, with_addresses: bool) -> tuple[str, ...]:  # noqa: ANN401
        told, key = current["host"].told, (service.name, with_addresses)
        if key not in told:
            told[key] = plan_production(service, loaded, dialect, with_addresses=with_addresses)
        return told[key]

    def world() -> World:
        return current["host"].world

    model = SimpleNamespace(path=SimpleNamespace(realpath=lambda path: world().real(path)))
    with ExitStack() as stack:
        for module, attribute, instead in (
            (settings_of_layers, "KEYS", SAID),
            (isolation, "production_flags", once),
            (isolation, "claims_of", lru_cache(256)(isolation.claims_of)),
            (isolation, "where_said", lru_cache(256)(isolation.where_said)),
            (paths, "os", model),
            (paths, "mount_table", lambda: world().table()),
            (paths, "matches_of", lambda patterns: world().matches(tuple(patterns))),
            (paths, "path_facts", lambda asked: world().facts(tuple(asked))),
            (host, "host_facts", lambda: HostFacts("harbour")),
            (host, "addresses_of", lambda names: {name: ADDRESSES[name] for name in names if name in ADDRESSES}),
        ):
            stack.enter_context(patch.object(module, attribute, instead))
        yield


# --------------------------------------------------------------------------------------------------------- the oracle
ALONE = {"--detach", "--rm", "--interactive", "--tty", "-d", "-i", "-t"}
EVERYBODYS = re.compile(r"/dev/(null|dri/renderD\d+)")
ANYWHERE = {None, ipaddress.ip_address("0.0.0.0"), ipaddress.ip_address("::")}  # noqa: S104


class Told(NamedTuple):
    """The values of an engine's flags."""

    names: list[str]
    ports: list[tuple[Any, int, str]]
    addresses: list[Any]
    devices: list[str]
    binds: list[tuple[str, bool]]
    volumes: list[tuple[str, bool]]
    containers: list[str]


def _told(argv: Sequence[str]) -> Told:
    """Read a command line as an engine does: flag by flag, up to the image."""
    told = Told([], [], [], [], [], [], [])
    words = iter(argv[1:])
    for word in words:
        if word in ALONE:
            continue
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            _note(told, name, value if equals else next(words))
        elif word.startswith("-"):
            letters = word[1:].lstrip("dit")
            _note(told, f"-{letters[0]}", letters[1:].removeprefix("=") or next(words))
        else:
            return told
    raise AssertionError(f"no image in {argv}")


def _note(told: Told, flag: str, value: str) -> None:  # noqa: C901 - one case a flag
    match flag:
        case "--name":
            told.names.append(value)
        case "--publish" | "-p":
            told.ports.extend(_ports(value))
        case "--ip" | "--ip6":
            told.addresses.append(ipaddress.ip_address(value))
        case "--device":
            told.devices.append(value.split(":", maxsplit=1)[0])
        case "--volume" | "-v":
            source, colon, rest = value.partition(":")
            if colon:
                _note_source(told, source, "ro" not in rest.split(":")[-1].split(","))
        case "--mount":
            fields = dict((field.lower() + "=").split("=")[:2] for field in value.split(","))
            source = next(
                field.partition("=")[2] for field in value.split(",") if field.lower().startswith(("src", "sou"))
            )
            _note_source(told, source, "readonly" not in fields)
        case "--network" | "--pid":
            if value.startswith("container:"):
                told.containers.append(value.removeprefix("container:"))
            if ":ip=" in value:
                told.addresses.append(ipaddress.ip_address(value.partition(":ip=")[2]))
        case "--volumes-from":
            told.containers.append(value.split(":", maxsplit=1)[0])


def _note_source(told: Told, source: str, writable: bool) -> None:
    (told.binds if source.startswith("/") else told.volumes).append((source, writable))


def _ports(value: str) -> Iterator[tuple[Any, int, str]]:
    """Yield address, host port and protocol; a port that the engine chooses conflicts with nothing."""
    pair, _, protocol = value.lower().partition("/")
    parts = pair.rsplit(":", 2)
    if len(parts) == 1 or not parts[-2]:
        return
    ip = ipaddress.ip_address(parts[0].strip("[]")) if len(parts) == 3 and parts[0] else None
    first, _, last = parts[-2].partition("-")
    for port in range(int(first), int(last or first) + 1):
        yield ip, port, protocol or "tcp"


class Oracle:
    """What two command lines would share on a host, found by looking at every path that matters."""

    def __init__(self, world: World, told: Sequence[Told]) -> None:
        self._world = world
        named = {path for one in told for path in (*(source for source, _ in one.binds), *one.devices)}
        known = {*TREE, *map(world.real, named)}
        for _ in range(2):  # what is seen through a mount, and through a mount of a mount
            inodes = {world.inode(path) for path in known}
            for point, root in world.mounts:
                below = (inode.path for inode in inodes if inode.device == root.device)
                known |= {self._moved(path, root.path, point) for path in below if _within(path, root.path)}
        self._known = [(path, world.inode(path)) for path in known if world.real(path) == path]
        self._reached: dict[str, frozenset[Inode]] = {}
        areas = world.inode(world.real(f"{BASE}/TMP"))
        self._areas = frozenset(
            inode for _, inode in self._known if inode.device == areas.device and _within(inode.path, areas.path)
        )

    @staticmethod
    def _moved(path: str, above: str, point: str) -> str:
        return f"{point.rstrip('/')}/{path[len(above) :].strip('/')}".rstrip("/") or "/"

    def _reach(self, source: str) -> frozenset[Inode]:
        """Return everything that is accessible through a path of the host."""
        if source not in self._reached:
            real = self._world.real(source)
            self._reached[source] = frozenset(inode for path, inode in self._known if _within(path, real))
        return self._reached[source]

    def shared(self, ours: Told, theirs: Told, allowed: set[str]) -> set[Kind]:
        """Return in what an instance under test would meet a production; `allowed` are sources it may share."""
        found = {
            Kind.NAME: {*ours.names} & {*theirs.names},
            Kind.ADDRESS: {*ours.addresses} & {*theirs.addresses},
            Kind.CONTAINER: {*ours.containers} & {*theirs.names, *theirs.containers},
            Kind.VOLUME: {name for name, writable in ours.volumes if writable} & {name for name, _ in theirs.volumes},
            Kind.PORT: any(self._same_port(a, b) for a in ours.ports for b in theirs.ports),
            Kind.DEVICE: any(
                self._reach(a) & self._reach(b)
                for a in ours.devices
                for b in theirs.devices
                if not EVERYBODYS.fullmatch(a)
            ),
            Kind.PATH: any(
                self._reach(source) & self._reach(other) - (frozenset() if also_writes else self._areas)
                for source, writable in ours.binds
                for other, also_writes in theirs.binds
                if writable and source not in allowed
            ),
        }
        return {kind for kind, what in found.items() if what}

    @staticmethod
    def _same_port(one: tuple[Any, int, str], other: tuple[Any, int, str]) -> bool:
        return one[1:] == other[1:] and (one[0] == other[0] or bool({one[0], other[0]} & ANYWHERE))


def _persistent(loaded: Settings, service: str, world: World) -> set[str]:
    """Return what mount_persistent names."""
    sources = [mount.source for mount in loaded[MOUNT_PERSISTENT]]
    whole = [
        source if source.startswith("/") else f"{BASE}/{service}/{source}".removesuffix("/.") for source in sources
    ]
    return {*whole, *(match for found in world.matches(whole).values() for match in found)}


# -------------------------------------------------------------------------------------------------------- the property
CANNOT_BE = re.compile(r"is the target of both|and a (directory|file) is asked for")


def _names_both_places(error: SettingsError, services: Sequence[Service]) -> bool:
    """Return whether each problem names our line, and the line and service of the production that it conflicts with."""
    whose = "|".join(re.escape(service.name) for service in services)
    place = r"(settings\.yaml:\d+(:\d+)?|the directory's name|default)"
    return all(
        re.fullmatch(place, problem.where)
        and re.search(rf" would share .* with production of `({whose})`, {place}$", problem.message)
        and problem.hint
        for problem in error.problems
    )


def _judge(current: Host, seen: Counter[str]) -> set[Kind]:
    """Return what instances under test share with production without a refusal; `seen` counts examples."""
    plans: dict[tuple[str, Mode], LaunchPlan] = {}
    refused = set()
    for service in current.services:
        for mode in (Mode.PROD, Mode.DEV, Mode.TEST):
            try:
                plans[service.name, mode] = current.plan(service, mode)
            except DockyardError as error:
                # Production that nobody can launch, whatever is there, is compared with nothing.
                assert mode is not Mode.PROD or CANNOT_BE.search(str(error)), error.lines()  # noqa: PT017 - both are right
                refused |= {mode} - {Mode.PROD}
    told = {key: _told(plan.argv) for key, plan in plans.items()}
    oracle = Oracle(current.world, list(told.values()))
    productions = [told[name, mode] for name, mode in told if mode is Mode.PROD]
    met: set[Kind] = set()
    slipped: set[Kind] = set()
    for (name, mode), plan in plans.items():
        if mode is Mode.PROD:
            continue
        allowed = _persistent(plan.settings, name, current.world)
        shared = set().union(*(oracle.shared(told[name, mode], theirs, allowed) for theirs in productions))
        met |= shared
        try:
            isolation.refuse_sharing(current, Service(Path(f"/src/{name}")), plan)
        except SettingsError as error:
            assert _names_both_places(error, current.services), error.lines()  # noqa: PT017 - both ways are right
            refused.add(mode)
            seen["refused without need"] += not shared
        else:
            slipped |= shared
            seen["launches that nobody refuses"] += 1
        seen["launches"] += 1
    seen["examples"] += 1
    seen["examples without a refusal"] += not refused
    seen["examples that would share something"] += bool(met)
    seen.update(f"would share a {kind.value}" for kind in met)
    return slipped


def _run(examples: int, judged: Callable[[set[Kind]], None], *phases: Phase) -> Counter[str]:
    """Judge so many examples; returns what was seen."""
    seen: Counter[str] = Counter()
    current: dict[str, Host] = {}

    @given(_hosts())
    @settings(max_examples=examples, phases=phases or tuple(Phase), suppress_health_check=[HealthCheck.too_slow])
    def judge(example: Host) -> None:
        current["host"] = example
        judged(_judge(example, seen))

    with _on(current):
        judge()
    return seen


class SlippedThroughError(Exception):
    """Something that an instance under test shares with production without a refusal."""


def _first_to_slip_through() -> set[Kind]:
    """Return the oracle's first finding. Raises AssertionError if it finds nothing in many examples."""

    def tell(slipped: set[Kind]) -> None:
        if slipped:
            raise SlippedThroughError(slipped)

    with pytest.raises(SlippedThroughError) as found:
        _run(2000, tell, Phase.generate)
    return found.value.args[0]


def test_an_instance_under_test_is_refused_or_shares_nothing_with_any_production():
    def nothing_slips_through(slipped: set[Kind]) -> None:
        assert slipped == set()

    seen = _run(EXAMPLES, nothing_slips_through)
    assert seen["examples"] >= EXAMPLES
    assert seen["examples without a refusal"] >= 0.2 * seen["examples"], seen
    assert seen["examples that would share something"] >= 0.1 * seen["examples"], seen
    assert all(seen[f"would share a {kind.value}"] >= 50 for kind in Kind), seen


@pytest.mark.parametrize("kind", list(Kind), ids=lambda kind: kind.value)
def test_the_oracle_sees_what_slips_through_a_check_that_passes_over_one_kind(kind: Kind):
    """A property that cannot fail proves nothing."""
    clash = plan_isolation._clash  # noqa: SLF001 - a part of the check

    def blind(ours: Any, theirs: Any, *others: Any) -> bool:  # noqa: ANN401
        return ours.kind is not kind and clash(ours, theirs, *others)

    with patch.object(plan_isolation, "_clash", blind):
        assert _first_to_slip_through() == {kind}


def test_the_oracle_sees_what_slips_through_where_nothing_is_compared():
    with patch.object(isolation, "conflicts", lambda *_: []):
        assert _first_to_slip_through()


def test_the_oracle_sees_what_slips_through_where_paths_are_compared_by_name_alone():
    """Links and bind mounts matter: comparing spellings would let tests write to production."""

    def by_name(asked: Sequence[str]) -> dict[str, tuple[Any, ...]]:
        return {path: (Location("", path),) for path in asked}

    with patch.object(paths, "locations_of", by_name):
        assert _first_to_slip_through() & {Kind.PATH, Kind.DEVICE}
