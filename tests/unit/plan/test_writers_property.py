"""No launch of production has a second writer: 10,000 hosts, each with containers of two engines and one launch.

A launch is a few flags of the engine, a container an answer to `inspect`. Links, bind mounts and sockets are those of a
model host. What decides is the real thing, from `Neighbours.refuse` to `paths.locations_of`. The oracle reads flags and
answers by itself, and finds what each can write to by walking the model: two sets of places that meet are a conflict.
"""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any, NamedTuple, Self
from unittest.mock import patch

from dockyard import launches, paths, writers
from dockyard.engine.dialect import DOCKER, PODMAN, Dialect
from dockyard.errors import InUseError
from dockyard.plan import writers as plan_writers
from dockyard.plan.facts import Location
from dockyard.plan.isolation import Kind
from tests.unit.plan.test_isolation_property import BINDS, LINKS, Oracle, Told, World

HOSTS = 10_000

SOURCES = (
    *("/rw/dv/web/data", "/rw/dv/web/data/sub", "/rw/dv/web", "/rw/dv/web/log", "/rw/dv/mail/data", "/rw/dv/mail/log"),
    *("/rw/dv/test-web/data", "/srv", "/srv/a", "/srv/a/b", "/srv/shared", "/links/data", "/links/srv/b", "/mnt/bind"),
    *("/links/base/mail/data", "/mnt/bind/data", "/mnt/other/sub", "/srv/new", "/rw/dv/web/link/a"),
)
SOCKETS = ("/srv/a/b", "/rw/dv/mail/log")
HARMLESS = ("/", "/etc/localtime", "/sys/fs/cgroup", "/var/lib/docker/volumes", "/dev/shm", "/lib/modules")  # noqa: S108
VOLUMES = {"plain": "", "spool": "", "pg": "/srv/a", "mail": "/rw/dv/mail/data", "linked": "/links/data"}
"""Named volumes of docker, with the directory of the host that each shows, if any."""
DEVICES = ("/dev/ttyUSB0", "/links/tty", "/dev/tty0", "/dev/dri/renderD128", "/dev/snd/seq", "/dev/null")
FOR_MANY = {"/dev/dri/renderD128", "/dev/snd/seq", "/dev/null"}
ADDRESSES = ("10.1.3.7", "10.1.3.8", "2001:db8::7")
NAMES = ("web", "web.old", "web.next", "web-x", "mail", "test-web", "foreign")
OURS = "web"


class Mounted(NamedTuple):
    """A mount of a launch or of a container: a path or a volume, read-write or not."""

    source: str
    writable: bool

    @property
    def is_volume(self) -> bool:
        return not self.source.startswith("/")


class Box(NamedTuple):
    """A container, or the launch."""

    engine: str
    name: str
    service: str
    mode: str
    mounts: tuple[Mounted, ...]
    devices: tuple[tuple[str, str], ...]
    addresses: tuple[str, ...]


class Example(NamedTuple):
    """A host: its links and mounts, its sockets, the containers that run, a launch, and what that may share."""

    world: World
    sockets: frozenset[str]
    boxes: tuple[Box, ...]
    launch: Box
    permitted: tuple[str, ...]
    partners: tuple[str, ...]
    spelling: random.Random


def _box(draw: random.Random, engine: str, name: str, service: str, mode: str) -> Box:
    names = list(VOLUMES) if engine == "docker" else ["plain", "spool"]
    pool = [*SOURCES, *names, *draw.sample(HARMLESS, k=2)]
    sources = draw.sample(pool, k=draw.choice((0, 1, 2, 2, 3)))
    mounts = tuple(Mounted(source, draw.random() < 0.8) for source in sources)
    devices = tuple(
        (device, draw.choice(("", "rwm", "r"))) for device in draw.sample(DEVICES, draw.choice((0, 0, 0, 1)))
    )
    return Box(engine, name, service, mode, mounts, devices, tuple(draw.sample(ADDRESSES, draw.choice((0, 0, 0, 1)))))


def _example(number: int) -> Example:
    draw = random.Random(number)  # noqa: S311 - the same examples each time
    world = World(draw.sample(LINKS, k=draw.randrange(4)), draw.sample(BINDS, k=draw.randrange(3)))
    boxes = []
    for _ in range(draw.choice((0, 1, 2, 3, 4))):
        service, mode = draw.choice(
            (("web", "prod"), ("web", "test"), ("mail", "dev"), ("mail", "prod"), ("", ""), ("", ""))
        )
        boxes.append(_box(draw, draw.choice(("docker", "docker", "podman")), draw.choice(NAMES), service, mode))
    launch = _box(draw, "docker", OURS, "web", "prod")
    bound = [mount.source for mount in launch.mounts if not mount.is_volume]
    permitted = tuple(draw.sample(bound, k=len(bound) and draw.choice((0, 0, 0, 1))))
    named = [box.name for box in boxes if box.engine == "docker"]
    partners = tuple(draw.sample(named, k=len(named) and draw.choice((0, 0, 0, 0, 1))))
    sockets = frozenset(draw.sample(SOCKETS, k=draw.choice((0, 0, 1))))
    return Example(world, sockets, tuple(boxes), launch, permitted, partners, draw)


