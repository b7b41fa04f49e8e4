"""What an engine says of itself: its version, its builder, and where it keeps its data."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

_CONTAINERD_STORE = "io.containerd.snapshotter"


class About(NamedTuple):
    """An engine: `version` as it writes it, `root` the directory of the host that it keeps its data in.

    `has_buildx` is None for an engine that builds without it; `containerd` is the socket of docker's containerd, and
    `driver` is what stores layers. `mounts_by_program`: a program of the user's mounts them, and not the kernel.
    """

    version: str = ""
    client_version: str = ""
    root: str = ""
    has_buildx: bool | None = None
    uses_containerd_store: bool = False
    containerd: str = ""
    driver: str = ""
    mounts_by_program: bool = False


def numbers_of(version: str) -> tuple[int, ...]:
    """Return the numbers of a version such as `20.10.24+dfsg1`."""
    found = re.match(r"\d+(?:\.\d+)*", version)
    return tuple(map(int, found[0].split("."))) if found else ()


def about_docker(answer: Mapping[str, Any]) -> About:
    """Read docker's `info`."""
    client = answer.get("ClientInfo") or {}
    return About(
        version=answer.get("ServerVersion") or "",
        client_version=client.get("Version") or "",
        root=answer.get("DockerRootDir") or "",
        has_buildx=any(plugin.get("Name") == "buildx" for plugin in client.get("Plugins") or ()),
        uses_containerd_store=any(_CONTAINERD_STORE in str(row) for row in answer.get("DriverStatus") or ()),
        driver=answer.get("Driver") or "",
        containerd=(answer.get("Containerd") or {}).get("Address") or "",
    )


def about_podman(answer: Mapping[str, Any]) -> About:
    """Read podman's `info`."""
    version = (answer.get("version") or {}).get("Version") or ""
    store = answer.get("store") or {}
    return About(
        version,
        version,
        store.get("graphRoot") or "",
        driver=store.get("graphDriverName") or "",
        mounts_by_program="overlay.mount_program" in (store.get("graphOptions") or {}),
    )
