"""Whether containers that have just started stay up, and become healthy if they have a health check."""

import time
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from dockyard.engine.engine import Engine
from dockyard.engine.models import Check, Container

STAY_UP = 1.0  # seconds that a new container is watched
PAUSE = 0.1  # seconds between two looks
SLACK = 5.0  # seconds by which the engine's checks may be late


class Verdict(NamedTuple):
    """How a container did: an empty problem means well. `health` is what its checks wrote last, where they failed."""

    problem: str = ""
    health: str = ""
    healthy_after: float | None = None


class Tries:
    """Judges a health check that is run again and again: as an engine does, only from the tries that it would make.

    The engine's own verdict comes later where it does not run the check by itself.
    """

    def __init__(self, check: Check) -> None:
        self._check = check
        self._next = check.start_period + check.interval
        self._failed = 0

    def is_unhealthy(self, elapsed: float) -> bool:
        """Take a try that failed some seconds after the start, and return whether it was the last one."""
        if elapsed >= self._next:
            self._failed += 1
            self._next = elapsed + self._check.interval
        return self._failed >= max(self._check.retries, 1)


class _Wanted(NamedTuple):
    """What a container has to do: stay up for seconds, be healthy within seconds, by a check not older than `since`."""

    stay_up: float
    patience: float | None
    since: float


def watch(
    engine: Engine,
    names: Iterable[str],
    *,
    stay_up: float = STAY_UP,
    patience: float | None = None,
    since: float = 0.0,
) -> dict[str, Verdict]:
    """Return how each container did, once all of them have stayed up for `stay_up` seconds or failed.

    `patience` is how many seconds they have to get healthy; by default what their own checks' times come to. With
    `since`, in seconds of the clock, a check counts that began no earlier.
    """
    wanted = _Wanted(stay_up, patience, since)
    tries: dict[str, Tries] = {}
    began = time.monotonic()
    pending, verdicts = set(names), dict[str, Verdict]()
    while pending:
        elapsed = time.monotonic() - began
        there = {container.name: container for container in engine.containers(sorted(pending))}
        for name in sorted(pending):
            verdict = _verdict(engine, there.get(name), elapsed, wanted, tries)
            if verdict:
                verdicts[name] = verdict
        pending -= set(verdicts)
        if pending:
            left = stay_up - (time.monotonic() - began)
            time.sleep(min(left, PAUSE) if left > 0 else 2 * PAUSE)
    return verdicts


def has_failed_check(engine: Engine, container: Container, tries: Tries, elapsed: float) -> bool:
    """Return whether a health check that does not pass now has failed as often as makes a container unhealthy.

    The engine says so, or `tries` do, some seconds after the start, if the engine runs no checks by itself.
    """
    return tries.is_unhealthy(elapsed) if engine.dialect.health_check else container.health == "unhealthy"


def _verdict(
    engine: Engine, container: Container | None, elapsed: float, wanted: _Wanted, tries: dict[str, Tries]
) -> Verdict | None:
    """Return how a container did; None while that is not known yet."""
    if not container:
        return Verdict("did not stay up (it was removed)")
    if container.status != "running":
        ended = container.status in {"exited", "stopped"}  # podman says both, one after the other
        how = f"exited, exit code {container.exit_code}" if ended else container.status
        return Verdict(f"did not stay up ({how})")
    if container.restarts:
        often = "once" if container.restarts == 1 else f"{container.restarts} times"
        return Verdict(f"did not stay up (it crashed and was restarted {often})")
    if not container.check:
        return Verdict() if elapsed >= wanted.stay_up else None
    known = tries.setdefault(container.name, Tries(container.check))
    return _health(engine, container, elapsed, wanted, known)


def _health(engine: Engine, container: Container, elapsed: float, wanted: _Wanted, tries: Tries) -> Verdict | None:
    assert container.check  # noqa: S101 - see the caller
    if engine.dialect.health_check:
        is_news, healthy = True, engine.is_healthy(container.id)
    else:
        is_news = seconds_of(container.health_checked) >= wanted.since
        healthy = is_news and container.health == "healthy"
    unhealthy = is_news and not healthy and has_failed_check(engine, container, tries, elapsed)
    if healthy:
        return Verdict(healthy_after=elapsed) if elapsed >= wanted.stay_up else None
    limit = container.check.patience + SLACK if wanted.patience is None else wanted.patience
    if wanted.since:  # wait for the next check, whatever the patience
        limit = max(limit, container.check.interval + 2 * container.check.timeout + SLACK)
    if unhealthy or elapsed > limit:
        how = "is unhealthy" if unhealthy else f"did not become healthy within {elapsed:.0f} s"
        return Verdict(how, container.health_output)
    return None


def seconds_of(when: str) -> float:
    """Return an engine's timestamp in seconds since 1970; 0 if there is none."""
    return datetime.fromisoformat(when).timestamp() if when else 0.0
