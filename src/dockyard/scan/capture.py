"""Scans a container once more before it is stopped or removed, so that its alerts are not lost."""

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from dockyard.errors import DockyardError
from dockyard.layers.store import store_of
from dockyard.plan.switch import base_name
from dockyard.scan.alert import News
from dockyard.scan.alerts import observe
from dockyard.scan.layer import Budget
from dockyard.scan.report import Scanned
from dockyard.scan.rule_file import known_rules
from dockyard.scan.rules import Rule, default_file, load
from dockyard.scan.scan import Options, scan
from dockyard.settings.load import read_host
from dockyard.telling import warn
from dockyard.text import escaped

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine
    from dockyard.engine.models import Container

PATIENCE = 2.0  # seconds that a stop waits for all scans
STOP = Budget(entries=200_000, seconds=PATIENCE, compared=64 * 1024**2)
LARGEST = 32 * 1024**2  # bytes that are saved of a container that is removed when it stops


def look(engine: "Engine", container: "Container", budget: Budget) -> Scanned:
    """Scan a container as d-cowscan does, by the host's rules; one in the middle of a switch has its service's name."""
    named = container._replace(name=base_name(container.name))
    options = Options(tuple(_rules()), consistent=False, budget=budget, entries=engine.dialect.entries)
    return scan(named, store_of(engine), options)


def _rules() -> list[Rule]:
    """Return the host's rules and those for well-known programs; wrong ones are reported, and expect nothing."""
    try:
        return [*(load(default_file()) if default_file().exists() else []), *known_rules(read_host(os.environ))]
    except DockyardError as error:
        warn(str(error))
        return []


def is_readable(scanned: Scanned) -> bool:
    """Return whether its layers could be read at all."""
    return bool(scanned.entries) or not scanned.unjudged


def remember(scanned: Scanned, *, going: bool) -> News:
    """Save the findings as alerts; for a container that is being removed, also that it was not fully judged.

    A new container of the same name is not affected.
    """
    rows = [finding.row(scanned.name) for finding in scanned.findings]
    reasons = tuple(scanned.unjudged) if going else ()
    complete = not scanned.unjudged and not going
    return observe(scanned.name, scanned.id, rows, time.time(), complete=complete, reasons=reasons)


def before_stop(engine: "Engine", containers: Iterable["Container"]) -> None:
    """Save alerts of containers that are about to be stopped, and the changes of those that are removed with it.

    It takes at most two seconds for all of them together; failures are reported and do not prevent the stop.
    """
    deadline = time.monotonic() + PATIENCE
    for container in containers:
        left = deadline - time.monotonic()
        if left <= 0:
            warn(f"{escaped(container.name)}: not scanned before its stop: timed out")
            continue
        try:
            _capture(engine, container, STOP._replace(seconds=left))
        except Exception as error:  # noqa: BLE001 - a stop is never kept from happening
            warn(f"{escaped(container.name)}: not scanned before its stop: {escaped(str(error))}")


@contextmanager
def looked_at(engine: "Engine", names: Iterable[str]) -> Iterator[None]:
    """Do the same for containers by name that the block stops: those that stay are scanned while they stop."""
    from concurrent.futures import ThreadPoolExecutor

    try:
        containers = engine.containers(names)
    except DockyardError as error:
        warn(f"not scanned before their stop: {error}")
        containers = []
    before_stop(engine, [container for container in containers if container.removed_at_end])
    with ThreadPoolExecutor(1) as beside:
        beside.submit(before_stop, engine, [container for container in containers if not container.removed_at_end])
        yield


def _capture(engine: "Engine", container: "Container", budget: Budget) -> None:
    if container.is_under_test or (os.geteuid() and not os.access(store_of(engine).upper_of(container), os.R_OK)):
        return  # who may not read the layers is not who is told of them
    if container.removed_at_end and container.service:
        from dockyard import dossier
        from dockyard.keeping import keep_changes

        kept = keep_changes(engine, container, dossier.place(container.service), budget, LARGEST)
        for line in kept.lines(escaped(container.name)):
            warn(line)
        return
    scanned = look(engine, container, budget)
    news = remember(scanned, going=container.removed_at_end)
    if news.new:
        warn(f"{escaped(container.name)}: {len(news.new)} unexpected changes, saved as alerts: d-cowscan lists them")
    if scanned.unjudged:
        reasons = ", ".join(escaped(reason) for reason in scanned.unjudged)
        warn(f"{escaped(container.name)}: not fully scanned before its stop: {reasons}")
