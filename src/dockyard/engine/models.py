"""What the engine knows, as plain values made from its inspect answers."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from dockyard.settings.values import Mode

SERVICE_LABEL = "dockyard.service"
DIRECTORY_LABEL = "dockyard.directory"
MODE_LABEL = "dockyard.mode"
SECRETS_LABEL = "dockyard.secrets"
RUN_LABEL = "dockyard.run"

Answer = Mapping[str, Any]
"""One object of an inspect answer, as JSON has it."""


class Image(NamedTuple):
    """An image; `id` without `sha256:`, the same on all engines.

    `layers` are directories of the host, the uppermost first; none where the engine does not tell.
    """

    id: str
    user: str = ""
    tags: tuple[str, ...] = ()
    digests: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()


class Container(NamedTuple):
    """A container as it is now. `ports` are host addresses by `8080/tcp`; `health` is empty where nothing checks it."""

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
    removed_at_end: bool = False

    @property
    def is_up(self) -> bool:
        """Whether its process runs; paused counts, as its name and address are taken."""
        return self.status in {"running", "paused", "restarting", "stopping"}

    @property
    def is_under_test(self) -> bool:
        """Whether it was launched in a mode that keeps it from production."""
        return self.mode in {mode.value for mode in Mode if mode.isolated}

    @property
    def service(self) -> str:
        """The service that it was launched for; empty for a container that dockyard did not launch."""
        return self.labels.get(SERVICE_LABEL, "")

    @property
    def mode(self) -> str:
        """The mode that it was launched in."""
        return self.labels.get(MODE_LABEL, "")


class Network(NamedTuple):
    """A network of the engine; `subnets` in CIDR notation."""

    name: str
    driver: str
    subnets: tuple[str, ...] = ()


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
        """Return the host's uid of a uid inside; None where the engine maps it to none."""
        return _outside(self.uids, inside)

    def gid(self, inside: int) -> int | None:
        """Return the host's gid of a gid inside; None where the engine maps it to none."""
        return _outside(self.gids, inside)


def _outside(ranges: tuple[IdRange, ...], inside: int) -> int | None:
    if not ranges:
        return inside
    return next((one.outside + inside - one.inside for one in ranges if 0 <= inside - one.inside < one.size), None)


def plain_id(identifier: str) -> str:
    """Return an id without its `sha256:`."""
    return identifier.removeprefix("sha256:")


def image_from(answer: Answer) -> Image:
    """Make an Image of `image inspect`."""
    config = answer.get("Config") or {}
    tags, digests = (tuple(answer.get(field) or ()) for field in ("RepoTags", "RepoDigests"))
    layers = (answer.get("GraphDriver") or {}).get("Data") or {}
    places = ":".join(filter(None, (layers.get("UpperDir"), layers.get("LowerDir"))))
    return Image(
        plain_id(answer["Id"]), config.get("User") or "", tags, digests, tuple(filter(None, places.split(":")))
    )


def container_from(answer: Answer) -> Container:
    """Make a Container of `container inspect`."""
    state, config, network = answer["State"], answer.get("Config") or {}, answer.get("NetworkSettings") or {}
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
        removed_at_end=bool((answer.get("HostConfig") or {}).get("AutoRemove")),
        layer=((answer.get("GraphDriver") or {}).get("Data") or {}).get("UpperDir") or "",
    )


def _addresses(network: Answer) -> dict[str, str]:
    """Return the address in each network; the engine's own field where it lists none."""
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
    )
