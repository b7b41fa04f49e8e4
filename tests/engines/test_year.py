"""A year of upstream events: nothing bad stays live, nothing good is held back, and every message has a reason."""

import os

import pytest

from tests.engines.upstream import serving
from tests.engines.world import REPOSITORY, Record, World
from tests.engines.year import Fleet

EVENTS = int(os.environ.get("DOCKYARD_YEAR", "5"))
LOG = REPOSITORY / ".state/year.log"
SEED = int(os.environ.get("DOCKYARD_YEAR_SEED", "1"))


@pytest.mark.long("podman")
def test_a_year_of_upstream_events(own_fleet: World, record_property: Record) -> None:
    """After each event the timer's job runs; what is live is what an oracle says, and so are messages and commits."""
    with serving(own_fleet) as upstream:
        fleet = Fleet(own_fleet, upstream, SEED)
        fleet.build()
        wrong = []
        for number in range(EVENTS):
            event = fleet.happen()
            found = fleet.run_timer(365 / max(EVENTS, 200) * (0.2 + 1.6 * fleet.random.random()))
            with LOG.open("a", encoding="utf-8") as log:
                log.write(f"{number + 1}: {event}: {found or 'as it has to be'}\n")
            wrong += [f"{number + 1}: {event}: {one}" for one in found]
        counts = ", ".join(f"{count} {what}" for what, count in fleet.counts.items())
        record_property("figure", f"{own_fleet.engine} a year in {EVENTS} events: {counts}; {len(wrong)} wrong")
        assert wrong == []
