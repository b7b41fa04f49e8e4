"""The registries' answers, and when this host first got them: which digests a tag named, one after the other.

Age counts from that moment: registries report no reliable dates. Nothing here does I/O or reads a clock;
updates/memory.py stores it.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

MAX_SIGHTINGS = 20  # of a tag: older ones are older than anything that runs


class Sighting(NamedTuple):
    """One digest that a tag named; `first_seen` is in seconds of the epoch.

    `platform` is the digest of this machine's manifest below an index, `config` that of the configuration: both are
    equal where nothing but attestations or other platforms changed. `version` and `source` are from the image's labels.
    """

    digest: str
    first_seen: float
    platform: str = ""
    config: str = ""
    version: str = ""
    source: str = ""

    @property
    def names(self) -> frozenset[str]:
        """Every digest by which an engine may know this image."""
        return frozenset(filter(None, (self.digest, self.platform, self.config)))


class TagHistory(NamedTuple):
    """What a tag named, the oldest first; the last one is what it names now. `asked` is when the registry said so."""

    asked: float = 0.0
    sightings: tuple[Sighting, ...] = ()

    @property
    def newest(self) -> Sighting | None:
        """What the tag names now."""
        return self.sightings[-1] if self.sightings else None

    def find(self, digests: Iterable[str]) -> Sighting | None:
        """Return the sighting that an engine knows by one of these digests."""
        wanted = frozenset(digests)
        return next((one for one in reversed(self.sightings) if one.names & wanted), None)

    def after(self, digests: Iterable[str]) -> tuple[Sighting, ...]:
        """Return what the tag named after one of these digests.

        If it is not known to have named any, that is what it names now alone: all others may be older.
        """
        known = self.find(digests)
        return self.sightings[self.sightings.index(known) + 1 if known else -1 :]


def observe(history: TagHistory, seen: Sighting) -> TagHistory:
    """Return a tag's history once it was seen to name an image, at the moment `seen.first_seen`.

    A tag that is moved back withdraws what came after: that would have to be seen, and to age, again.
    """
    now = seen.first_seen
    known = next((place for place, one in enumerate(history.sightings) if one.digest == seen.digest), None)
    if known is None:
        return TagHistory(now, (*history.sightings, seen)[-MAX_SIGHTINGS:])
    before, found = history.sightings[:known], history.sightings[known]
    details = {name: value for name, value in seen._asdict().items() if value and name != "first_seen"}
    return TagHistory(now, (*before, found._replace(**details)))


class TagList(NamedTuple):
    """The tags of a repository, each with when it was first seen; `asked` is when the registry listed them."""

    asked: float = 0.0
    first_seen: Mapping[str, float] = {}


def observe_tags(known: TagList, names: Iterable[str], now: float) -> TagList:
    """Return the tags of a repository after it was listed; those that are gone are forgotten."""
    return TagList(now, {name: known.first_seen.get(name, now) for name in names})


class Memory(NamedTuple):
    """All that is known of registries: tags by `HOST/REPOSITORY:TAG`, lists by `HOST/REPOSITORY`.

    `limited` has the moment until which a registry refuses to answer, by host.
    """

    tags: Mapping[str, TagHistory] = {}
    lists: Mapping[str, TagList] = {}
    limited: Mapping[str, float] = {}


def to_json(memory: Memory) -> dict[str, Any]:
    """Return everything as JSON has it."""
    return {
        "tags": {
            name: {"asked": one.asked, "sightings": [sighting._asdict() for sighting in one.sightings]}
            for name, one in memory.tags.items()
        },
        "lists": {name: one._asdict() for name, one in memory.lists.items()},
        "limited": dict(memory.limited),
    }


def from_json(data: Mapping[str, Any]) -> Memory:
    """Return what `to_json` was given. Raises ValueError, TypeError or KeyError for anything else."""
    return Memory(
        {
            name: TagHistory(float(one["asked"]), tuple(Sighting(**sighting) for sighting in one["sightings"]))
            for name, one in data["tags"].items()
        },
        {name: TagList(float(one["asked"]), dict(one["first_seen"])) for name, one in data["lists"].items()},
        dict(data["limited"]),
    )
