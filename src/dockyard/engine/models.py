"""What the engine knows, as plain values made from its inspect answers."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dockyard.engine.entries import INIT, KEPT_USER, NUMERIC_USER, READ_ONLY, SECRETS, SYSTEMD, TIME_ZONE
from dockyard.engine.identity import (
    BASE_DIGESTS_LABEL,
    BASES_LABEL,
    SOURCE_LABEL,
    TRIMMED_FOR_LABEL,
    TRIMMED_LABEL,
    configuration_of,
    content_of,
)
from dockyard.settings.values import Mode

SERVICE_LABEL = "dockyard.service"
DIRECTORY_LABEL = "dockyard.directory"
MODE_LABEL = "dockyard.mode"
SECRETS_LABEL = "dockyard.secrets"
RUN_LABEL = "dockyard.run"
SHARED_LABEL = "dockyard.shared"
"""The paths, as a JSON list, to which other containers may write as well."""
DIGESTS_LABEL = "dockyard.secret-digests"
"""On a container: `VARIABLE=DIGEST` of each secret that it was launched with, keyed with the host's secret."""
LAUNCH_LABEL = "dockyard.launch"
"""A hash of all that a container was launched with, its image apart."""
UPGRADE_LABEL = "dockyard.upgrade"
"""On a container that takes another one's place: in which of the ways below."""
REPOSITORY_LABEL = "dockyard.repository"
"""On a container that takes another one's place: whose `:live` its image becomes."""
WAS_LIVE_LABEL = "dockyard.was-live"
"""On a container that takes another one's place: the id of the image that becomes `:prev`, if any."""
NEXT, OLD, REPLACED = ".next", ".old", ".replaced"
SUFFIXES = (NEXT, OLD, REPLACED)
"""What a switch appends to names; no service's container may have such a name."""
REPLACE, START_FIRST, LAUNCH = "replace", "start-first", "launch"
"""Values of the upgrade label. With the first two the old container stays for a rollback, with the second the new one
starts before it stops; with the third there is no old container."""
WAS_RESTART_LABEL = "dockyard.was-restart"
"""On a container that replaces another one: the old one's restart policy, if it is suspended during the switch."""

Answer = Mapping[str, Any]
"""One object of an inspect answer, as JSON has it."""


def secrets_in(answer: Answer) -> dict[str, str]:
    """Return the values that a container was launched with as secrets, by variable, from an inspect answer."""
    config = answer.get("Config") or {}
    names = ((config.get("Labels") or {}).get(SECRETS_LABEL) or "").split(",")
    variables = dict(variable.partition("=")[::2] for variable in config.get("Env") or ())
    return {name: variables[name] for name in names if name in variables}


class Image(NamedTuple):
    """An image; `id` is the engine's, without `sha256:`; `content` is equal on all engines and in all their stores.

    `layers` are directories of the host, the uppermost first, none if the engine does not say: layers/store.py finds
    them then, by the storage `driver` and the `diffs`, digests of the layers' tars, the lowest first. `environment`
    holds lines `K=V`, `exposed` ports such as `80/tcp`; `is_checked`: it says how its containers' health is checked.
    `bases` holds words `NAME=CONTENT` of the images that it was built on, `base_digests` words `NAME=DIGEST`.

    `configuration` is the part of `content` that is not files. `config_digest` is the digest of the OCI configuration,
    if the engine reports it beside an id that is another digest. `manifest_digest` is that of the manifest for this
    platform, if the engine lists it among the `digests` beside that of the index: podman does.
    """

    id: str
    user: str = ""
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    source: str = ""
    volumes: frozenset[str] = frozenset()
    environment: tuple[str, ...] = ()
    exposed: frozenset[str] = frozenset()
    is_checked: bool = False
    trimmed: str = ""
    trimmed_for: str = ""
    driver: str = ""
    diffs: tuple[str, ...] = ()
    content: str = ""
    configuration: str = ""
    config_digest: str = ""
    bases: str = ""
    manifest_digest: str = ""
    base_digests: str = ""

    def equals(self, other: "Image | None") -> bool:
        """Whether a container of one image and a container of the other run the same."""
        return other is not None and (self.id == other.id or (self.content != "" and self.content == other.content))


