"""What scans lead to: their findings are kept as alerts, what is accepted is left out, and news is told."""

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dockyard.scan import alerts
from dockyard.scan.alert import INCOMPLETE as UNSEEN
from dockyard.scan.alert import Alert, News
from dockyard.scan.layer import TOUCHED
from dockyard.scan.report import DRIFT, INCOMPLETE, OK, Scanned, verdict

if TYPE_CHECKING:
    from dockyard.settings.resolve import Settings


class Observed(NamedTuple):
    """Scans without what is accepted, what of them is news, and alerts of earlier scans that are still raised."""

    scanned: Sequence[Scanned]
    news: Sequence[News] = ()
    earlier: Sequence[Alert] = ()

    @property
    def verdict(self) -> str:
        """The verdict on all: an alert counts until somebody has acknowledged it, even if its cause is gone."""
        told = verdict(list(self.scanned))
        if any(alert.what != UNSEEN for alert in self.earlier):
            return DRIFT
        return INCOMPLETE if told == OK and self.earlier else told

    def lines(self) -> list[str]:
        """Return it for a person; nothing where nothing is to be told."""
        lines = [line for one in self.scanned for line in one.lines()]
        if self.earlier:
            lines.append("still raised, until acknowledged (d-cowscan --ack):")
            lines += [f"  {alert.line()}" for alert in self.earlier]
        return lines

    def data(self) -> dict[str, object]:
        """Return it for a machine."""
        return {
            "verdict": self.verdict,
            "containers": [one.row() for one in self.scanned],
            "raised": [alert.data() for alert in self.earlier],
        }


def observed(found: Iterable[Scanned], names: frozenset[str] = frozenset(), when: float | None = None) -> Observed:
    """Keep what scans found that began at `when`; with names, only these containers' alerts are told besides."""
    found = list(found)
    news = [keep(one, when or time.time()) for one in found]
    left = [one.without(each.accepted) for one, each in zip(found, news, strict=True)]
    shown = {finding.fingerprint(one.name) for one in left for finding in one.findings}
    earlier = [
        alert
        for alert in (alerts.raised() if alerts.path().exists() else ())
        if alert.fingerprint not in shown
        and (not names or alert.container in names)
        # why a scan is not complete is told by the scan itself, and of a container that is gone nothing can be judged
        and not (alert.what == UNSEEN and (alert.gone or alert.container in {one.name for one in left}))
    ]
    return Observed(left, news, earlier)


def keep(one: Scanned, when: float) -> News:
    """Keep a scan's findings as alerts, and that it was not complete; what was only touched is none."""
    rows = [finding.row(one.name) for finding in one.findings if finding.change.what != TOUCHED]
    is_complete = not one.unjudged and not one.omitted
    return alerts.observe(one.name, one.id, rows, when, complete=is_complete, reasons=tuple(one.unjudged))


def tell(settings: "Settings", result: Observed) -> None:
    """Tell the log, and whom the host file names, of what is news."""
    from dockyard.scan import tell as telling

    if alerts.path().exists() or any(one.new for one in result.news):
        telling.tell(settings, result.news)
