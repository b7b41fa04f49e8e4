"""Checks of a host that notify people: of everything at once, or of what a command did to all services."""

import time
from typing import TYPE_CHECKING

from dockyard.errors import DockyardError
from dockyard.monitoring import heartbeat
from dockyard.monitoring.gather import pending_of
from dockyard.monitoring.notified import Covers, Find, Send, notify_of_changes
from dockyard.monitoring.problems import (
    PENDING,
    SERVICE,
    UPDATE,
    Facts,
    Findings,
    Problem,
    find_problems,
    problems_of_pending,
)
from dockyard.monitoring.updates import reason_of
from dockyard.notify import FAILURE, send
from dockyard.settings.keys import HEARTBEAT
from dockyard.settings.resolve import Settings
from dockyard.settings.values import Mode
from dockyard.telling import warn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dockyard.fleet.crew import Done
    from dockyard.yard import Yard

_KINDS = {"upgrade-all": UPDATE, "up-all": SERVICE, "restart-all": SERVICE}
"""The kind of problem that a command leaves, and that `check-all-up` finds as well; of others it is the command."""

_CHECKED = frozenset(
    {SERVICE, UPDATE, PENDING, "age", "drift", "disk", "engine", "held", "orphan", "settings", "unit"},
)
_FAILED = "its last update failed"


def notify_of_host(settings: Settings, facts: Facts, now: float, sending: Send | None = None) -> bool:
    """Notify people of what has changed since the last run, and call the heartbeat if everything was delivered.

    Returns whether it was.
    """
    delivered = _deliver(lambda known: find_problems(facts, now, known), settings, now, _is_checked, sending)
    address = settings[HEARTBEAT]
    return delivered and (not address or heartbeat.call(address))


def _is_checked(key: str) -> bool:
    return key.partition(":")[0] in _CHECKED


def notify_of_run(yard: "Yard", title: str, finished: "Iterable[Done]", sending: Send | None = None) -> bool:
    """Notify people of services on which a command failed, and of those on which it no longer does."""
    kind = _KINDS.get(title, title)
    ended = list(finished)
    running = _running(yard)
    failed = [_problem(kind, title, done, running.get(done.name, "nothing")) for done in ended if _has_failed(done)]
    judged = {f"{kind}:{done.name}" for done in ended if _has_failed(done) or done.result == "ok"}
    pending = pending_of(yard) if kind == UPDATE else []
    if pending is None:
        judged = {problem.key for problem in failed}
    every = [*failed, *problems_of_pending(pending or (), running, {problem.key for problem in failed})]

    def is_judged(key: str) -> bool:
        return key in judged or (kind == UPDATE and pending is not None and key.startswith(f"{PENDING}:"))

    return _deliver(lambda _known: Findings(every), yard.settings, time.time(), is_judged, sending)


def _deliver(find: Find, settings: Settings, now: float, is_covered: Covers, sending: Send | None) -> bool:
    try:
        return notify_of_changes(find, sending or _sender(settings), now, is_covered)
    except OSError as error:
        raise DockyardError(
            f"{error.filename}: {error.strerror}",
            hint="dockyard stores the reported problems there; check its permissions",
        ) from None


def _sender(settings: Settings) -> Send:
    return lambda message: send(settings, message.title, message.body, message.severity)


def _has_failed(done: "Done") -> bool:
    return not done.is_ok and done.result != "skipped"


def _problem(kind: str, title: str, done: "Done", running: str) -> Problem:
    text = _FAILED if kind == UPDATE else f"{title} failed"
    hint = done.hint or f"d why {done.name}"
    return Problem(f"{kind}:{done.name}", done.name, text, FAILURE, reason_of(done), running, hint)


def _running(yard: "Yard") -> dict[str, str]:
    """Return what production runs now, by service."""
    yard.forget_rows()
    try:
        rows = [row for row in yard.rows if row.is_up and row.mode == Mode.PROD.value]
    except DockyardError as error:
        warn(str(error))
        return {}
    return {row.service: " ".join(filter(None, [row.image, row.status])) for row in rows if row.service}
