"""What was there between two scans alone: programs that were made, run and taken away again."""

import datetime as dt
from collections.abc import Sequence

from dockyard.scan.fanotify import CREATED, EXECUTED, MOVED_TO
from dockyard.scan.layer import NEW, Change
from dockyard.scan.report import Scanned, judged
from dockyard.scan.rules import Rule, covers
from dockyard.scan.running import PROCESS, RUNS
from dockyard.scan.schedule import Moved

GONE = "made, run, and gone by the time of the scan"
UNCERTAIN = "it ran while more changed than could be remembered"


def with_gone(one: Scanned, moved: Moved, rules: Sequence[Rule] = ()) -> Scanned:
    """Return a scan with findings for programs that the kernel told of and that the scan did not meet.

    Where rules expect such programs, the scan may well have met them, and says nothing of them. Where more moved than
    could be remembered, nobody knows whether a program that was run had been made just before: then it is not complete.
    """
    met = {finding.change.path for finding in one.findings}
    gone = (
        Change(path, RUNS, PROCESS, detail=(GONE,))
        for path, kinds in moved.kinds.items()
        if EXECUTED in kinds and not {CREATED, MOVED_TO}.isdisjoint(kinds) and path not in met
    )
    told = (judged(change) for change in gone if not _is_expected(one.name, change, rules))
    uncertain = sum(EXECUTED in kinds and path not in met for path, kinds in moved.kinds.items()) if moved.more else 0
    unjudged = {**one.unjudged, UNCERTAIN: uncertain} if uncertain else one.unjudged
    return one._replace(findings=(*one.findings, *told), unjudged=unjudged)


def _is_expected(container: str, change: Change, rules: Sequence[Rule]) -> bool:
    """Return whether a rule covers what was run, or a new program there."""
    today = dt.datetime.now(tz=dt.UTC).date()
    program = Change(change.path, NEW, "file", mode=0o755)
    return any(covers(rule, container, either, today) for rule in rules for either in (change, program))
