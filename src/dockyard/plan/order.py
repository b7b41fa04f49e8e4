"""In which order services are built: whatever another one's image is built from comes first."""

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from dockyard.errors import DockyardError
from dockyard.plan.build import ImageName


def plain_reference(reference: str) -> str:
    """Return a reference without its tag or digest, and without what engines write or leave out before it."""
    name = reference.partition("@")[0]
    above, slash, last = name.rpartition("/")
    name = f"{above}{slash}{last.partition(':')[0]}"
    return name.removeprefix("localhost/").removeprefix("docker.io/").removeprefix("library/")


def edges(names: Mapping[str, ImageName], bases: Mapping[str, Iterable[str]]) -> dict[str, frozenset[str]]:
    """Return, for each service, the services whose images it is built from; its own earlier image is none.

    `names` says what each service's image is called, `bases` what each Dockerfile names; any tag counts.
    """
    owners = {plain_reference(name.tagged("")): service for service, name in names.items()}
    return {
        service: frozenset(
            owners[plain] for plain in map(plain_reference, wanted) if plain in owners and owners[plain] != service
        )
        for service, wanted in bases.items()
    }


def generations(depends: Mapping[str, Iterable[str]]) -> list[tuple[str, ...]]:
    """Return services in groups: what a group's members are built from is all in earlier ones.

    Raises DockyardError that shows the way round, if there is one.
    """
    sorter = TopologicalSorter({service: list(wanted) for service, wanted in depends.items()})
    try:
        sorter.prepare()
    except CycleError as error:
        way = " → ".join(reversed(error.args[1]))
        raise DockyardError(
            f"services are built from each other in a circle: {way}", hint="change a FROM in one of them"
        ) from None
    found: list[tuple[str, ...]] = []
    while sorter.is_active():
        ready = tuple(sorted(sorter.get_ready()))
        found.append(ready)
        sorter.done(*ready)
    return found
