"""`depends_on` → autostart waves: a service starts in the wave after the last that it depends on. Pure."""

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from dockyard.errors import Problem, SettingsError
from dockyard.moving.context import Context, Wanted
from dockyard.moving.mounts import sharers
from dockyard.moving.outcome import Carried, Left, Outcome, setting
from dockyard.moving.reading import Project
from dockyard.moving.tree import Part
from dockyard.text import listed

SHARED_NAMESPACES = ("network_mode", "ipc", "pid")


def waves_of(project: Project, wanted: Wanted) -> dict[str, int]:
    """Return the wave of each service, starting with `wanted.first_wave`.

    Raises SettingsError for services that depend on each other, and for one that does not exist.
    """
    graph = {name: dict(_dependencies(part, project)) for name, part in project.services.items()}
    waves = _waves(graph, wanted.first_wave)
    for names in sharers(project).values():
        first, *others = sorted(names, key=lambda name: (waves[name], name))
        for other in others:  # the owner of a directory creates it
            graph[other].setdefault(first, project.services[other].where)
    return _waves(graph, wanted.first_wave)


def _waves(graph: Mapping[str, Mapping[str, str]], first: int) -> dict[str, int]:
    waves: dict[str, int] = {}
    for name in _sorted(graph):
        waves[name] = max((waves[other] + 1 for other in graph[name]), default=first)
    return waves


def _sorted(graph: Mapping[str, Mapping[str, str]]) -> list[str]:
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        way = error.args[1]
        where = graph[way[1]][way[0]]
        message = f"services depend on each other: {' → '.join(reversed(way))}"
        raise SettingsError([Problem(where, message, "remove one of these from `depends_on`")]) from None


def _dependencies(service: Part, project: Project) -> Iterator[tuple[str, str]]:
    """Yield the services that one depends on, each with the position of the dependency. Raises SettingsError."""
    said = service.at("depends_on")
    for name, part in said.pairs().items() if said else ():
        if name in project.services:
            yield name, part.where
        else:
            problem = Problem(part.node.where, f"there is no service `{name}`", "name a service in `depends_on`")
            raise SettingsError([problem])
    for key in SHARED_NAMESPACES:
        other = service.at(key)
        kind, _, name = other.text.partition(":") if other else ("", "", "")
        if other and kind == "service" and name in project.services:
            yield name, other.where
    linked = service.at("links")
    for item in linked.items() if linked else ():
        if item.text.partition(":")[0] in project.services:
            yield item.text.partition(":")[0], item.where


def autostart(context: Context) -> Iterator[Outcome]:
    """Yield the service's wave; one of a profile that was not requested has no autostart."""
    profiles = context.part.at("profiles")
    names = {item.text for item in profiles.items()} if profiles else set()
    leaves = profiles.leaves() if profiles else ()
    if names and not names & context.wanted.profiles and "*" not in context.wanted.profiles:
        yield Carried(leaves, how="no autostart: its profile was not requested")
    else:
        others = [name for name, _ in _dependencies(context.part, context.project)]
        how = f"after {listed(dict.fromkeys(others))}" if others else "no dependencies"
        yield setting("autostart", str(context.waves[context.name]), *leaves)._replace(how=how)


def depends_on(part: Part, context: Context) -> Iterator[Outcome]:
    """Yield the outcome of each dependency: it is expressed by the wave, which waits for health checks."""
    for name, dependency in part.pairs().items():
        if dependency.is_empty:
            yield Carried((dependency,), how=f"a wave after {name}")
        for key, field in dependency.pairs().items():
            yield _condition(name, key, field, context)


def _condition(name: str, key: str, field: Part, context: Context) -> Outcome:
    if key == "condition" and field.text == "service_completed_successfully":
        why = f"a wave waits until `{name}` is up, not until it ends"
        return Left((field,), why, f"do what `{name}` does by hand, or in the start-up of the image")
    if key == "restart" and field.is_set:
        return Left((field,), "a service is not restarted together with another", f"d restart {context.directory}")
    return Carried((field,), how=f"a wave after {name}, which waits for its health check if it has one")
