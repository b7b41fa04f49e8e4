"""One number for all the findings about a service."""

from collections.abc import Iterable
from math import floor

from dockyard.check.point import Point, Severity

LEFT = {Severity.ERROR: 0.6, Severity.WARNING: 0.9, Severity.NOTE: 0.99}
"""The factor by which each finding reduces the score."""


def score(points: Iterable[Point]) -> int:
    """Return 100 for a service without findings; each one that is not accepted reduces it."""
    left = 100.0
    for point in points:
        left *= LEFT[point.severity] if point.counts else 1
    return floor(left + 1e-9)
