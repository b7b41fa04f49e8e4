"""Many alerts in few lines: one by one where they are few, counted by directory where they are many."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from dockyard.scan.alert import INCOMPLETE, SEVERITIES, Alert
from dockyard.text import escaped

FEW = 20  # alerts of a container that are listed one by one
MAX_GROUPS = 10  # directories of a container that are listed
MAX_LINES = 100  # of all containers; of others there is one line
NAMED = 3  # paths that are named where all are count_severities


class Group(NamedTuple):
    """The alerts of one directory of a container; `paths` are some of them, fit to print."""

    container: str
    directory: str
    total: int
    severities: Mapping[str, int]
    whats: Mapping[str, int]
    paths: Sequence[str]

    def line(self) -> str:
        """Return it for a person."""
        what = ", ".join(f"{count} {word}" for word, count in self.whats.items())
        more = f" and {self.total - len(self.paths)} more" if self.total > len(self.paths) else ""
        directory = escaped(self.directory) or "the container"
        severities = count_severities(self.severities)
        return f"{escaped(self.container)}: {severities}, {what} in {directory}: {', '.join(self.paths)}{more}"


class Summary(NamedTuple):
    """The raised alerts of a container: `alerts` where they are few, otherwise the worst `groups`.

    `drift` of them are findings; the others say that a scan was incomplete.
    """

    container: str
    total: int = 0
    drift: int = 0
    alerts: Sequence[Alert] = ()
    groups: Sequence[Group] = ()

    def lines(self) -> list[str]:
        """Return it for a person."""
        if self.alerts:
            return [alert.line() for alert in self.alerts]
        left = self.total - sum(group.total for group in self.groups)
        name = escaped(self.container)
        more = f"{left} more in other directories; " if left else ""
        return [
            *(group.line() for group in self.groups),
            f"{name}: {more}`d-cowscan --alerts {name}` lists all {self.total}",
        ]

    def dump(self) -> str:
        """Return it as it is stored."""
        import json

        rows = [list(alert) for alert in self.alerts]
        return json.dumps([self.container, self.total, self.drift, rows, [list(group) for group in self.groups]])


def load(text: str) -> Summary:
    """Return what was stored."""
    import json

    container, total, drift, rows, groups = json.loads(text)
    alerts, directories = (Alert(*row) for row in rows), (Group(*group) for group in groups)
    return Summary(container, total, drift, tuple(alerts), tuple(directories))


def summarize(container: str, alerts: Sequence[Alert]) -> Summary:
    """Return the summary of raised alerts of one container."""
    drift = sum(alert.what != INCOMPLETE for alert in alerts)
    if len(alerts) <= FEW:
        return Summary(container, len(alerts), drift, tuple(rank_alerts(alerts)))
    groups = tuple(group_of(members) for members in by_directory(alerts)[:MAX_GROUPS])
    return Summary(container, len(alerts), drift, groups=groups)


def by_directory(alerts: Iterable[Alert]) -> list[list[Alert]]:
    """Return alerts by container and directory, the worst first."""
    groups: defaultdict[tuple[str, str], list[Alert]] = defaultdict(list)
    for alert in rank_alerts(alerts):
        groups[alert.container, os.path.dirname(alert.path)].append(alert)  # noqa: PTH120 - not of this host
    return list(groups.values())


def group_of(members: Sequence[Alert]) -> Group:
    """Return what there is to say of the alerts of one directory."""
    severities = dict(Counter(alert.severity for alert in members))
    whats = dict(Counter(alert.what for alert in members))
    directory = os.path.dirname(members[0].path)  # noqa: PTH120 - not of this host
    named = [alert.shown for alert in members[:NAMED]]
    return Group(members[0].container, directory, len(members), severities, whats, named)


def rank_alerts(alerts: Iterable[Alert]) -> list[Alert]:
    """Return alerts, the worst first."""
    return sorted(alerts, key=lambda one: (SEVERITIES.index(one.severity), one.container, one.path, one.fingerprint))


def count_severities(severities: Mapping[str, int]) -> str:
    """Return how many there are of each severity, in words."""
    return ", ".join(f"{severities[severity]} {severity}" for severity in SEVERITIES if severities.get(severity))


class Earlier(NamedTuple):
    """Alerts of earlier scans that are still raised: of containers that exist, and of those that are gone.

    Of the latter the newest are in `gone`; `more` counts the other containers, their alerts, and those that are drift.
    """

    there: Sequence[Summary] = ()
    gone: Sequence[Summary] = ()
    more: tuple[int, int, int] = (0, 0, 0)

    @property
    def total(self) -> int:
        """How many are raised."""
        return sum(one.total for one in (*self.there, *self.gone)) + self.more[1]

    @property
    def drift(self) -> int:
        """How many of them are findings."""
        return sum(one.drift for one in (*self.there, *self.gone)) + self.more[2]

    def lines(self) -> list[str]:
        """Return it for a person."""
        containers, count, _ = self.more
        lines: list[str] = []
        for one in (*self.there, *self.gone):
            lines += one.lines() if len(lines) < MAX_LINES else one.lines()[-1:]
        rest = f"{count} of {containers} more containers that are gone: see `d-cowscan --alerts`"
        return [*lines, *([rest] if count else [])]

    def data(self) -> dict[str, Any]:
        """Return it for a machine."""
        every = (*self.there, *self.gone)
        return {
            "raised": [alert.data() for one in every for alert in one.alerts],
            "raised_groups": [group._asdict() for one in every for group in one.groups],
            "raised_count": self.total,
        }