# -------------------------------------------------------------------------------------- as engines and dockyard have it
def _flags(example: Example) -> tuple[str, ...]:
    """Return the launch as words for the engine, each in one of its spellings."""
    launch, draw = example.launch, example.spelling
    words = ["run", "--name", launch.name]
    for number, (source, writable) in enumerate(launch.mounts):
        kind = "volume" if not source.startswith("/") else "bind"
        read_only = "" if writable else ",readonly"
        words += draw.choice(
            (
                ["--mount", f"type={kind},source={source},target=/t{number}{read_only}"],
                [f"--mount=type={kind},dst=/t{number},src={source}{read_only}"],
                ["-v", f"{source}:/t{number}{'' if writable else ':ro'}"],
                [f"--volume={source}:/t{number}:{'rw,z' if writable else 'z,ro'}"],
            )
        )
    for device, permissions in launch.devices:
        words += ["--device", f"{device}:/dev/x:{permissions}" if permissions else device]
    for address in launch.addresses:
        words += [f"--ip{'6' if ':' in address else ''}", address]
    for partner in example.partners:
        words += ["--volumes-from", partner]
    return tuple(words)


def _answer(box: Box) -> dict[str, Any]:
    """Return a container as `inspect` has it."""
    mounts = [
        {
            "Type": "volume" if mount.is_volume else "bind",
            "Name": mount.source if mount.is_volume else "",
            "Source": _point(mount.source, box.engine) if mount.is_volume else mount.source,
            "Destination": f"/t{number}",
            "RW": mount.writable,
        }
        for number, mount in enumerate(box.mounts)
    ]
    labels = {"dockyard.service": box.service, "dockyard.mode": box.mode} if box.service else None
    networks = {
        f"net{number}": {("GlobalIPv6Address" if ":" in address else "IPAddress"): address}
        for number, address in enumerate(box.addresses)
    }
    return {
        "Id": str(id(box)),
        "Name": f"/{box.name}",
        "State": {"Status": "running", "Pid": 0},
        "Config": {"Labels": labels},
        "Mounts": mounts,
        "HostConfig": {"Devices": [{"PathOnHost": path, "CgroupPermissions": word} for path, word in box.devices]},
        "NetworkSettings": {"Networks": networks},
    }


def _point(volume: str, engine: str = "docker") -> str:
    return f"/var/lib/{engine}/volumes/{volume}/_data"


class Fake:
    """An engine with the containers of an example, and docker's volumes."""

    def __init__(self, dialect: Dialect, boxes: tuple[Box, ...]) -> None:
        self.dialect = dialect
        self.boxes = {str(number): box for number, box in enumerate(boxes) if box.engine == dialect.name}

    def rows(self) -> list[Any]:
        return [SimpleNamespace(id=number, is_up=True) for number in self.boxes]

    def inspect(self, kind: str, *names: str) -> list[dict[str, Any]]:
        if kind == "container":
            return [_answer(self.boxes[name]) for name in names]
        shown = {
            name: {"type": "none", "o": "rbind", "device": VOLUMES[name]} if VOLUMES[name] else None for name in names
        }
        return [{"Name": name, "Mountpoint": _point(name), "Options": options} for name, options in shown.items()]


class _Inline:
    """An executor without threads: the fake engines answer immediately."""

    def __init__(self, _workers: int) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, function: Any, *arguments: Any) -> Any:  # noqa: ANN401
        return SimpleNamespace(result=lambda: function(*arguments))


@contextmanager
def _on(current: dict[str, Example]) -> Iterator[None]:
    """Have dockyard see the current example instead of this host."""

    @contextmanager
    def opened() -> Iterator[launches.Register]:
        yield launches.Register([])

    def real(path: str) -> str:
        return current["example"].world.real(path)

    model = SimpleNamespace(path=SimpleNamespace(realpath=real))
    with ExitStack() as stack:
        for module, attribute, instead in (
            (paths, "os", model),
            (paths, "mount_table", lambda: _with_volumes(current["example"]).table()),
            (launches, "open_register", opened),
            (writers, "_is_data", lambda path: real(path) not in current["example"].sockets),
            (writers, "_is_directory", lambda path: path.startswith("/")),
            (writers, "ThreadPoolExecutor", _Inline),
            (writers, "other_engines", lambda _: [Fake(PODMAN, current["example"].boxes)]),
        ):
            stack.enter_context(patch.object(module, attribute, instead))
        yield


def _with_volumes(example: Example) -> World:
    """Return the host with the volumes mounted that a container has: the engine mounts what they show."""
    mounted = {mount.source for box in example.boxes for mount in box.mounts if mount.is_volume}
    world = World((), ())
    world.mounts = list(example.world.mounts)
    for volume in sorted(volume for volume in mounted if VOLUMES[volume]):
        real, point = example.world.real(VOLUMES[volume]), _point(volume)
        below = [(f"{point}{at[len(real) :]}", root) for at, root in example.world.mounts if at.startswith(f"{real}/")]
        world.mounts += [(point, example.world.inode(real)), *below]
    return world


