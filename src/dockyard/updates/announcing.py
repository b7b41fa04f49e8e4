"""Which newer versions people are notified of: those that are not applied without them."""

from typing import TYPE_CHECKING

from dockyard.monitoring.problems import PendingFacts
from dockyard.updates.collecting import WAITS, collect_updates

if TYPE_CHECKING:
    from dockyard.updates.pending import Pending
    from dockyard.yard import Yard

_ENDS = WAITS | {"limited"}
"""Kinds of blockers that end by themselves: such an update is not announced."""


def gather_pending(yard: "Yard", now: float) -> list[PendingFacts]:
    """Return the newer versions to announce, as registries last said. Raises DockyardError.

    `now` is in seconds of the epoch.
    One that a service has failed with is among them whatever else is in its way.
    """
    found = collect_updates(yard, [service.name for service in yard.services], is_offline=True)
    return [_facts(one, now) for one in found.pending if any(blocker.kind not in _ENDS for blocker in one.blockers)]


def _facts(update: "Pending", now: float) -> PendingFacts:
    kinds = {blocker.kind for blocker in update.blockers}
    why = "; ".join(blocker.text for blocker in update.blockers if blocker.kind not in _ENDS)
    return PendingFacts(
        update.base.service,
        f"{update.image}:{update.tag}@{update.sighting.digest}",
        update.summary,
        why,
        update.notes,
        has_failed="failed" in kinds,
        is_overdue=now > update.remind_at,
    )
