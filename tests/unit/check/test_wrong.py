"""Services that are wrong on purpose: tests/golden/check/wrong/NAME, with all that is to be found in NAME/points."""

import datetime as dt

from dockyard.check.registry import CHECKS
from dockyard.check.run import Judged, run
from dockyard.yard import Yard
from tests.unit.making import GOLDEN

SERVICES = sorted(path for path in (GOLDEN / "check/wrong").iterdir())
TODAY = dt.date(2026, 1, 1)


def lines_of(one: Judged) -> list[str]:
    """Return what is told of a service: severity, id and place of each point, and what could not be checked."""
    points = [
        f"{point.severity.value} {point.id} {point.where.removeprefix(f'src/{one.service}/')}" for point in one.open
    ]
    accepted = [f"accepted {point.id}" for point in one.points if point.accepted]
    return [*points, *accepted, *(f"unchecked {text}" for text in one.unknown)]


def test_each_fault_is_named_and_nothing_else(wrong: Yard) -> None:
    """Every point of every wrong service, the worst first, with severity, id and place; not one more."""
    report = run(wrong, [path.name for path in SERVICES], TODAY)
    found = {one.service: lines_of(one) for one in report.services}
    assert found == {path.name: (path / "points").read_text(encoding="utf-8").splitlines() for path in SERVICES}


def test_every_check_finds_something() -> None:
    """No check is without a service that is wrong in that way."""
    found = {line.split()[1] for path in SERVICES for line in (path / "points").read_text().splitlines()}
    assert {name for name, check in CHECKS.items() if not check.of_host} - found == set()
    assert len(SERVICES) >= 25
