"""Accepted findings: in a service's settings under `check:`, and in one file for the host."""

import datetime as dt
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from dockyard.check.point import Point, Severity
from dockyard.scan.rule_file import trusted_text
from dockyard.settings.acceptance_type import Acceptance, read_acceptances
from dockyard.settings.nodes import Scalar, document
from dockyard.text import did_you_mean

DEFAULT = "/etc/dockyard/check.yaml"
UNUSED = "acceptance-unused"
UNUSED_TITLE = "An acceptance without a finding"


def host_file() -> Path:
    """Return the host's file, which need not exist."""
    return Path(os.environ.get("DOCKYARD_CHECK") or DEFAULT)


def of_host() -> list[Acceptance]:
    """Return what the host's file accepts. Raises SettingsError with everything that is wrong with it.

    Only root may have write permission, as with the rules of d-cowscan: it decides what is reported.
    """
    path = host_file()
    if not path.exists() and "DOCKYARD_CHECK" not in os.environ:
        return []
    node = document(trusted_text(path), str(path))
    return [] if isinstance(node, Scalar) and node.empty else read_acceptances(node)


def accepted(points: Iterable[Point], acceptances: Sequence[Acceptance], today: dt.date) -> list[Point]:
    """Return the findings, each with the acceptance that covers it; one that has expired is named in the message."""
    return [_judged(point, acceptances, today) for point in points]


def _judged(point: Point, acceptances: Sequence[Acceptance], today: dt.date) -> Point:
    covering = [one for one in acceptances if one.covers(point.id, point.service, point.message)]
    current = [one for one in covering if not one.is_past(today)]
    if current or not covering:
        return point._replace(accepted=current[0] if current else None)
    last = max(covering, key=lambda one: one.until or dt.date.max)
    return point._replace(message=f"{point.message} (accepted until {last.until}, now expired: {last.where})")


def unused(
    service: str, points: Sequence[Point], acceptances: Iterable[Acceptance], known: Iterable[str]
) -> list[Point]:
    """Return a finding for each acceptance that matches none; `points` as they were before acceptance."""
    found = []
    for one in acceptances:
        if not any(one.covers(point.id, point.service, point.message) for point in points):
            what = f"`{one.id}`" if one.id in set(known) else f"`{one.id}`, which is not a check,"
            about = f" about `{one.about}`" if one.about else ""
            hint = "remove the acceptance" if one.id in set(known) else did_you_mean(one.id, known)
            message = f"{what} is accepted{about}, but there is no such finding"
            why = "An acceptance without a finding hides the same fault if it occurs again."
            found.append(
                Point(service, UNUSED, Severity.WARNING, message, one.where, why, hint=hint, title=UNUSED_TITLE)
            )
    return found