class BuildStep(NamedTuple):
    """One step of an image's history, in the words of what made it: a builder, a commit or a load."""

    created_by: str
    comment: str = ""


UNDER_TEST = frozenset(mode.value for mode in Mode if mode.isolated)
"""Values of the mode label: modes that keep a container from production."""


class Check(NamedTuple):
    """When the engine checks a container's health: seconds, and how many failures in a row make it unhealthy."""

    start_period: float
    interval: float
    timeout: float
    retries: int

    @property
    def patience(self) -> float:
        """The seconds after which it is either healthy or not."""
        return self.start_period + (self.retries + 1) * (self.interval + self.timeout)


NOBODY = 65534
"""As what the kernel shows an owner that has no id there."""


class IdRange(NamedTuple):
    """`size` ids that follow each other, as a container has them and as the host does."""

    inside: int
    outside: int
    size: int


class IdMap(NamedTuple):
    """Which ids of the host the ids in containers are. Without ranges they are the same."""

    uids: tuple[IdRange, ...] = ()
    gids: tuple[IdRange, ...] = ()

    def uid(self, inside: int) -> int | None:
        """Return the host's uid of a uid inside; None if the engine maps it to none."""
        return _outside(self.uids, inside)

    def gid(self, inside: int) -> int | None:
        """Return the host's gid of a gid inside; None if the engine maps it to none."""
        return _outside(self.gids, inside)

    def owner(self, uid: int, gid: int) -> tuple[int, int]:
        """Return what a container sees of an owner on the host; 65534 for an id that it has not."""
        return _inside(self.uids, uid), _inside(self.gids, gid)

    def owner_outside(self, uid: int, gid: int) -> tuple[int, int]:
        """Return what the host sees of an owner in a container; 65534 for an id that is not mapped."""
        found = self.uid(uid), self.gid(gid)
        return found[0] if found[0] is not None else NOBODY, found[1] if found[1] is not None else NOBODY


def _inside(ranges: tuple[IdRange, ...], outside: int) -> int:
    if not ranges:
        return outside
    found = (one.inside + outside - one.outside for one in ranges if 0 <= outside - one.outside < one.size)
    return next(found, NOBODY)


def _outside(ranges: tuple[IdRange, ...], inside: int) -> int | None:
    if not ranges:
        return inside
    return next((one.outside + inside - one.inside for one in ranges if 0 <= inside - one.inside < one.size), None)


KILLED = 128 + 9
"""The exit code of a container that SIGKILL ended."""


class Container(NamedTuple):
    """A container as it is now. `ports` are host addresses by `8080/tcp`; `health` is empty if nothing checks it.

    `layer` is where it writes, `layers` are what lies below, the uppermost first, `root` is where both are mounted as
    one while it runs; empty if the engine does not say: ask layers/store.py. `check_command` are the words of the
    health check, as the engine has them; `health_checked` is when the last one began, as the engine tells it. `runtime`
    is the name of what the engine starts it with, such as runc; `features` are those of entries.py; `ids` is a map that
    only it has.
    """

    id: str
    name: str
    status: str
    image_id: str
    image: str = ""
    pid: int = 0
    started: str = ""
    health: str = ""
    labels: Mapping[str, str] = {}
    addresses: Mapping[str, str] = {}
    ports: Mapping[str, str] = {}
    mounts: Mapping[str, str] = {}
    layer: str = ""
    layers: tuple[str, ...] = ()
    driver: str = ""
    tmpfs: frozenset[str] = frozenset()
    is_read_only: bool = False
    removed_at_end: bool = False
    restart: str = ""
    restarts: int = 0
    check: "Check | None" = None
    health_output: str = ""
    exit_code: int = 0
    root: str = ""
    check_command: tuple[str, ...] = ()
    health_checked: str = ""
    networks: frozenset[str] = frozenset()
    user: str = ""
    working_directory: str = ""
    runtime: str = ""
    features: frozenset[str] = frozenset()
    ids: IdMap = IdMap()
    finished: str = ""
    stop_timeout: int | None = None

    @property
    def was_killed(self) -> bool:
        """Whether it ended by SIGKILL, as the engine sends it if a stop takes too long; not if it has no time for one.

        A container that is up was not.
        """
        return not self.is_up and self.exit_code == KILLED and self.stop_timeout != 0

    @property
    def is_apart(self) -> bool:
        """Whether it was started before the old one stopped, and has not joined its network yet."""
        return self.labels.get(UPGRADE_LABEL) == START_FIRST and self.networks <= {"none"}

    @property
    def is_up(self) -> bool:
        """Whether its process runs; paused counts, as its name and address are taken."""
        return self.status in UP

    @property
    def is_in_the_way(self) -> bool:
        """Whether it has what another one of the same name needs to start: its ports, or its data."""
        return (self.is_up or self.status == "initialized") and not self.is_apart

    @property
    def is_under_test(self) -> bool:
        """Whether it was launched in a mode that keeps it from production."""
        return self.mode in UNDER_TEST

    @property
    def service(self) -> str:
        """The service that it was launched for; empty for a container that dockyard did not launch."""
        return self.labels.get(SERVICE_LABEL, "")

    @property
    def mode(self) -> str:
        """The mode that it was launched in."""
        return self.labels.get(MODE_LABEL, "")


