"""Which newer versions there are of what a service is built on, and why one is not applied. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from dockyard.updates.base import Base
from dockyard.updates.policy import Blocker, Policy, find_blockers
from dockyard.updates.sightings import Memory, Sighting, TagHistory
from dockyard.updates.version import Version, change_kind, newer_versions, newest, parse_version

DIGEST, PACKAGES = "digest", "packages"


class Gate(NamedTuple):
    """What of a service decides on the updates of one image.

    `untested` is a service without a Test that an update would go live in: this one, or one that is built from it.
    `failed` has the digests that failed with the source as it is, each with when and how. `held` is why it is held.
    `is_built`: it has a Dockerfile, so that an upgrade builds, tests and switches.
    """

    policy: Policy
    untested: str = ""
    failed: Mapping[str, str] = {}
    held: str = ""
    is_built: bool = True


class Pending(NamedTuple):
    """A newer version of an image that a service is built on; without blockers it will be applied.

    `version` and `before` are in words: a tag, or what the image says of itself. `remind_at` is when it has waited for
    too long, in seconds of the epoch.
    """

    base: Base
    kind: str
    tag: str
    sighting: Sighting
    before: str
    version: str
    blockers: tuple[Blocker, ...] = ()
    notes: str = ""
    remind_at: float = 0.0

    @property
    def is_edit(self) -> bool:
        """Whether it needs another text in the service's source: another tag, or another pin."""
        return self.base.is_pinned or self.tag != self.base.reference.tag

    @property
    def reference(self) -> str:
        """The image with its digest, as the service's source calls it."""
        return f"{self._tagged}@{self.sighting.digest}"

    @property
    def text(self) -> str:
        """What the service's source is to say for it: with a digest if it has one now."""
        return self.reference if self.base.is_pinned else self._tagged

    @property
    def _tagged(self) -> str:
        head, slash, last = self.base.name.partition("@")[0].rpartition("/")
        return f"{head}{slash}{last.partition(':')[0]}:{self.tag}"

    @property
    def image(self) -> str:
        """The name of the image as people write it."""
        return self.base.reference.name

    @property
    def summary(self) -> str:
        """From what to what, in words."""
        if self.before != self.version:
            return f"{self.image} {self.before} → {self.version}"
        then, now = (digest.removeprefix("sha256:")[:12] for digest in (self.base.digest, self.sighting.digest))
        return f"{self.image}:{self.tag} {then} → {now}" if then else f"{self.image}:{self.tag} {now}"


def find_pending(base: Base, gate: Gate, memory: Memory, now: datetime) -> tuple[Pending, ...]:
    """Return the updates of one image of a service, that of the version first.

    Of several digests that a tag named since, the newest one counts that may be applied; if none may, the newest.
    """
    if not base.known_as:
        return ()
    found = [*_newer_versions(base, gate, memory, now), *_newer_digests(base, gate, memory, now)]
    return tuple(found)


def _newer_digests(base: Base, gate: Gate, memory: Memory, now: datetime) -> Iterator[Pending]:
    history = memory.tags.get(base.key, TagHistory())
    if not base.reference.tag or not history.newest or history.newest.names & base.known_as:
        return
    then = history.find(base.known_as)
    tag = base.reference.tag
    newer = [
        _judge(
            Pending(
                base,
                DIGEST,
                tag,
                one,
                (then.version if then and one.version else "") or tag,
                one.version or tag,
                notes=_notes(gate.policy, one, one.version),
            ),
            gate,
            memory,
            now,
        )
        for one in history.after(base.known_as)
    ]
    yield next((one for one in reversed(newer) if not one.blockers), newer[-1])


def _newer_versions(base: Base, gate: Gate, memory: Memory, now: datetime) -> Iterator[Pending]:
    current = parse_version(base.reference.tag)
    tags = memory.lists.get(base.repository)
    if not current or not tags or gate.policy.track.is_same_tag:
        return
    track = gate.policy.track

    def judge(version: Version, *, is_beyond: bool = False) -> Pending:
        return _version_update(base, gate, memory, now, current, version, is_beyond=is_beyond)

    yield from _select_versions([judge(version) for version in newer_versions(current, tags.first_seen, track)])
    if beyond := newest(current, tags.first_seen, track).beyond:
        yield judge(beyond, is_beyond=True)


def _select_versions(updates: Sequence[Pending]) -> Iterator[Pending]:
    """Yield those of the newer versions in the tracked range that matter, the newest first; they come oldest first.

    What is applied is the newest that may be: one that is held or in its cooldown holds no older one back. The newest
    that is not held is reported as well, as it is the next to be applied, and the newest of all, if that is held.
    """
    if not updates:
        return
    newest_first = updates[::-1]
    free = next((one for one in newest_first if not _is_held(one)), None)
    ready = next((one for one in newest_first if not one.blockers), None)
    yield from dict.fromkeys(one for one in (newest_first[0], free, ready) if one)


def _is_held(update: Pending) -> bool:
    return any(blocker.kind == "held" for blocker in update.blockers)


def _version_update(  # noqa: PLR0913, PLR0917 - an image, two versions of it, and what decides
    base: Base, gate: Gate, memory: Memory, now: datetime, current: Version, version: Version, *, is_beyond: bool
) -> Pending:
    seen = memory.lists[base.repository].first_seen[version.tag]
    named = memory.tags.get(f"{base.repository}:{version.tag}", TagHistory()).newest or Sighting("", seen)
    sighting = named._replace(first_seen=max(seen, named.first_seen))
    update = Pending(
        base,
        change_kind(current, version),
        version.tag,
        sighting,
        current.tag,
        version.tag,
        notes=_notes(gate.policy, sighting, version.tag),
    )
    judged = _judge(update, gate, memory, now)
    if not sighting.digest:
        unknown = Blocker("unknown", "its registry has not reported its digest yet")
        judged = judged._replace(blockers=(*judged.blockers, unknown))
    beyond = Blocker("beyond", f"beyond `track: {gate.policy.track.text}`")
    return judged._replace(blockers=(beyond, *judged.blockers)) if is_beyond else judged


def _judge(update: Pending, gate: Gate, memory: Memory, now: datetime) -> Pending:
    """Return an update with all that keeps it from being applied."""
    version = parse_version(update.tag)
    found = list(
        find_blockers(gate.policy, now=now, first_seen=update.sighting.first_seen, kind=update.kind, version=version)
    )
    if gate.held:
        found.insert(0, Blocker("held", gate.held))
    failed = next((gate.failed[name] for name in update.sighting.names if name in gate.failed), "")
    if failed:
        found.append(Blocker("failed", failed))
    if not gate.is_built:
        found.append(Blocker("unbuilt", "not built here: write `FROM` in a Dockerfile instead of `image`"))
    if gate.untested:
        own = gate.untested == update.base.service
        why = "no Test" if own else f"no Test: {gate.untested} is built from it, and has no Test"
        found.append(Blocker("untested", why))
    host = update.base.reference.host
    limited = memory.limited.get(host, 0.0)
    if limited > now.timestamp():
        until = f"{datetime.fromtimestamp(limited, UTC).astimezone(now.tzinfo):%Y-%m-%d %H:%M}"
        found.append(Blocker("limited", f"rate-limited by {host} until {until}", limited))
    return update._replace(blockers=tuple(found), remind_at=update.sighting.first_seen + gate.policy.remind)


def _notes(policy: Policy, sighting: Sighting, version: str) -> str:
    """Return where the release notes are: as the settings say, else as the image's labels do."""
    return policy.notes_of(version) or sighting.source
