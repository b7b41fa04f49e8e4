"""Reasons to refuse an upgrade at its start: errors of `d check` with which it cannot succeed, in the same words."""

import datetime as dt
from collections.abc import Collection
from typing import TYPE_CHECKING

from dockyard.check import baseline, run
from dockyard.check.gather import gather
from dockyard.check.point import Point, Severity
from dockyard.check.registry import CHECKS
from dockyard.check.subject import Subject
from dockyard.errors import Problem, SettingsError
from dockyard.settings.acceptance_type import Acceptance
from dockyard.settings.keys import CHECK

if TYPE_CHECKING:
    from dockyard.yard import Yard

assert run  # noqa: S101 - importing it registers the checks


def refusals(yard: "Yard", names: Collection[str]) -> dict[str, SettingsError]:
    """Return why services cannot be upgraded, by name; an accepted finding is not a reason.

    Raises SettingsError for the host's files.
    """
    host, today = baseline.of_host(), dt.datetime.now(tz=dt.UTC).astimezone().date()
    subjects = gather(yard, closely=names).subjects
    found = {name: _errors(subjects[name], host, today) for name in names}
    return {name: SettingsError([_problem(point) for point in points]) for name, points in found.items() if points}


def _errors(subject: Subject, host: list[Acceptance], today: dt.date) -> list[Point]:
    own: tuple[Acceptance, ...] = subject.settings[CHECK] if subject.settings else ()
    every = (one for check in CHECKS.values() if check.stops for one in check.run(subject))
    points = dict.fromkeys(one for one in every if isinstance(one, Point) and one.severity is Severity.ERROR)
    return [point for point in baseline.accepted(points, [*own, *host], today) if point.counts]


def _problem(point: Point) -> Problem:
    return Problem(point.where, f"{point.message} [{point.id}]", point.hint)