_EVERYWHERE = frozenset({"", "0.0.0.0", "[::]", "::"})  # noqa: S104 - as engines list it
"""How engines write that a port is published on all addresses of the host."""


class Row(NamedTuple):
    """A container in short, as a list of all of them has it; `state` is `running`, `exited` or the like.

    `status` is in the engine's words, such as `Up 3 minutes (healthy)`; so is `published`, such as
    `0.0.0.0:80->80/tcp, [::]:80->80/tcp, 443/tcp`.
    """

    id: str
    name: str
    state: str
    service: str = ""
    mode: str = ""
    upgrade: str = ""
    status: str = ""
    image: str = ""
    published: str = ""

    @property
    def ports(self) -> dict[str, str]:
        """The first host address of each published port, by `80/tcp`."""
        pairs = (part.partition("->") for part in reversed(self.published.split(", ")))
        return {inside: host for host, arrow, inside in pairs if arrow}

    @property
    def health(self) -> str:
        """What its health check says; empty if nothing checks it."""
        found = self.status.rpartition("(")[2].rstrip(")").removeprefix("health: ")
        return found if found in {"healthy", "unhealthy", "starting"} else ""

    @property
    def uptime(self) -> str:
        """For how long it has been up, in the engine's words: `3 minutes`; empty if unknown."""
        words, up, time = self.status.partition("Up ")
        return time.partition(" (")[0].removesuffix(" ago") if up and not words else ""

    @property
    def is_up(self) -> bool:
        """Whether its process runs; paused counts, as its name and address are taken."""
        return self.state in UP

    def publishes(self, address: str, protocol: str = "") -> bool:
        """Whether it is up and has that port of the host, on that address or on all of them; empty: of any protocol."""
        place, _, port = address.rpartition(":")
        return self.is_up and any(
            int(port) in ports and protocol in {"", kind} and (other == place or _EVERYWHERE & {other, place})
            for other, ports, kind in _host_ports(self.published)
        )

    @property
    def is_under_test(self) -> bool:
        """Whether it was launched in a mode that keeps it from production."""
        return self.mode in UNDER_TEST

    @property
    def is_left(self) -> bool:
        """Whether it looks as a switch leaves it half way."""
        unstarted = self.state in UNSTARTED and self.upgrade == LAUNCH
        return bool(self.service) and (self.name.endswith(SUFFIXES) or unstarted)


def row_from(cells: Sequence[str]) -> Row:
    """Make a Row of a line of a list: id, names, state, status, image, ports, and labels in quotes.

    Names with `/` are those of links to it. An image that has lost its name is an id.
    """
    identifier, names, state, status, image, ports, *labels = cells
    name = next((name for name in names.split(",") if "/" not in name), names)
    service, mode, upgrade = (label[1:-1] for label in labels)
    return Row(identifier, name, state, service, mode, upgrade, status, plain_id(image), ports)


def _host_ports(ports: str) -> Iterator[tuple[str, range, str]]:
    """Yield the address, ports and protocol of what is published: `0.0.0.0:80-81->80-81/tcp, 443/tcp` is one."""
    for part in ports.split(", "):
        host, arrow, inside = part.partition("->")
        if arrow:
            address, _, numbers = host.rpartition(":")
            first, _, last = numbers.partition("-")
            yield address, range(int(first), int(last or first) + 1), inside.rpartition("/")[2]


