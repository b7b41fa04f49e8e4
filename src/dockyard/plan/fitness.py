"""Whether an instance can do its work as it is launched: with its user, its capabilities, and what is mounted."""

from collections.abc import Sequence
from typing import NamedTuple

from dockyard.plan.capabilities import lacking
from dockyard.plan.facts import Facts
from dockyard.plan.mounts import Access
from dockyard.plan.owners import id_map, user_inside
from dockyard.plan.ownership import Finding, Process, findings, overrides_permissions
from dockyard.plan.places import is_within, places_of
from dockyard.settings.resolve import Settings


class Started(NamedTuple):
    """How an instance starts: as which user, and with which flags of the engine."""

    user: str
    flags: tuple[str, ...]


def unfit(
    service: str, settings: Settings, facts: Facts, accesses: Sequence[Access], started: Started
) -> tuple[Finding, ...]:
    """Return what the instance's user cannot use.

    Commands change owners and permissions only below the service's own directory; elsewhere they only
    let one more user read.
    """
    inside = user_inside(started.user, facts)
    if not inside or not accesses:
        return ()
    ids, overrides = id_map(settings, facts), overrides_permissions(inside, started.flags)
    found = findings(accesses, Process(started.user or "root", inside, ids, overrides, lacks(facts, started)))
    own = places_of(settings, service, test_data=False).own
    return tuple(one if is_within(one.path, own) or one.only_adds else one.of_others() for one in found)


def lacks(facts: Facts, started: Started) -> tuple[str, ...]:
    """Return the capabilities that settings take from a program that begins as root, and may need at its start."""
    inside = user_inside(started.user, facts)
    return lacking(started.flags) if inside and inside.uid == 0 else ()
