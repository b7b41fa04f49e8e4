"""Remove what is no longer used: stopped containers of services, dangling images, the build cache."""

from typing import TYPE_CHECKING

from dockyard import recovery
from dockyard.errors import DockyardError, LockedError
from dockyard.launch import remove_area_of
from dockyard.lock import held
from dockyard.plan.clean import CleanPlan, Item, may_go, plan_clean

if TYPE_CHECKING:
    from dockyard.yard import Yard


def outline(yard: "Yard") -> CleanPlan:
    """Return what may go. An image that only a container holds which goes too goes at the next time."""
    engine = yard.engine
    containers = engine.all_containers(stopped=True)
    return plan_clean(containers, engine.dangling(), build_cache=bool(engine.dialect.prune_build_cache))


def clean(yard: "Yard", plan: CleanPlan) -> list[Item]:
    """Carry a plan out, and return what became of each item; what cannot go now stays, and says why."""
    return [item._replace(result=_removed(yard, item)) for item in plan.items]


def _removed(yard: "Yard", item: Item) -> str:
    try:
        if item.what == "container":
            return _remove_container(yard, item)
        if item.what == "image":
            yard.engine.call("rmi", item.id)  # without force: an image that has come into use stays
        else:
            return yard.engine.call(*yard.engine.dialect.prune_build_cache).strip().splitlines()[-1]
    except LockedError:
        return "not removed: locked by another run"
    except DockyardError as error:
        return f"not removed: {str(error).splitlines()[-1]}"
    return "removed"


def _remove_container(yard: "Yard", item: Item) -> str:
    with held(yard.engine, item.name, yard.wait):
        found = next(iter(yard.engine.containers([item.id])), None)
        if not found:
            return "already gone"
        if not may_go(found):
            return "not removed: it is in use again"
        if not found.is_under_test:
            recovery.keep_changes(yard.engine, found.name)
        yard.engine.call("rm", found.id)
        remove_area_of(yard, found)
    return "removed"