UNSTARTED = frozenset({"created", "initialized"})
"""The states before a container runs; in the second one, podman's, it has its ports already."""
UP = frozenset({"running", "paused", "restarting", "stopping"})
"""The states in which a container is up."""


class Network(NamedTuple):
    """A network of the engine; `subnets` in CIDR notation.

    `is_unprotected`: other machines reach each port of its containers, published or not.
    """

    name: str
    driver: str
    subnets: tuple[str, ...] = ()
    is_unprotected: bool = False


def plain_id(identifier: str) -> str:
    """Return an id without its `sha256:`."""
    return identifier.removeprefix("sha256:")


def image_from(answer: Answer) -> Image:
    """Make an Image of `image inspect`."""
    config = answer.get("Config") or {}
    tags, digests = (tuple(answer.get(field) or ()) for field in ("RepoTags", "RepoDigests"))
    storage = answer.get("GraphDriver") or {}
    layers = storage.get("Data") or {}
    places = ":".join(filter(None, (layers.get("UpperDir"), layers.get("LowerDir"))))
    labels = config.get("Labels") or {}
    ours = (SOURCE_LABEL, BASES_LABEL, BASE_DIGESTS_LABEL, TRIMMED_LABEL, TRIMMED_FOR_LABEL)
    source, bases, base_digests, trimmed, trimmed_for = (labels.get(label) or "" for label in ours)
    found = tuple(filter(None, places.split(":")))
    return Image(
        id=plain_id(answer["Id"]),
        user=config.get("User") or "",
        tags=tags,
        digests=digests,
        layers=found,
        source=source,
        volumes=frozenset(config.get("Volumes") or ()),
        environment=tuple(config.get("Env") or ()),
        exposed=frozenset(config.get("ExposedPorts") or ()),
        is_checked=_check(config.get("Healthcheck") or answer.get("Healthcheck") or {}) is not None,
        trimmed=trimmed,
        trimmed_for=trimmed_for,
        driver=storage.get("Name") or "",
        diffs=tuple((answer.get("RootFS") or {}).get("Layers") or ()),
        content=content_of(answer),
        configuration=configuration_of(answer) if "RootFS" in answer else "",
        config_digest=_config_digest(answer),
        bases=bases,
        manifest_digest=answer.get("Digest") or "",
        base_digests=base_digests,
    )


def step_from(created_by: str, comment: str) -> BuildStep:
    """Make a BuildStep of two fields of `image history`, each as JSON."""
    import json

    return BuildStep(json.loads(created_by) or "", json.loads(comment) or "")


def _config_digest(answer: Answer) -> str:
    """Return the digest of an image's configuration, if a containerd image store reports it beside the manifest's."""
    annotations = (answer.get("Descriptor") or {}).get("annotations") or {}
    return plain_id(annotations.get("config.digest") or "")


def container_from(answer: Answer) -> Container:
    """Make a Container of `container inspect`."""
    state, config, network = answer["State"], answer.get("Config") or {}, answer.get("NetworkSettings") or {}
    storage, host = answer.get("GraphDriver") or {}, answer.get("HostConfig") or {}
    places = storage.get("Data") or {}
    health = state.get("Health") or state.get("Healthcheck") or {}
    return Container(
        id=answer["Id"],
        name=answer["Name"].lstrip("/"),
        status=state["Status"],
        image_id=plain_id(answer["Image"]),
        image=config.get("Image") or "",
        pid=state.get("Pid") or 0,
        started=state.get("StartedAt") or "",
        health=health.get("Status") or "",
        labels=config.get("Labels") or {},
        addresses=_addresses(network),
        ports=_ports(network.get("Ports") or {}),
        mounts={mount["Destination"]: mount["Source"] for mount in answer.get("Mounts") or () if mount.get("Source")},
        removed_at_end=bool(host.get("AutoRemove")),
        restart=(host.get("RestartPolicy") or {}).get("Name") or "",
        restarts=answer.get("RestartCount") or 0,
        check=_check(config.get("Healthcheck") or {}),
        health_output=((health.get("Log") or [{}])[-1].get("Output") or "").strip(),
        exit_code=state.get("ExitCode") or 0,
        layer=places.get("UpperDir") or "",
        layers=tuple(filter(None, (places.get("LowerDir") or "").split(":"))),
        driver=storage.get("Name") or answer.get("Driver") or "",  # Docker 29 has no GraphDriver
        tmpfs=frozenset((*(host.get("Tmpfs") or ()), *_mounted_without_source(answer))),
        is_read_only=bool(host.get("ReadonlyRootfs")),
        root=places.get("MergedDir") or "",
        check_command=tuple((config.get("Healthcheck") or {}).get("Test") or ()),
        health_checked=(health.get("Log") or [{}])[-1].get("Start") or "",
        networks=frozenset(network.get("Networks") or ()),
        user=config.get("User") or "",
        working_directory=config.get("WorkingDir") or "",
        runtime=answer.get("OCIRuntime") or host.get("Runtime") or "",
        ids=_ids(host.get("IDMappings") or {}),
        features=frozenset(feature for feature, is_on in _features(config, host).items() if is_on),
        finished=state.get("FinishedAt") or "",
        stop_timeout=config.get("StopTimeout"),
    )


