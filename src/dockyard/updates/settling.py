"""Having a host's tag name what all its services build on, once they agree."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from dockyard.errors import DockyardError, EngineError
from dockyard.telling import warn
from dockyard.updates.base import DOCKERFILE
from dockyard.updates.choices import Choices, change_choices, load_choices

if TYPE_CHECKING:
    from dockyard.updates.base import Base
    from dockyard.yard import Yard


class Settled(NamedTuple):
    """Tags to move, each with a reference of the image that it is to name, and the choices that are left."""

    tags: tuple[tuple[str, str], ...]
    choices: Mapping[str, Choices]


def plan_settling(bases: "Iterable[Base]", choices: Mapping[str, Choices]) -> Settled:
    """Return which tags all services that build on them have left behind for the same digest.

    Choices of services, or for images, that are not there any more are dropped.
    """
    using: dict[str, dict[str, set[str]]] = {}
    for base in bases:
        if not base.is_pinned and base.file == DOCKERFILE:
            using.setdefault(base.key, {}).setdefault(base.service, set()).add(base.name)
    tags = []
    left: dict[str, dict[str, str]] = {}
    for key, services in using.items():
        wanted = [choices.get(service, {}).get(name, "") for service, names in services.items() for name in names]
        digests = {reference.rpartition("@")[2] for reference in wanted}
        if len(digests) == 1 and digests != {""}:
            tags.append((wanted[0], key))
            continue
        for service, names in services.items():
            chosen = {name: choices[service][name] for name in names if name in choices.get(service, {})}
            left.setdefault(service, {}).update(chosen)
    return Settled(tuple(tags), {service: left.get(service, {}) for service in {*choices, *left}})


def settle_tags(yard: "Yard") -> None:
    """Move the tags on whose new digest all services of this host agree. What goes wrong is reported."""
    from dockyard.updates.bases import find_bases

    try:
        if not load_choices():
            return
        settings, problems = yard.load_all()
        if problems:  # a service that cannot be read may use a tag
            return
        bases = find_bases(yard, settings, settings)
        change_choices(lambda choices: _settle(yard, plan_settling(bases, choices), choices))
    except DockyardError as error:
        warn(f"tags of base images are unchanged: {error}")


def _settle(yard: "Yard", settled: Settled, choices: Mapping[str, Choices]) -> Mapping[str, Choices]:
    """Move tags, and return the choices that are left; those of a tag that cannot be moved stay."""
    failed: set[str] = set()
    for reference, tag in settled.tags:
        try:
            yard.engine.call("tag", reference, tag)
        except EngineError as error:
            warn(f"{tag} is unchanged: {error.stderr.strip()}")
            failed.add(reference.rpartition("@")[2])
    kept = {
        service: {name: one for name, one in chosen.items() if one.rpartition("@")[2] in failed}
        for service, chosen in choices.items()
    }
    return {name: {**settled.choices.get(name, {}), **kept.get(name, {})} for name in {*settled.choices, *kept}}
