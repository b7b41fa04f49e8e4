"""What was there between two scans alone: programs that were made, run and taken away again."""

from collections.abc import Collection, Mapping

from dockyard.scan.fanotify import CREATED, EXECUTED, MOVED_TO
from dockyard.scan.layer import Change
from dockyard.scan.report import Scanned, judged
from dockyard.scan.running import PROCESS, RUNS

GONE = "made, run, and gone by the time of the scan"


def with_gone(one: Scanned, moved: Mapping[str, Collection[str]]) -> Scanned:
    """Return a scan with findings for programs that the kernel told of and that the scan did not meet.

    `moved` has what happened, in the words of fanotify.py, by path.
    """
    met = {finding.change.path for finding in one.findings}
    gone = (
        Change(path, RUNS, PROCESS, detail=(GONE,))
        for path, kinds in moved.items()
        if EXECUTED in kinds and not {CREATED, MOVED_TO}.isdisjoint(kinds) and path not in met
    )
    return one._replace(findings=(*one.findings, *(judged(change) for change in gone)))
