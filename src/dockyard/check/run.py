"""Runs all checks on services."""

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dockyard.check import (
    baseline,
    dockerfile,
    fleet,
    host,
    image,
    limits,
    mounts,
    operation,
    posture,
    scripts,
    settings,
)
from dockyard.check.gather import gather
from dockyard.check.point import Point, Unknown
from dockyard.check.registry import CHECKS
from dockyard.check.score import score
from dockyard.check.subject import Subject
from dockyard.settings.acceptance_type import Acceptance
from dockyard.settings.keys import CHECK
from dockyard.yard import Yard

MODULES = (settings, scripts, dockerfile, image, posture, limits, operation, mounts, fleet, host)
"""The modules of checks: importing them registers the checks."""


class Judged(NamedTuple):
    """One service: its findings, the worst first, and what could not be checked."""

    service: str
    points: tuple[Point, ...]
    unknown: tuple[str, ...]

    @property
    def score(self) -> int:
        """Of 100."""
        return score(self.points)

    @property
    def open(self) -> tuple[Point, ...]:
        """The points that nobody has accepted."""
        return tuple(point for point in self.points if point.counts)


class Report(NamedTuple):
    """All requested services; `silence` says why the engine did not answer, if so."""

    services: tuple[Judged, ...]
    silence: str = ""
    stale: tuple[Point, ...] = ()
    """Acceptances of the host's file without a finding."""
    host: tuple[Point, ...] = ()
    """Findings about the host and its engine."""

    @property
    def points(self) -> tuple[Point, ...]:
        """All findings."""
        return (*(point for one in self.services for point in one.points), *self.host, *self.stale)

    @property
    def score(self) -> int:
        """The score of the worst service."""
        return min((one.score for one in self.services), default=100)


def run(yard: Yard, names: Iterable[str], today: dt.date) -> Report:
    """Check services by name, without changing anything. Raises SettingsError for the host's files."""
    acceptances, everything = baseline.of_host(), gather(yard)
    wanted = [everything.subjects[name] for name in names]
    found = {subject.service.name: _found(subject) for subject in wanted}
    silence = everything.answers.silence
    services = tuple(_judged(subject, found[subject.service.name], acceptances, today) for subject in wanted)
    is_whole = len(wanted) == len(everything.subjects) and not silence and not any(one.unknown for one in services)
    of_host = [point for check in CHECKS.values() if check.of_host for point in check.run_on_host(everything)]
    every = [*(point for points, _ in found.values() for point in points), *of_host]
    stale = baseline.unused("", every, acceptances, CHECKS) if is_whole else []
    return Report(services, silence, tuple(stale), tuple(baseline.accepted(of_host, acceptances, today)))


_Said = tuple[list[Point], list[str]]
"""Findings, and what could not be checked."""


def _found(subject: Subject) -> _Said:
    every = [one for check in CHECKS.values() if not check.of_host for one in check.run(subject)]
    points = [one for one in every if isinstance(one, Point)]
    return _once(points), list(dict.fromkeys(one.message for one in every if isinstance(one, Unknown)))


def _once(points: Iterable[Point]) -> list[Point]:
    """Return the findings about one service, each once, even if found in several modes."""
    return list({(point.id, point.where, point.message): point for point in points}.values())


def _judged(subject: Subject, found: _Said, host: Sequence[Acceptance], today: dt.date) -> Judged:
    points, unknown = found
    own: tuple[Acceptance, ...] = subject.settings[CHECK] if subject.settings else ()
    judged = baseline.accepted(points, [*own, *host], today)
    if not subject.fleet.answers.silence and not unknown:  # an acceptance may be about something that was not checked
        judged += baseline.unused(subject.service.name, points, own, CHECKS)
    ordered = sorted(judged, key=lambda point: (*point.weight, point.where))
    return Judged(subject.service.name, tuple(ordered), tuple(unknown))