# --------------------------------------------------------------------------------------------------------- the oracle
def _writes(box: Box, oracle: Oracle, example: Example, *, permitted: tuple[str, ...] = ()) -> set[Any]:
    """Return everything that a container can write to or has: paths, volumes and addresses."""
    found: set[Any] = set()
    for source, writable in box.mounts:
        if not writable or source in HARMLESS or source in permitted:
            continue
        if source.startswith("/"):
            if example.world.real(source) not in example.sockets:
                found |= oracle._reach(source)  # noqa: SLF001 - what is below a path
        else:
            found |= {("volume", box.engine, source)} | (oracle._reach(VOLUMES[source]) if VOLUMES[source] else set())  # noqa: SLF001
    for device, permissions in box.devices:
        if permissions != "r" and device not in FOR_MANY:
            found.add(("device", example.world.real(device)))
    return found | {("address", address) for address in box.addresses}


def _expected(example: Example) -> set[str]:
    """Return the containers that conflict with the launch."""
    launch, world = example.launch, example.world
    if not example.boxes:
        return set()
    sources = [m.source for box in (*example.boxes, launch) for m in box.mounts if m.source.startswith("/")]
    volumes = {m.source for box in (*example.boxes, launch) for m in box.mounts if m.is_volume}
    everything = dict.fromkeys([*sources, *(VOLUMES[volume] for volume in volumes if VOLUMES[volume])])
    oracle = Oracle(world, [Told([], [], [], [], [(source, True) for source in everything], [], [])])
    ours = _writes(launch, oracle, example, permitted=example.permitted)
    for box in example.boxes:
        if box.engine == "docker" and box.name in example.partners:
            taken = _writes(box._replace(devices=(), addresses=()), oracle, example, permitted=example.permitted)
            ours |= taken
    blocking = set()
    for box in example.boxes:
        is_old = box.engine == "docker" and box.service == OURS and box.name in {"web", "web.old", "web.next"}
        is_own_test = box.service == OURS and box.mode in {"test", "dev"}
        is_partner = box.engine == "docker" and box.name in example.partners
        if not (is_old or is_own_test or is_partner) and ours & _writes(box, oracle, example):
            blocking.add(f"container `{box.name}` of {box.engine}")
    return blocking


# -------------------------------------------------------------------------------------------------------- the property
def _refused(example: Example) -> str:
    """Return why the launch is refused; empty if it is not."""
    launch = example.launch
    plan = SimpleNamespace(name=launch.name, service=launch.service, flags=_flags(example), permitted=example.permitted)
    neighbours = writers.Neighbours(Fake(DOCKER, example.boxes))  # type: ignore[arg-type]
    try:
        neighbours.refuse(plan)  # type: ignore[arg-type]
    except InUseError as error:
        assert error.hint  # noqa: PT017 - both ways are right
        return str(error)
    return ""


def _differences(hosts: int, seen: Counter[str]) -> list[tuple[int, set[str], str]]:
    """Return the examples on which dockyard and the oracle disagree."""
    current: dict[str, Example] = {}
    found = []
    with _on(current):
        for number in range(hosts):
            example = current["example"] = _example(number)
            expected, said = _expected(example), _refused(example)
            named = {
                f"container {part.partition(' ')[0]} of {part.split()[2]}" for part in said.split("container ")[1:]
            }
            seen["hosts"] += 1
            seen["refused"] += bool(expected)
            if expected != named:
                found.append((number, expected, said))
    return found


def test_a_launch_is_refused_exactly_if_a_running_container_writes_to_what_it_would_write_to():
    seen: Counter[str] = Counter()
    assert _differences(HOSTS, seen) == []
    assert seen["hosts"] >= 10_000
    assert 0.15 * HOSTS <= seen["refused"] <= 0.6 * HOSTS, seen


def test_the_oracle_sees_what_a_blind_check_lets_through():
    """A property that cannot fail proves nothing."""
    clash = plan_writers._clash  # noqa: SLF001 - a part of the check
    for kind in (Kind.PATH, Kind.VOLUME, Kind.DEVICE, Kind.ADDRESS):

        def blind(ours: Any, theirs: Any, kind: Kind = kind, **how: Any) -> bool:  # noqa: ANN401
            return ours.kind is not kind and clash(ours, theirs, **how)

        with patch.object(plan_writers, "_clash", blind):
            assert _differences(600, Counter()), kind


def test_the_oracle_sees_what_slips_through_if_paths_are_compared_by_name_alone():
    def by_name(asked: Any) -> dict[str, tuple[Location, ...]]:  # noqa: ANN401
        return {path: (Location("", path),) for path in asked}

    with patch.object(paths, "locations_of", by_name):
        assert _differences(600, Counter())
