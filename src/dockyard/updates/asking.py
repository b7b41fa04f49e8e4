"""What registries have now: every tag is asked for once, however many services are built on it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

from dockyard.errors import RegistryError
from dockyard.registry.asking import ask_all
from dockyard.registry.client import Registries
from dockyard.registry.manifest import RemoteImage
from dockyard.registry.reference import Reference, is_tag
from dockyard.updates.base import Base
from dockyard.updates.sightings import Memory, Sighting, TagHistory, TagList, observe, observe_tags

VERSION_LABEL = "org.opencontainers.image.version"
NOTES_LABELS = ("org.opencontainers.image.url", "org.opencontainers.image.source")

_ADDRESS = re.compile(r"https?://[!-~]{1,300}")
"""What is taken from an image's labels ends up in messages and commits: a version and an address, and nothing else."""


class Answers(NamedTuple):
    """What registries said: tags and lists of tags by their keys, and what could not be asked, in words."""

    sightings: Mapping[str, Sighting] = {}
    lists: Mapping[str, Sequence[str]] = {}
    problems: Mapping[str, str] = {}
    limited: Mapping[str, float] = {}

    def join(self, other: "Answers") -> "Answers":
        """Return both."""
        return Answers(
            {**self.sightings, **other.sightings},
            {**self.lists, **other.lists},
            {**self.problems, **other.problems},
            {**self.limited, **other.limited},
        )


def ask_tags(registries: Registries, bases: Iterable[Base], memory: Memory, now: float) -> Answers:
    """Return what tags name now. What is new of it is asked for its details, too."""
    wanted = {base.key: base.reference._replace(digest="") for base in bases if base.reference.tag}
    asked = {key: one for key, one in wanted.items() if not _is_limited(one, memory, now)}
    named = ask_all({(one.host, key): partial(registries.resolve, one) for key, one in asked.items()}, _host_of)
    found = {key: answer for (_, key), answer in named.items() if isinstance(answer, RemoteImage)}
    known = {key: memory.tags.get(key, TagHistory()) for key in found}
    is_new = {key for key, answer in found.items() if not known[key].find([answer.digest])}
    details = ask_all(
        {
            (asked[key].host, key): partial(registries.details, asked[key].with_digest(found[key].digest))
            for key in is_new
        },
        _host_of,
    )
    sightings = {}
    for key, answer in found.items():
        one = details.get((asked[key].host, key))
        if one is None or isinstance(one, RegistryError):
            sightings[key] = Sighting(answer.digest, now)
        else:
            version = one.labels.get(VERSION_LABEL, "")
            notes = next((text for name in NOTES_LABELS if _ADDRESS.fullmatch(text := one.labels.get(name, ""))), "")
            shown = version if is_tag(version) else ""
            sightings[key] = Sighting(answer.digest, now, one.manifest_digest, one.config_digest, shown, notes)
    return Answers(sightings, {}, *_failures(named))


def ask_lists(registries: Registries, bases: Iterable[Base], memory: Memory, now: float) -> Answers:
    """Return the tags of repositories of which a range of versions is followed."""
    wanted = {base.repository: base.reference for base in bases if not _is_limited(base.reference, memory, now)}
    named = ask_all({(one.host, key): partial(registries.tags, one) for key, one in wanted.items()}, _host_of)
    lists = {key: answer for (_, key), answer in named.items() if not isinstance(answer, RegistryError)}
    return Answers({}, lists, *_failures(named))


def _is_limited(reference: Reference, memory: Memory, now: float) -> bool:
    return memory.limited.get(reference.host, 0.0) > now


def _host_of(key: tuple[str, str]) -> str:
    return key[0]


def _failures(named: Mapping[tuple[str, str], object]) -> tuple[dict[str, str], dict[str, float]]:
    """Return what could not be asked, and which registries answer again when."""
    errors = {key: error for (_, key), error in named.items() if isinstance(error, RegistryError)}
    limited = {error.host: error.until for error in errors.values() if error.kind == "limited" and error.until}
    return {key: str(error) for key, error in errors.items()}, limited


def remember(
    memory: Memory, answers: Answers, now: float, built_on: Mapping[str, str] = MappingProxyType({})
) -> Memory:
    """Return what is known once registries have answered.

    `built_on` are digests by tag that services are built on: of a tag that was never asked for, they are older than
    what it names now.
    """
    known = {
        key: memory.tags.get(key) or observe(TagHistory(), Sighting(built_on.get(key, seen.digest), now))
        for key, seen in answers.sightings.items()
    }
    tags = {key: observe(known[key], seen) for key, seen in answers.sightings.items()}
    lists = {key: observe_tags(memory.lists.get(key, TagList()), names, now) for key, names in answers.lists.items()}
    limited = {host: until for host, until in {**memory.limited, **answers.limited}.items() if until > now}
    return memory._replace(tags={**memory.tags, **tags}, lists={**memory.lists, **lists}, limited=limited)
