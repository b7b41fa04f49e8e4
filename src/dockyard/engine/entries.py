"""What engines and their runtimes create in a container's layer by themselves: the only table of it.

Measured on Docker 20.10, 26.1 and 28.5 and on podman 4.3, 5.4 and 5.8, with runc 1.1 and 1.3 and crun 1.21 and 1.28.
Mount points are empty, belong to the container's root and have a mode of the runtime that created them. Docker creates
most of its mount points in a layer of their own below the container's layer.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

FILE, DIRECTORY, LINK, LINES, WORKING = "file", "directory", "link", "lines", "working directory"
"""Kinds: an empty file and an empty directory to mount something on; a link; a file with a line for the container's
user after what the image has in it; the directory in which the container starts."""

INIT, READ_ONLY, SYSTEMD, SECRETS, TIME_ZONE, NUMERIC_USER, KEPT_USER = (
    "init",
    "read-only",
    "systemd",
    "secrets",
    "time zone",
    "numeric user",
    "kept user",
)
"""Features of a container, as its engine's options have it. With a kept user, a rootless engine's user has the same id
in the container as on the host."""


class EngineEntry(NamedTuple):
    """One thing that an engine creates, in containers with a feature (empty: in all); `target` is a link's.

    With `is_tree` the engine mounts more below it.
    """

    path: str
    kind: str
    feature: str = ""
    target: str = ""
    is_tree: bool = False

    @property
    def is_mounted(self) -> bool:
        """Whether the engine may mount something on it: a file with lines is mounted where nothing can be written."""
        return self.kind in {FILE, DIRECTORY, LINES}


_KERNELS = tuple(EngineEntry(path, DIRECTORY, is_tree=True) for path in ("/dev", "/proc", "/sys"))
_HOSTS = tuple(EngineEntry(path, FILE) for path in ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf"))

_DOCKER_INIT, _PODMAN_INIT, _POD_INIT = "/sbin/docker-init", "/run/podman-init", "/catatonit"
INITS = frozenset({"/dev/init", _DOCKER_INIT, _PODMAN_INIT, _POD_INIT})
"""Where engines mount an init of the host's; the first is where podman 4 does, below a mount of its own."""

DOCKER_ENTRIES = (
    *_KERNELS,
    *_HOSTS,
    EngineEntry(_DOCKER_INIT, FILE),  # daemon.json may ask for it, and then no container says so
    EngineEntry("", WORKING),
)
PODMAN_ENTRIES = (
    *_KERNELS,
    *_HOSTS,
    EngineEntry("/run/.containerenv", FILE),
    EngineEntry("/etc/mtab", LINK, target="/proc/mounts"),
    EngineEntry(_PODMAN_INIT, FILE, INIT),
    EngineEntry(_POD_INIT, FILE),
    EngineEntry("/run/secrets", DIRECTORY, SECRETS, is_tree=True),
    EngineEntry("/etc/localtime", FILE, TIME_ZONE),
    *(EngineEntry(path, DIRECTORY, READ_ONLY) for path in ("/run", "/tmp", "/var/tmp")),  # noqa: S108 - in containers
    *(EngineEntry(path, DIRECTORY, SYSTEMD) for path in ("/run", "/run/lock", "/tmp", "/var/log/journal")),  # noqa: S108
    *(EngineEntry(path, LINES, user) for path in ("/etc/passwd", "/etc/group") for user in (NUMERIC_USER, KEPT_USER)),
)

MODES: Mapping[str, Mapping[str, frozenset[int]]] = {
    "runc": {DIRECTORY: frozenset({0o755}), FILE: frozenset({0o755, 0o644})},
    "crun": {DIRECTORY: frozenset({0o755, 0o1755}), FILE: frozenset({0o700})},
}
"""The modes of what a runtime creates to mount something on. runc 1.1 gives files 0755, later ones 0644; crun gives
directories 01755, and 0755 where they lead to a file."""


def modes_of(runtime: str, kind: str) -> frozenset[int]:
    """Return the modes that a runtime gives; those of all known ones for one that is not known."""
    known = next((modes for name, modes in MODES.items() if name in runtime), None)
    return known[kind] if known else frozenset().union(*(modes[kind] for modes in MODES.values()))


def entries_in(entries: tuple[EngineEntry, ...], features: frozenset[str]) -> Iterator[EngineEntry]:
    """Yield what an engine creates in a container with these features."""
    return (one for one in entries if not one.feature or one.feature in features)
