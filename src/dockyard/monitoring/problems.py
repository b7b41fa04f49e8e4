"""From facts to problems: what is wrong on a host at a moment. Nothing here touches the outside or reads a clock."""

import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from dockyard.notify import FAILURE, INFO, WARNING
from dockyard.text import printable, readable_size

FULL = 98  # percent of a file system from which it is a failure, whatever the limit is
HYSTERESIS = 3  # percent below the limit at which a file system is no longer reported
STUCK_SECONDS = 6 * 3600.0  # after which a unit that still runs is reported
DAY = 24 * 3600.0
OLDEST_DATE = 946_684_800.0  # an image that says it is older than the year 2000 has no date
NO_PROGRAM = 200  # exit codes of systemd itself begin here: the program was not even started
UPDATE, SERVICE, PENDING = "update", "service", "pending"
_TELLING = re.compile(r"(?i)\b(\w*error|\w*exception|fatal|panic|failed|failure|cannot|refused|denied|no such)\b")


class Problem(NamedTuple):
    """Something that is wrong, by a key that it keeps for as long as it lasts.

    `subject` is the service, file system or unit; `reason` is the line that explains it, `running` what production runs
    now.
    """

    key: str
    subject: str
    text: str
    severity: str
    reason: str = ""
    running: str = ""
    hint: str = ""

    def line(self) -> str:
        """Return it for a person."""
        return printable(f"{self.subject}: {self.text}{f': {self.reason}' if self.reason else ''}")

    def row(self) -> dict[str, str]:
        """Return it for a machine."""
        facts = {"kind": self.key.partition(":")[0], "severity": self.severity}
        more = {"reason": self.reason, "running": self.running, "hint": self.hint}
        shown = {name: value for name, value in more.items() if value}
        return {"service": self.subject, "problem": self.text, **facts, **shown}


class ServiceFacts(NamedTuple):
    """A service and its container; times are in seconds of the epoch.

    `is_wanted`: it should be up. `is_busy`: another command works on it. `patience`: seconds until it is healthy or
    not. `image_created` is 0 if the image has no date; `max_age` is in days.
    """

    name: str
    is_wanted: bool = True
    is_busy: bool = False
    status: str = "running"
    exit_code: int = 0
    health: str = ""
    started: float = 0.0
    patience: float = 0.0
    reason: str = ""
    image: str = ""
    image_created: float = 0.0
    max_age: int | None = None

    @property
    def running(self) -> str:
        """What production runs now, in words."""
        if self.status != "running":
            return "nothing"
        return " ".join(filter(None, [self.image, self.health and f"({self.health})"]))


class UpdateFacts(NamedTuple):
    """A service whose last update failed, and why."""

    service: str
    reason: str


class PendingFacts(NamedTuple):
    """A newer version of a base image that is not applied by itself, and why.

    `has_failed`: the service failed with it. `is_overdue`: it has been waiting for longer than `remind` allows.
    """

    service: str
    key: str
    summary: str
    why: str
    notes: str = ""
    has_failed: bool = False
    is_overdue: bool = False


class FileSystem(NamedTuple):
    """A file system: what is stored there, and how much of it is used, in percent of space or of inodes."""

    path: str
    purpose: str
    used: float
    free: int


class UnitFacts(NamedTuple):
    """A unit of systemd that is enabled, as systemd describes it; times are in seconds of the epoch, 0 for never.

    `triggered` is when a timer last started its service; `is_running`: that has not ended yet.
    """

    name: str
    is_active: bool = True
    is_running: bool = False
    triggered: float = 0.0
    result: str = "success"
    exit_code: int = 0


class Facts(NamedTuple):
    """What there is to know of a host. With an `engine_error`, nothing is known of its services.

    `pending` is None if it is not known.
    """

    engine_error: str = ""
    wrong_settings: Sequence[Problem] = ()
    services: Sequence[ServiceFacts] = ()
    updates: Sequence[UpdateFacts] = ()
    pending: Sequence[PendingFacts] | None = ()
    unknown_updates: frozenset[str] = frozenset()
    held: Mapping[str, str] = {}
    orphans: Mapping[str, str] = {}
    drift: Mapping[str, int] = {}
    file_systems: Sequence[FileSystem] = ()
    max_disk_use: int = 90
    units: Sequence[UnitFacts] = ()


class Findings(NamedTuple):
    """The problems of a host, and a test of which keys nothing is known of now: their problems are not resolved."""

    problems: Sequence[Problem] = ()
    is_unknown: Callable[[str], bool] = lambda _key: False


def find_problems(facts: Facts, now: float, known: Collection[str] = ()) -> Findings:
    """Return what is wrong; `known` are the keys of problems that were reported before and are not resolved."""
    busy = {service.name for service in facts.services if service.is_busy}

    def is_unknown(key: str) -> bool:
        kind, _, name = key.partition(":")
        if kind == UPDATE and name in facts.unknown_updates:
            return True
        if kind in {UPDATE, PENDING} and facts.pending is None:
            return True
        return name in busy or (bool(facts.engine_error) and kind in {SERVICE, "age", "orphan", "drift"})

    return Findings(tuple(_all(facts, now, known)), is_unknown)


