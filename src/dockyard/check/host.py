"""Checks of the host and its engine: reported once, however many services there are."""

import shlex
from collections.abc import Iterator

from dockyard.check.point import Concern, Found, Severity
from dockyard.check.registry import host_check
from dockyard.check.subject import Fleet
from dockyard.engine.about import numbers_of
from dockyard.settings.keys import BACKUP, BACKUP_MAX_AGE
from dockyard.text import readable_size

_LEAST_SHARE, _LEAST_BYTES = 0.05, 2 * 1024**3
"""Free space of the file system with the images: below both, there is too little for the next build."""
_LEGACY_BUILDER_WARNS = (23,)
_HALF_MIGRATED = (5, 8, 0)


@host_check("buildx-missing", Severity.NOTE, "Docker builds without BuildKit")
def buildx_missing(fleet: Fleet) -> Iterator[Found]:
    """Docker falls back to a deprecated builder: it has no cache mounts and secrets, and warns at each build."""
    about = fleet.answers.about
    is_built = any(subject.dockerfile for subject in fleet.subjects.values())
    if about and about.has_buildx is False and is_built and numbers_of(about.client_version) >= _LEGACY_BUILDER_WARNS:
        yield Found(
            "docker has no buildx and uses its legacy builder",
            hint="install docker-buildx (Debian, Ubuntu) or docker-buildx-plugin (Docker's own packages)",
        )


@host_check("image-space", Severity.WARNING, "Little disk space for images")
def image_space(fleet: Fleet) -> Iterator[Found]:
    """On a full disk, builds and pulls fail, and so does everything else that writes to it."""
    about, room, place = fleet.answers.about, fleet.answers.room, fleet.answers.image_directory
    if about and room and room.free < min(_LEAST_BYTES, room.total * _LEAST_SHARE):
        elsewhere = " (outside of docker's data-root)" if about.uses_containerd_store else ""
        name = fleet.answers.dialect.name
        yield Found(
            f"`{place}`, where {name} stores images{elsewhere}, has {readable_size(room.free)} left",
            hint="remove unused images with `d clean`, or extend the file system",
        )


@host_check("data-space", Severity.WARNING, "Little disk space for data", concern=Concern.DATA)
def data_space(fleet: Fleet) -> Iterator[Found]:
    """On a full disk, databases stop or lose unwritten data."""
    for place, room in fleet.data_rooms.items():
        if room.free < min(_LEAST_BYTES, room.total * _LEAST_SHARE):
            message = f"the file system of `{place}`, where services store data, has {readable_size(room.free)} left"
            yield Found(message, hint="extend it; find what uses it: du -xh --max-depth 2 " + shlex.quote(place))


@host_check("no-backup", Severity.WARNING, "Data without a recent backup", concern=Concern.DATA)
def no_backup(fleet: Fleet) -> Iterator[Found]:
    """A failed disk, a bad migration or a wrong command destroys all data."""
    backup = fleet.backup
    if not fleet.data_rooms:
        return
    if not backup:
        yield Found("no backup of the services' data is configured", write=f"{BACKUP.name}: PATH")
    elif backup.age_days is None:
        yield Found(
            f"`{backup.path}`, which each backup changes, does not exist", hint="find out why no backup has run"
        )
    elif backup.age_days > backup.max_age_days:
        message = f"the last backup was {backup.age_days:.0f} days ago, according to `{backup.path}`"
        yield Found(message, hint=f"find out why it did not run; `{BACKUP_MAX_AGE.name}` sets the limit in days")


@host_check(
    "ports-of-loopback-open",
    Severity.WARNING,
    "Ports of 127.0.0.1 that other machines can reach",
    concern=Concern.SECURITY,
)
def ports_of_loopback_open(fleet: Fleet) -> Iterator[Found]:
    """Other machines in the same network can reach ports that are published only on this host's loopback."""
    if fleet.answers.has_open_loopback:
        yield Found(
            "dockerd was started with DOCKER_INSECURE_NO_IPTABLES_RAW=1",
            hint="remove it from the daemon's environment; it is for kernels without the raw table of iptables",
        )


@host_check("orphan", Severity.WARNING, "A container whose service is gone")
def orphan(fleet: Fleet) -> Iterator[Found]:
    """It keeps running without upgrades or checks; under a new name, its service would run a second time."""
    for found in fleet.answers.orphans:
        yield Found(str(found), hint=found.hint)


@host_check(
    "podman-half-migrated", Severity.WARNING, "podman 5.8.0 migrates its database only in part", concern=Concern.DATA
)
def podman_half_migrated(fleet: Fleet) -> Iterator[Found]:
    """At the next boot it migrates from BoltDB to SQLite, quadlets only in part, and this cannot be undone."""
    about = fleet.answers.about
    if fleet.answers.dialect.name == "podman" and about and numbers_of(about.version) == _HALF_MIGRATED:
        yield Found("podman 5.8.0 is installed", hint="upgrade to 5.8.1 or later before the next boot")
