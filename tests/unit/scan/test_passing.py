"""What only the kernel's journal tells."""

from dockyard.scan.fanotify import CREATED, DELETED, EXECUTED
from dockyard.scan.layer import NEW, Change
from dockyard.scan.passing import UNCERTAIN, with_gone
from dockyard.scan.report import HIGH, Scanned, judged
from dockyard.scan.rules import Rule
from dockyard.scan.schedule import MOST, PROGRAMS, Moved, Schedule


def test_program_that_is_gone_by_the_time_of_the_scan() -> None:
    """What was made and run is told even if nothing of it is left; what is there is told once."""
    there = judged(Change("/there", NEW, "file", mode=0o755))
    moved = {
        "/gone": frozenset((CREATED, EXECUTED, DELETED)),
        "/there": frozenset((CREATED, EXECUTED)),
        "/usr/bin/sh": frozenset((EXECUTED,)),
        "/data": frozenset((CREATED, DELETED)),
    }
    told = with_gone(Scanned("web", "1", (there,)), Moved(moved)).findings
    assert [(finding.change.path, finding.change.what, finding.severity) for finding in told] == [
        ("/there", NEW, HIGH),
        ("/gone", "runs", HIGH),
    ]


def test_program_that_a_rule_expects() -> None:
    """It may be there still, and the scan says nothing of it; a rule that is not for programs covers none."""
    moved = {"/app/tool": frozenset((CREATED, EXECUTED)), "/log/tool": frozenset((CREATED, EXECUTED))}
    rules = (
        Rule("/app/*", "", executable=True, reason="it compiles what it runs"),
        Rule("/log/*", "", reason="its logs"),
    )
    told = with_gone(Scanned("web", "1"), Moved(moved), rules).findings
    assert [finding.change.path for finding in told] == ["/log/tool"]
    runs = Rule("/log/*", "", what=("runs",), kinds=("process",), reason="it does that")
    assert with_gone(Scanned("web", "1"), Moved(moved), (*rules, runs)).findings == ()


def test_program_that_is_gone_in_a_flood_of_names() -> None:
    """Where it was made is not remembered; that it was run is, and that it could not be judged is told."""
    schedule = Schedule()
    for number in range(MOST + 5):
        schedule.note("1", f"/{number}", {CREATED})
    for kind in (CREATED, EXECUTED, DELETED):
        schedule.note("1", "/payload", {kind})
    moved = schedule.take("1")
    assert with_gone(Scanned("web", "1"), moved).unjudged == {UNCERTAIN: 1}
    for number in range(MOST + PROGRAMS + 5):
        schedule.note("1", f"/{number}", {EXECUTED})
    assert len(schedule.take("1").kinds) == MOST + PROGRAMS


def test_names_without_programs() -> None:
    """However many there were: the scan has met what is left of them."""
    assert with_gone(Scanned("web", "1"), Moved({"/data": frozenset((CREATED,))}, 9)).unjudged == {}
