"""No worse than what runs: whether an image may be promoted, by its vulnerabilities relative to the running image."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dockyard import history
from dockyard.errors import DockyardError
from dockyard.settings.keys import SCAN_COMMAND, SCAN_SEVERITY
from dockyard.vulnerabilities.report import SEVERITIES, Vulnerability
from dockyard.vulnerabilities.scanner import Scanner

if TYPE_CHECKING:
    from dockyard.engine.models import Image
    from dockyard.service import Service
    from dockyard.yard import Yard

MAX_NAMED = 8


def scan_candidate(
    yard: "Yard", service: "Service", candidate: str, live: str, *, is_forced: bool = False
) -> tuple[str, ...]:
    """Check an image that is about to be promoted, by its id, and return lines for the report.

    It is compared with the image that production runs, or else with what is live. Raises DockyardError as
    `check_vulnerabilities` does; `is_forced`: that is a line as well.
    """
    if not yard.settings[SCAN_COMMAND]:
        return ()
    from dockyard.replace import production

    here = production(yard, service)
    running = here.image_id if here else live
    images = yard.engine.images([f"sha256:{image}" for image in (candidate, running) if image])
    new = images.get(f"sha256:{candidate}")
    if new is None:
        raise DockyardError(f"{service.name}: {candidate[:12]} no longer exists", hint="run the upgrade again")
    try:
        line = check_vulnerabilities(yard, service, new, images.get(f"sha256:{running}"))
    except DockyardError as error:
        if not is_forced:
            raise
        return (f"promoted with --force, although {error}",)
    return (line,) if line else ()


def check_vulnerabilities(yard: "Yard", service: "Service", candidate: "Image", running: "Image | None") -> str:
    """Scan a candidate and what runs, and return what differs, as a line; empty if the host has no `scan_command`.

    Raises DockyardError if the candidate has severe vulnerabilities that the running image does not have, and if the
    scanner fails: what is not known to be safe is not promoted.
    """
    if not yard.settings[SCAN_COMMAND] or candidate.equals(running):
        return ""
    scanner = Scanner(yard)
    least = SEVERITIES.index(yard.settings[SCAN_SEVERITY])
    found = _vulnerabilities_of(scanner, candidate)
    if running is None:
        severe = sum(1 for one in found if one.rank >= least)
        text = f"vulnerabilities: {len(found)}, {severe} of severity {SEVERITIES[least]} or worse; nothing runs yet"
        return _record_scan(service, candidate, text)
    before = _vulnerabilities_of(scanner, running)
    worse = _severe(found, before, least)
    if worse:  # the scanner may have learned of them after it saw the running image
        before = scanner.scan(running)
        worse = _severe(found, before, least)
    if worse:
        raise DockyardError(
            f"{service.name}: {candidate.id[:12]} has vulnerabilities that {running.id[:12]}, which runs now, "
            f"does not have: {_name_first(worse)}",
            hint="build again once there are fixed packages; "
            "if a finding does not affect the service, add it to the ignore file of the scanner",
        )
    return _record_scan(service, candidate, describe_difference(before, found))


def describe_difference(before: Iterable[Vulnerability], found: Iterable[Vulnerability]) -> str:
    """Return how many vulnerabilities are fixed, new and left.

    >>> describe_difference([], [Vulnerability("CVE-1", "curl", "8", "low")])
    'vulnerabilities: 0 fixed, 1 new, 0 left'
    """
    old, new = ({one.key for one in side} for side in (before, found))
    return f"vulnerabilities: {len(old - new)} fixed, {len(new - old)} new, {len(old & new)} left"


def _vulnerabilities_of(scanner: Scanner, image: "Image") -> frozenset[Vulnerability]:
    saved = scanner.load_saved(image)
    return scanner.scan(image) if saved is None else saved


def _severe(found: Iterable[Vulnerability], before: Iterable[Vulnerability], least: int) -> list[Vulnerability]:
    """Return what is new and at least so severe, the worst first; so is one that has become so severe."""
    known = {one.key for one in before if one.rank >= least}
    new = {one.key: one for one in found if one.rank >= least and one.key not in known}
    return sorted(new.values(), key=lambda one: (-one.rank, one))


def _name_first(found: list[Vulnerability]) -> str:
    left = len(found) - MAX_NAMED
    return ", ".join(map(str, found[:MAX_NAMED])) + (f" and {left} more" if left > 0 else "")


def _record_scan(service: "Service", candidate: "Image", text: str) -> str:
    history.record(service.name, "scan", "ok", image=candidate.id, content=candidate.content, vulnerabilities=text)
    return text
