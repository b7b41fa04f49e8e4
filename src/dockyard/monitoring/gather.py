"""What the rules need to know of this host: asked of its engine, its services, the state directory and systemd."""

import os
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard import history
from dockyard.errors import DockyardError, EngineError, EngineUnreachableError, LockedError, Problem
from dockyard.holds import notices
from dockyard.monitoring import problems as rules
from dockyard.monitoring.problems import Facts, FileSystem, PendingFacts, ServiceFacts, explaining_line
from dockyard.monitoring.systemd import enabled_units
from dockyard.monitoring.updates import ACTIONS, Outcome, last_run, outcome_of, update_facts
from dockyard.notify import FAILURE
from dockyard.plan.launch import container_name
from dockyard.plan.waves import starts_here
from dockyard.settings.keys import MAX_AGE, MAX_DISK_USE, VOL_BASE
from dockyard.telling import warn

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine
    from dockyard.engine.models import Container
    from dockyard.settings.resolve import Settings
    from dockyard.yard import Yard

NOT_STORED = ("/dev/", "/proc/", "/sys/", "/run/")
LAST_LINES = 50  # of a log, among which the one that explains a failure is looked for


def gather(yard: "Yard") -> Facts:
    """Return what there is to know. An engine that does not answer is a fact, too. Raises DockyardError."""
    settings, wrong = yard.load_all()
    updates, unknown = update_facts(_newest_updates(settings), {k: v for k, v in last_run().items() if k in settings})
    facts = Facts(
        wrong_settings=[_wrong(problem) for problem in wrong],
        updates=updates,
        unknown_updates=unknown,
        held={name: note for name, note in notices().items() if name in settings},
        max_disk_use=yard.settings[MAX_DISK_USE],
        units=enabled_units(),
    )
    try:
        return _with_engine(yard, settings, facts)
    except (EngineError, EngineUnreachableError) as error:
        return facts._replace(
            pending=None, engine_error=str(error), file_systems=_file_systems([(yard.settings[VOL_BASE], "data")])
        )


def _with_engine(yard: "Yard", settings: "Mapping[str, Settings]", facts: Facts) -> Facts:
    names = {name: container_name(values) for name, values in settings.items()}
    containers = {container.name: container for container in yard.engine.containers(names.values())}
    created = _created(yard.engine, settings, names, containers)
    services = [
        _service(yard.engine, name, settings[name], containers.get(container), created)
        for name, container in names.items()
    ]
    return facts._replace(
        pending=pending_of(yard),
        services=[service for service in services if service],
        orphans=orphans(yard),
        drift=_drift(row.name for row in yard.rows),
        file_systems=_file_systems(_directories(yard, containers.values())),
    )


def pending_of(yard: "Yard") -> "list[PendingFacts] | None":
    """Return the newer versions that are not applied by themselves; None, with a warning, if they are not known."""
    from dockyard.updates.announcing import gather_pending

    try:
        return gather_pending(yard, time.time())
    except DockyardError as error:
        warn(f"which updates are pending is not known: {error}")
        return None


def orphans(yard: "Yard") -> Mapping[str, str]:
    """Return the services that are gone and whose container is up, with what is wrong and what to do."""
    from dockyard.orphans import list_orphans

    return {orphan.service: f"{orphan}; {orphan.hint}" for orphan in list_orphans(yard)}


def _wrong(problem: Problem) -> rules.Problem:
    file = problem.where.rstrip("0123456789:")
    return rules.Problem(f"settings:{file}:{problem.message}", problem.where, problem.message, FAILURE)


def _newest_updates(names: Iterable[str]) -> dict[str, Outcome]:
    return {name: outcome_of(event) for name, event in history.newest(names, ACTIONS).items()}