def kept_user(ids: IdMap) -> tuple[int, int] | None:
    """Return the ids that the user of a rootless engine has in a container that keeps them, as `--userns=keep-id`."""
    uid, gid = (next((one.inside for one in ranges if one.outside == 0), 0) for ranges in ids)
    return (uid, gid) if uid else None


def _ids(answer: Answer) -> IdMap:
    """Return the map that podman lists of a container with its own: `0:100000:65536`."""
    lists = (answer.get(kind) or () for kind in ("UidMap", "GidMap"))
    return IdMap(*(tuple(IdRange(*map(int, row.split(":"))) for row in rows) for rows in lists))


def _mounted_without_source(answer: Answer) -> Iterator[str]:
    """Yield where `--mount type=tmpfs` mounts something, which docker lists among the mounts."""
    return (mount["Destination"] for mount in answer.get("Mounts") or () if not mount.get("Source"))


def _features(config: Answer, host: Answer) -> dict[str, object]:
    return {
        INIT: host.get("Init"),
        READ_ONLY: host.get("ReadonlyRootfs"),
        SYSTEMD: config.get("SystemdMode"),
        SECRETS: config.get("Secrets"),
        TIME_ZONE: config.get("Timezone"),
        NUMERIC_USER: (config.get("User") or "").partition(":")[0].isdecimal(),
        KEPT_USER: kept_user(_ids(host.get("IDMappings") or {})),
    }


NANOSECONDS = 1e9
_DEFAULT_CHECK = Check(0, 30, 30, 3)  # of both engines, where image and command line say nothing


def _check(answer: Answer) -> Check | None:
    """Return when health is checked; None if nothing checks it."""
    if (answer.get("Test") or ["NONE"])[0] == "NONE":
        return None
    start, interval, timeout = (
        (answer.get(name) or 0) / NANOSECONDS for name in ("StartPeriod", "Interval", "Timeout")
    )
    default = _DEFAULT_CHECK
    retries = answer.get("Retries") or default.retries
    return Check(start, interval or default.interval, timeout or default.timeout, retries)


def _addresses(network: Answer) -> dict[str, str]:
    """Return the address in each network; the engine's top-level field if it lists none."""
    found = {name: net["IPAddress"] for name, net in (network.get("Networks") or {}).items() if net.get("IPAddress")}
    return found or ({"bridge": network["IPAddress"]} if network.get("IPAddress") else {})


def _ports(ports: Answer) -> dict[str, str]:
    """Return the first host address of each published port, as `address:port`."""
    return {
        port: f"{bindings[0].get('HostIp') or '0.0.0.0'}:{bindings[0]['HostPort']}"  # noqa: S104 - read, not bound
        for port, bindings in ports.items()
        if bindings
    }


def network_from(answer: Answer) -> Network:
    """Make a Network of `network inspect`, which docker and podman spell differently."""
    configs = (answer.get("IPAM") or {}).get("Config") or answer.get("subnets") or ()
    subnets = (config.get("Subnet") or config.get("subnet") for config in configs)
    return Network(
        name=answer.get("Name") or answer.get("name") or "",
        driver=answer.get("Driver") or answer.get("driver") or "",
        subnets=tuple(subnet for subnet in subnets if subnet),
        is_unprotected="nat-unprotected" in (answer.get("Options") or {}).values(),
    )
