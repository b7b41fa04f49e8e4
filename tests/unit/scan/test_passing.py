"""What only the kernel's journal tells."""

from dockyard.scan.fanotify import CREATED, DELETED, EXECUTED
from dockyard.scan.layer import NEW, Change
from dockyard.scan.passing import with_gone
from dockyard.scan.report import HIGH, Scanned, judged


def test_program_that_is_gone_by_the_time_of_the_scan() -> None:
    """What was made and run is told even if nothing of it is left; what is there is told once."""
    there = judged(Change("/there", NEW, "file", mode=0o755))
    moved = {
        "/gone": frozenset((CREATED, EXECUTED, DELETED)),
        "/there": frozenset((CREATED, EXECUTED)),
        "/usr/bin/sh": frozenset((EXECUTED,)),
        "/data": frozenset((CREATED, DELETED)),
    }
    told = with_gone(Scanned("web", "1", (there,)), moved).findings
    assert [(finding.change.path, finding.change.what, finding.severity) for finding in told] == [
        ("/there", NEW, HIGH),
        ("/gone", "runs", HIGH),
    ]
