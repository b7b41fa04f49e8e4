"""What a container has of the host, from the engine's answer to `container inspect`: mounts, devices, addresses."""

from collections.abc import Iterator
from typing import NamedTuple

from dockyard.engine.models import Answer


class HostMount(NamedTuple):
    """A path of the host, or a volume by its name, that a container has at `target`."""

    source: str
    target: str
    writable: bool
    volume: str = ""


def mounts_of(answer: Answer) -> tuple[HostMount, ...]:
    """Return what is mounted from the host; what exists only in memory is not."""
    return tuple(
        HostMount(
            mount["Source"],
            mount["Destination"],
            bool(mount.get("RW", True)),
            (mount.get("Name") or "") if mount.get("Type") == "volume" else "",
        )
        for mount in answer.get("Mounts") or ()
        if mount.get("Source")
    )


def writable_devices_of(answer: Answer) -> Iterator[str]:
    """Yield the paths of the host's devices that a container may write to."""
    for device in (answer.get("HostConfig") or {}).get("Devices") or ():
        permissions = device.get("CgroupPermissions") or "rwm"
        if "w" in permissions:
            yield device["PathOnHost"]


def addresses_of(answer: Answer) -> Iterator[str]:
    """Yield a container's addresses in all its networks, of both families."""
    for network in ((answer.get("NetworkSettings") or {}).get("Networks") or {}).values():
        yield from filter(None, (network.get("IPAddress"), network.get("GlobalIPv6Address")))
