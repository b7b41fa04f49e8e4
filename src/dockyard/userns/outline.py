"""What enabling and disabling have in common: options, the planned changes, and reasons to refuse both."""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dockyard.engine.about import numbers_of
from dockyard.engine.engine import Engine
from dockyard.errors import DockyardError
from dockyard.plan.daemon_json import CONTAINERD_STORE, asks_for_containerd_store
from dockyard.plan.dockerd import CONFIG, Daemon
from dockyard.plan.mapped_names import ServiceAccounts
from dockyard.plan.userns import GUIDE, FileChange, SystemFiles, Texts, undone
from dockyard.privilege import is_hosts_root
from dockyard.service import Service
from dockyard.userns import files, record
from dockyard.userns.record import Record

_REFUSES_BOTH = (29,)
ETC = "/etc"
LOCK = "the mapping of users"  # no container can have this name

Tell = Callable[[str], None]
"""What takes a line of progress."""


class Wanted(NamedTuple):
    """The options of the command; an empty `config` is the daemon's."""

    user: str
    start: int | None = None
    config: str = ""
    restart: bool = False


class Outline(NamedTuple):
    """What enabling or disabling will do, planned before anything is changed.

    `start`: the host's id of root in containers after the restart of the engine; None: users are not mapped.
    """

    places: SystemFiles
    changes: tuple[FileChange, ...]
    start: int | None
    pending: bool
    notes: tuple[str, ...]
    daemon: Daemon | None
    record: Record | None

    @property
    def commands(self) -> tuple[str, ...]:
        """The commands to run after the files were changed."""
        return self.daemon.restart() if self.pending and self.daemon else ()


def refuse_impossible(engine: Engine) -> None:
    if not engine.dialect.maps_root:
        raise DockyardError(
            f"{engine.dialect.name} has no daemon that could map users: containers get the ids of their user",
            hint=f"run it as an unprivileged user, as {GUIDE} explains",
        )
    if not is_hosts_root():
        raise DockyardError("mapping users requires root: it changes /etc/passwd and the engine", hint="use sudo")


def refuse_containerd_store(engine: Engine, places: SystemFiles, now: Texts) -> None:
    """Raise DockyardError if the daemon is configured for a store that it cannot use while it maps users.

    Docker 28.5 starts with both, and uses that store; 29 does not start.
    """
    is_told = asks_for_containerd_store(now[places.config], places.config)
    if is_told and numbers_of(engine.about.version) >= _REFUSES_BOTH:
        raise DockyardError(
            f'{places.config}: the engine would not start: "{CONTAINERD_STORE}" is true, but a daemon that maps users '
            "stores images with a graph driver",
            hint=f'remove "{CONTAINERD_STORE}" from "features"; its images and containers are inaccessible then',
        )


def refuse_orphans(engine: Engine, running: int) -> None:
    """Raise DockyardError if containers would survive the restart, but the engine would no longer know them."""
    if running and engine.call("info", "--format", "{{.LiveRestoreEnabled}}").strip() == "true":
        raise DockyardError(
            f"live-restore is on: {running} running containers would keep running, but the engine would not know them",
            hint="stop them first: services with `d down-all`, others by name",
        )


def config_of(daemon: Daemon | None, given: str) -> str:
    """Return the path of the daemon's configuration."""
    if given:
        return str(Path(given).absolute())
    told = daemon.flag("--config-file") if daemon else ""
    return os.path.normpath(Path(daemon.cwd, told)) if daemon and told else CONFIG


def accounts_of(services: Iterable[Service]) -> list[ServiceAccounts]:
    """Return files/etc/passwd and files/etc/group of the services."""
    return [
        ServiceAccounts(
            service.name,
            *(_text(service.directory / "files/etc" / name) for name in ("passwd", "group")),
        )
        for service in services
    ]


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")
    return ""


def without(known: Record | None, path: str, now: str | None, places: SystemFiles) -> str | None:
    change = known.of(path) if known else None
    return undone(change, now, places) if change else now


def put_back(known: Record, places: SystemFiles) -> None:
    """Undo the changes to the files: first those that the daemon reads, so that it never uses what was removed."""
    for path in reversed(places):
        files.discard_draft(path)
        now = files.read(path)
        before = without(known, path, now, places)
        if before != now:
            files.carry_out(FileChange(path, now, before))
    remove_directory(known.directory)
    record.discard()


def remove_directory(path: str) -> None:
    if path:
        with suppress(OSError):  # it may no longer be empty
            Path(path).rmdir()
