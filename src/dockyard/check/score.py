"""One number for all the points of a service."""

from collections.abc import Iterable
from math import floor

from dockyard.check.point import Point, Severity

LEFT = {Severity.ERROR: 0.6, Severity.WARNING: 0.9, Severity.NOTE: 0.99}
"""What each point leaves of the score: it takes the same part of what the others left."""


def score(points: Iterable[Point]) -> int:
    """Return 100 for a service without points, less with each that nobody has accepted; never more for one more."""
    left = 100.0
    for point in points:
        left *= LEFT[point.severity] if point.counts else 1
    return floor(left + 1e-9)