def _all(facts: Facts, now: float, known: Collection[str]) -> Iterator[Problem]:
    if facts.engine_error:
        yield Problem("engine:", "the engine", "does not answer", FAILURE, facts.engine_error)
    yield from facts.wrong_settings
    yield from (found for service in facts.services for found in _of_service(service, now))
    running = {service.name: service.running for service in facts.services}
    updates = [_of_update(update, running.get(update.service, "")) for update in facts.updates]
    yield from updates
    yield from problems_of_pending(facts.pending or (), running, {problem.key for problem in updates})
    for name, reason in facts.held.items():
        yield Problem(f"held:{name}", name, "is not upgraded", INFO, reason, running.get(name, ""))
    yield from (Problem(f"orphan:{name}", name, "is an orphan", WARNING, why) for name, why in facts.orphans.items())
    yield from (_of_drift(container, count) for container, count in facts.drift.items())
    yield from (found for each in facts.file_systems for found in _of_file_system(each, facts.max_disk_use, known))
    yield from (found for unit in facts.units for found in _of_unit(unit, now))


def _of_service(service: ServiceFacts, now: float) -> Iterator[Problem]:
    if service.is_busy:
        return
    text = _trouble(service, now)
    if text:
        hint = f"d why {service.name}; d logs {service.name}"
        yield Problem(f"{SERVICE}:{service.name}", service.name, text, FAILURE, service.reason, service.running, hint)
    days = (now - service.image_created) / DAY
    if service.max_age and service.image_created > OLDEST_DATE and days > service.max_age:
        text = f"its image is {days:.0f} days old, more than `max_age: {service.max_age}`"
        hint = f"rebuild, test and switch with `d upgrade {service.name} --force`"
        yield Problem(f"age:{service.name}", service.name, text, WARNING, running=service.running, hint=hint)


def _trouble(service: ServiceFacts, now: float) -> str:
    """Return what is wrong with a service's container; nothing if it is as it should be."""
    if service.status != "running":
        ended = service.status in {"exited", "stopped"}
        how = f"exited, exit code {service.exit_code}" if ended else service.status
        return f"is not up ({how})" if service.is_wanted else ""
    if service.health == "unhealthy":
        return "is unhealthy"
    waited = now - service.started
    return (
        f"did not become healthy within {waited:.0f} s"
        if service.health == "starting" and waited > service.patience
        else ""
    )


def _of_update(update: UpdateFacts, running: str) -> Problem:
    key, name = f"{UPDATE}:{update.service}", update.service
    return Problem(key, name, "its last update failed", FAILURE, update.reason, running, f"d why {name}")


def problems_of_pending(
    pending: Iterable[PendingFacts], running: Mapping[str, str], reported: Collection[str] = ()
) -> list[Problem]:
    """Return what is wrong with newer versions that are not applied: a service has failed with one, or one waits.

    Left out are problems of the keys that are `reported` already.
    A failure is one for as long as that version is the newest. One that waits is news, and a warning once overdue.
    """
    every = list(pending)
    failed = {one.service: UpdateFacts(one.service, f"{one.summary}: {one.why}") for one in every if one.has_failed}
    found = [_of_update(update, running.get(name, "")) for name, update in failed.items()]
    found += [_of_pending(one, running.get(one.service, "")) for one in every if not one.has_failed]
    return [problem for problem in found if problem.key not in reported]


def _of_pending(found: PendingFacts, running: str) -> Problem:
    key = f"{PENDING}:{found.service}:{found.key}{':overdue' if found.is_overdue else ''}"
    severity = WARNING if found.is_overdue else INFO
    hint = f"release notes: {found.notes}" if found.notes else f"d outdated {found.service}"
    return Problem(key, found.service, f"{found.summary} is not applied", severity, found.why, running, hint)


def _of_drift(container: str, count: int) -> Problem:
    text = f"{count} unexpected change{'s' if count > 1 else ''}, not acknowledged"
    return Problem(f"drift:{container}", container, text, WARNING, hint=f"d-cowscan --alerts {container}")


def _of_file_system(found: FileSystem, limit: int, known: Collection[str]) -> Iterator[Problem]:
    key = f"disk:{found.path}"
    if found.used < limit - (HYSTERESIS if key in known else 0):
        return
    text = f"{found.used:.0f} % of the file system of {found.purpose} are used, {readable_size(found.free)} are free"
    hint = "remove unused images with `d clean`; the limit is `max_disk_use` in the host file"
    yield Problem(key, found.path, text, FAILURE if found.used >= FULL else WARNING, hint=hint)


def _of_unit(unit: UnitFacts, now: float) -> Iterator[Problem]:
    text = _unit_trouble(unit, now)
    if text:
        service = f"{unit.name.rpartition('.')[0]}.service"
        yield Problem(f"unit:{unit.name}", unit.name, text, FAILURE, hint=f"systemctl status {unit.name} {service}")


def _unit_trouble(unit: UnitFacts, now: float) -> str:
    if not unit.is_active:
        last = f"; its last run was {_clock(unit.triggered)}" if unit.triggered else ""
        return f"is enabled but does not run{last}"
    if unit.is_running and unit.triggered and now - unit.triggered > STUCK_SECONDS:
        return f"the run of {_clock(unit.triggered)} has not ended"
    if unit.result not in {"success", "exit-code"} or unit.exit_code >= NO_PROGRAM:
        return f"its last run did not complete ({unit.result}, status {unit.exit_code})"
    return ""


def _clock(when: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when))


def explaining_line(lines: Iterable[str]) -> str:
    """Return the line of an output that explains a failure: the last one that names an error, else the last one."""
    written = [line.strip() for line in lines if line.strip()]
    telling = [line for line in written if _TELLING.search(line)]
    return (telling or written or [""])[-1]
