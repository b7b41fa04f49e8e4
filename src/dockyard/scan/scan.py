"""One scan of all containers: where their layers are, what differs there, less what is expected."""

import datetime as dt
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from dockyard.engine.models import IdMap
from dockyard.errors import DockyardError
from dockyard.scan.layer import BUDGET, NEW, TOUCHED, Budget, Change, Walk
from dockyard.scan.report import Scanned, judged
from dockyard.scan.rules import Rule, unexpected
from dockyard.scan.where import Place, place_of

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine
    from dockyard.engine.models import Container


def scan_all(
    engine: "Engine", rules: Iterable[Rule], *, stopped: bool = False, touched: bool = False, budget: Budget = BUDGET
) -> list[Scanned]:
    """Scan every running container, with `stopped` the others too; `touched` tells what says least as well.

    A container that came or went meanwhile is told as not judged.
    """
    rules = list(rules)
    before = {row.id: row.name for row in engine.rows() if stopped or row.is_up}
    containers = engine.containers(list(before)) if before else []
    found = [
        scan(container, rules, ids=lambda: engine.id_map, touched=touched, budget=budget) for container in containers
    ]
    after = {row.id: row.name for row in engine.rows() if stopped or row.is_up}
    done = {one.id for one in found}
    found += [
        Scanned(name, identifier, unjudged={"it was gone before it was read": 1})
        for identifier, name in before.items()
        if identifier not in done
    ]
    found += [
        Scanned(name, identifier, unjudged={"it came while the others were read": 1})
        for identifier, name in after.items()
        if identifier not in before
    ]
    return sorted(found, key=lambda one: one.name)


def scan(
    container: "Container",
    rules: list[Rule],
    *,
    ids: Callable[[], IdMap] = IdMap,
    touched: bool = False,
    budget: Budget = BUDGET,
) -> Scanned:
    """Scan one container; whatever keeps it from being judged is told in what is returned. `ids` as in `place_of`."""
    began = time.monotonic()
    try:
        place = place_of(container, ids)
        walk = Walk(place.upper, place.layers, budget)
        changes = [
            change.seen_by(place.ids)
            for change in walk.changes()
            if (touched or change.what != TOUCHED) and not _is_stub(change, place)
        ]
    except DockyardError as error:
        return Scanned(container.name, container.id, unjudged={str(error): 1})
    except OSError as error:
        reason = f"its layers cannot be read: {error.strerror}"
        return Scanned(container.name, container.id, unjudged={reason: 1})
    told = unexpected(container.name, changes, rules, dt.datetime.now(tz=dt.UTC).date())
    return Scanned(
        container.name,
        container.id,
        tuple(judged(change) for change in told),
        dict(walk.unjudged),
        dict(walk.example),
        walk.entries,
        time.monotonic() - began,
    )


def _is_stub(change: Change, place: Place) -> bool:
    """Return whether an entry is what the engine made for a mount: empty, and covered by it or on the way to it."""
    if change.what != NEW or change.kind not in {"file", "directory"} or change.mode & 0o7022:
        return False
    if change.path in place.mounted:
        return change.kind == "directory" or not change.size
    return change.kind == "directory" and any(point.startswith(f"{change.path}/") for point in place.mounted)
