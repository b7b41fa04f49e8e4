"""What scans lead to: their findings are kept as alerts, what is accepted is left out, and news is told."""

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dockyard.scan import alert_store, alerts
from dockyard.scan.alert import News
from dockyard.scan.layer import TOUCHED
from dockyard.scan.report import DRIFT, INCOMPLETE, OK, Scanned, verdict
from dockyard.scan.summaries import earlier
from dockyard.scan.summary import Earlier

if TYPE_CHECKING:
    from dockyard.settings.resolve import Settings


class Observed(NamedTuple):
    """Scans without what is accepted, what of them is news, and alerts of earlier scans that are still raised."""

    scanned: Sequence[Scanned]
    news: Sequence[News] = ()
    earlier: Earlier = Earlier()

    @property
    def verdict(self) -> str:
        """The verdict on all: an alert counts until somebody has acknowledged it, even if its cause is gone."""
        told = verdict(list(self.scanned))
        if self.earlier.drift:
            return DRIFT
        return INCOMPLETE if told == OK and self.earlier.total else told

    def lines(self) -> list[str]:
        """Return it for a person; nothing where nothing is to be told."""
        lines = [line for one in self.scanned for line in one.lines()]
        if self.earlier.total:
            lines.append("still raised, until acknowledged (d-cowscan --ack):")
            lines += [f"  {line}" for line in self.earlier.lines()]
        return lines

    def data(self) -> dict[str, object]:
        """Return it for a machine."""
        return {
            "verdict": self.verdict,
            "containers": [one.row() for one in self.scanned],
            **self.earlier.data(),
        }


def observed(found: Iterable[Scanned], names: frozenset[str] = frozenset(), when: float | None = None) -> Observed:
    """Keep what scans found that began at `when`; with names, only these containers' alerts are told besides."""
    found = list(found)
    news = [keep(one, when or time.time()) for one in found]
    left = [one.without(each.accepted) for one, each in zip(found, news, strict=True)]
    others = earlier({one.container for one in news}, names)
    unseen = [one.earlier for one in news if one.earlier]
    return Observed(left, news, others._replace(there=sorted([*unseen, *others.there], key=lambda one: one.container)))


def keep(one: Scanned, when: float) -> News:
    """Keep a scan's findings as alerts, and that it was not complete; what was only touched is none."""
    rows = [finding.row(one.name) for finding in one.findings if finding.change.what != TOUCHED]
    is_complete = not one.unjudged and not one.omitted
    return alerts.observe(one.name, one.id, rows, when, complete=is_complete, reasons=tuple(one.unjudged))


def tell(settings: "Settings", result: Observed) -> None:
    """Tell the log, and whom the host file names, of what is news."""
    from dockyard.scan import tell as telling

    if alert_store.path().exists() or any(one.new for one in result.news):
        telling.tell(settings, result.news)
