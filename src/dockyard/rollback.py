"""Back to an earlier version of a service, so that it lasts."""

import time

from dockyard import history, recovery
from dockyard.answering import await_answer, listening_ports, published_ports
from dockyard.build import Builder, builder_for
from dockyard.engine.models import Image
from dockyard.plan.build import LIVE, PREVIOUS, Promotion, plan_rollback
from dockyard.plan.launch import container_name
from dockyard.plan.switch import Tags
from dockyard.replace import production, replacement
from dockyard.service import Service
from dockyard.switch import MILLISECONDS, Switched
from dockyard.upgrade import Report, Tell, Wanted, upgraded, with_changes
from dockyard.versions import version_to_restore
from dockyard.yard import Yard

AT_ONCE_SECONDS = 1.0


def rollback(yard: Yard, service: Service, wanted: Wanted, tell: Tell, version: str = "") -> Report:
    """Have the previous image, or a version, live again, and running if production is up.

    The container's lock is held. What was live becomes the previous one, so that a second rollback undoes the first.
    Raises NoSuchNameError if there is nothing to roll back to, DockyardError if it does not prove itself:
    production is then as it was.
    """
    recovery.settle(yard.engine, container_name(yard.load(service)), tell)
    builder = builder_for(yard, service)
    here = production(yard, service)
    target = version_to_restore(builder, version) if version else None
    if not here or not here.is_up:
        promotion, rejected = roll_back_tags(builder, target)
        builder.publish()
        text = f"{builder.name.tagged(LIVE)} is {promotion.live[:12]}"
        return Report(service.name, "promoted", text, promotion.live, notes=lasts(service, rejected))
    images = builder.tags()
    promotion = plan_rollback(builder.name, images, target)
    rejected = _rejected_by(builder, promotion)
    previous = images.get(builder.name.tagged(PREVIOUS))
    tags = Tags(builder.name.untagged, promotion.previous, previous.id if previous else "")
    live = builder.name.tagged(LIVE)
    ports = published_ports(here) & listening_ports(here.pid)
    pending = replacement(
        yard, service, "rollback", tell, image=promotion.live, live=live, tags=tags, patience=wanted.timeout
    )
    switched = pending.carry_out()
    _reject(builder, rejected)
    builder.publish()
    late = _await_answer(yard, pending.plan.name, ports, switched)
    report = with_changes(yard, upgraded(pending, switched), pending.image_before)
    return report._replace(notes=(*late, *report.notes, *lasts(service, rejected)))


def _await_answer(yard: Yard, name: str, ports: frozenset[int], switched: Switched) -> tuple[str, ...]:
    """Wait until what was rolled back to answers; returns what to report if that was not so at once."""
    began = time.monotonic()
    if not await_answer(yard.engine, name, ports):
        return (f"{name} does not answer yet: see `d logs {name}`",)
    if time.monotonic() - began < AT_ONCE_SECONDS:
        return ()
    total = switched.outage + round((time.monotonic() - switched.up) * MILLISECONDS)
    return (f"{name} answers {total} ms after the old container was stopped",)


def roll_back_tags(builder: Builder, target: Image | None = None) -> tuple[Promotion, str]:
    """Move the tags back to the previous image, or to a target, and nothing else; returns the image rolled back, too.

    Raises NoSuchNameError if there is nothing to roll back to.
    """
    rejected = _rejected_by(builder, plan_rollback(builder.name, builder.tags(), target))
    promotion = builder.rollback(target)
    content = builder.engine.content(promotion.live)
    history.record(builder.service.name, "rollback", "ok", image=promotion.live, content=content)
    _reject(builder, rejected)
    return promotion, rejected


def lasts(service: Service, rejected: str) -> tuple[str, ...]:
    """Return what to add to the report of a rollback: until when it lasts."""
    if not rejected:
        return ()
    image, force = rejected[:12], f"`d upgrade {service.name} --force`"
    return (f"{image} is not deployed again until its source or its base image changes, or with {force}",)


def _rejected_by(builder: Builder, promotion: Promotion) -> str:
    """Return the image that a rollback rejects; empty for one that only undoes another rollback."""
    name, target = builder.service.name, promotion.live
    event = history.rejection(name, target, builder.engine.content(target), "")
    is_undo = event is not None and event.result == history.ROLLED_BACK
    return "" if is_undo else promotion.previous


def _reject(builder: Builder, image: str) -> None:
    if image:
        history.record_rollback(builder.service.name, image, builder.engine.content(image))