# --------------------------------------------------------------------------------------------------------- services
def _service(
    engine: "Engine", name: str, settings: "Settings", container: "Container | None", created: Mapping[str, float]
) -> ServiceFacts | None:
    """Return the facts of a service; None for one that is down and need not be up."""
    from dockyard.host import host_facts

    is_wanted = starts_here(settings, host_facts().name)
    if not container:
        return (
            _looked_at(engine, container_name(settings), ServiceFacts(name, status="no container"))
            if is_wanted
            else None
        )
    check = container.check
    facts = ServiceFacts(
        name,
        is_wanted,
        status=container.status,
        exit_code=container.exit_code,
        health=container.health,
        started=_seconds(container.started),
        patience=check.patience if check else 0.0,
        image=f"{container.image or 'image'} {container.image_id[:12]}",
        image_created=created.get(container.image_id, 0.0),
        max_age=settings[MAX_AGE],
    )
    if container.status != "running":
        return _looked_at(engine, container.name, facts) if is_wanted else None
    if container.health in {"unhealthy", "starting"}:
        return _looked_at(engine, container.name, facts, container.health_output)
    return facts


def _looked_at(engine: "Engine", container: str, facts: ServiceFacts, output: str = "") -> ServiceFacts:
    """Add what explains the trouble of a container, and whether another command works on it."""
    from dockyard.lock import held

    try:
        with held(engine, container):
            lines = output.splitlines() or engine.last_words(container, LAST_LINES)
            return facts._replace(reason=explaining_line(lines))
    except LockedError:
        return facts._replace(is_busy=True)


def _created(
    engine: "Engine",
    settings: "Mapping[str, Settings]",
    names: Mapping[str, str],
    containers: "Mapping[str, Container]",
) -> dict[str, float]:
    """Return when the images of running containers were created whose age is limited, by id."""
    limited = {names[name] for name, values in settings.items() if values[MAX_AGE]} & containers.keys()
    wanted = {f"sha256:{containers[name].image_id}" for name in limited}
    answers = engine.inspect("image", *sorted(wanted))
    return {str(one.get("Id", "")).removeprefix("sha256:"): _seconds(str(one.get("Created", ""))) for one in answers}


def _seconds(when: str) -> float:
    """Return an engine's time in seconds of the epoch; 0 if there is none."""
    with suppress(ValueError, OverflowError):
        return datetime.fromisoformat(when).timestamp()
    return 0.0


# --------------------------------------------------------------------------------------------- drift and file systems
def _drift(existing: Iterable[str]) -> dict[str, int]:
    """Return how many alerts are raised of containers that exist."""
    from dockyard.scan.summaries import earlier

    names = set(existing)
    found = earlier(()).there
    return {one.container: one.drift for one in found if one.drift and one.container in names}


def _directories(yard: "Yard", containers: "Iterable[Container]") -> list[tuple[str, str]]:
    """Return the directories whose file systems may become full, each with what is in it."""
    from dockyard.check.host_facts import image_directory

    sources = {source for one in containers if one.status == "running" for source in one.mounts.values()}
    data = [(source, "data") for source in sorted(sources) if not source.startswith(NOT_STORED)]
    return [(yard.settings[VOL_BASE], "data"), (image_directory(yard.engine.about), "images"), *data]


def _file_systems(directories: Iterable[tuple[str, str]]) -> list[FileSystem]:
    """Return the file systems of directories, each once."""
    found: dict[int, FileSystem] = {}
    for path, purpose in directories:
        with suppress(OSError):
            device = Path(path).stat().st_dev
            known = found.setdefault(device, _file_system(path, purpose))
            if purpose not in known.purpose:
                found[device] = known._replace(purpose=f"{known.purpose} and {purpose}")
    return list(found.values())


def _file_system(path: str, purpose: str) -> FileSystem:
    space = os.statvfs(path)
    used, available = space.f_blocks - space.f_bfree, space.f_bavail
    inodes = 100 * (space.f_files - space.f_favail) / space.f_files if space.f_files else 0.0
    percent = 100 * used / (used + available) if used + available else 0.0
    return FileSystem(path, purpose, max(percent, inodes), available * space.f_frsize)
