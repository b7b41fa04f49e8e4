"""Verbs for services whose directory was removed or renamed."""

from typing import TYPE_CHECKING

from dockyard.cli.command import argument, flag
from dockyard.cli.output import Result, say
from dockyard.cli.verb import verb
from dockyard.yard import Yard

if TYPE_CHECKING:
    from dockyard.orphans import Orphan

DRY_RUN = flag("-n", "--dry-run", help="show what would be done, and change nothing")


@verb("orphans", report=True)
def orphans(yard: Yard) -> Result:
    """List running production containers whose service no longer exists; exit code 1 if there are any."""
    from dockyard.errors import WORK_FAILED
    from dockyard.orphans import list_orphans

    found = list_orphans(yard)
    lines = [line for orphan in found for line in (f"{orphan.service}: {orphan}", f"  hint: {orphan.hint}")]
    return Result(lines or ["no orphans"], [_row(orphan) for orphan in found], WORK_FAILED if found else 0)


def _row(orphan: "Orphan") -> dict[str, str]:
    return {"service": orphan.service, "container": orphan.name, "problem": str(orphan), "hint": orphan.hint}


@verb("adopt", report=True, locks=True, options=(argument("old"), argument("new"), DRY_RUN))
def adopt(yard: Yard, old: str, new: str, *, dry_run: bool) -> Result:
    """Move container, data, images and history of OLD, whose directory no longer exists, to service NEW.

    OLD's container stops, its data and image tags get the new name, and NEW starts from the same image. If it does not
    stay up, this is rolled back: everything gets its old name back and OLD's container starts again.
    """
    from dockyard.leftovers import plan_adoption, select_gone
    from dockyard.lock import held
    from dockyard.plan.launch import container_name
    from dockyard.service import select

    service = yard.named(select(new, {one.name for one in yard.services}))
    name = select_gone(yard, old)
    plan = plan_adoption(yard, name, service)
    data = {"old": name, "new": service.name, "steps": plan.lines}
    if dry_run:
        return Result(plan.lines, data)
    locked = plan.container.name if plan.container else name
    with held(yard.engine, locked, yard.wait), held(yard.engine, container_name(yard.load(service)), yard.wait):
        plan.carry_out(lambda doing: say(f"{service.name}: {doing}"))
    up = f"; {service.name} is up" if plan.container and plan.container.is_up else ""
    return Result([f"{name} is {service.name} now{up}"], data)


@verb("forget", report=True, options=(argument("old"), DRY_RUN))
def forget(yard: Yard, old: str, *, dry_run: bool) -> Result:
    """Remove what dockyard stores of a removed service: containers, image tags, history, alerts, test data.

    Its production data stays.
    """
    from dockyard.leftovers import left_data, plan_forgetting, select_gone

    name = select_gone(yard, old)
    actions = plan_forgetting(yard, name)
    for action in () if dry_run else actions:
        action.do()
    place = left_data(yard, name)
    data = {"service": name, "steps": [action.line for action in actions], "data": place}
    if dry_run:
        return Result([action.line for action in actions], data)
    stays = f"; its data stays in {place}" if place else ""
    return Result([f"{name} is forgotten{stays}"], data)
