"""The ownership doctor: whether the user that an instance runs as can read and write what is mounted for it."""

import shlex
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dockyard.engine.models import IdMap
from dockyard.plan import capabilities
from dockyard.plan.facts import Owner, PathFact
from dockyard.plan.mounts import Access
from dockyard.text import listed

_READ, _WRITE, _SEARCH = 4, 2, 1


class Finding(NamedTuple):
    """One path that the instance cannot use as it must.

    `fix` is the command that makes it usable, empty if that could do harm; `instead` is what to do then. `path` is
    what the command changes, `owner` the user and group in the container that it belongs to, if they have an id there.
    """

    where: str
    message: str
    fix: str = ""
    instead: str = ""
    path: str = ""
    owner: str = ""

    @property
    def hint(self) -> str:
        """What to do about it."""
        return self.fix or self.instead

    @property
    def only_adds(self) -> bool:
        """Whether the command lets one more user read, and takes nothing from anyone."""
        return self.fix.startswith("setfacl ")

    def in_use(self, containers: Sequence[str]) -> "Finding":
        """Return the finding for a path that running containers use: nothing there may change under them."""
        names = listed([f"`{name}`" for name in containers])
        whose = f"run as its owner (`user: {self.owner}`)" if self.owner else "run as the user that it belongs to"
        return self.without_fix(f"{names} {'is' if len(containers) == 1 else 'are'} running with it: {whose}")

    def of_others(self) -> "Finding":
        """Return the finding for a path that is not the service's own: others may need its owner as it is."""
        whose = f"run as its owner (`user: {self.owner}`), or " if self.owner else ""
        return self.without_fix(f"{whose}mount a directory below the service's data: other services may use this one")

    def without_fix(self, instead: str) -> "Finding":
        """Return the finding without a command, and what to do instead."""
        return self._replace(fix="", instead=instead) if self.fix and self.path else self


class Process(NamedTuple):
    """Who an instance runs as: `name` as the image has it, ids as the host has them; None: mapped to none.

    `overrides`: permissions do not count for it, of what belongs to ids that the engine maps.
    """

    name: str
    inside: Owner
    ids: IdMap
    overrides: bool
    lacks: tuple[str, ...] = ()
    """Capabilities that it would have if settings took none from root."""

    @property
    def uid(self) -> int | None:
        """The host's uid."""
        return self.ids.uid(self.inside.uid)

    @property
    def gids(self) -> set[int | None]:
        """The host's gids."""
        return {self.ids.gid(gid) for gid in (self.inside.gid, *self.inside.groups)}


def overrides_permissions(inside: Owner, argv: Sequence[str]) -> bool:
    """Return whether an instance has the capability to pass over permissions: root has, unless it is dropped."""
    return inside.uid == 0 and capabilities.has_capability("DAC_OVERRIDE", argv)


def findings(accesses: Iterable[Access], process: Process) -> tuple[Finding, ...]:
    """Return what the process cannot use as it has to, each path once."""
    found = {access.path: finding for access in accesses if (finding := _finding(access, process))}
    return tuple(found.values())


def _finding(access: Access, process: Process) -> Finding | None:
    fact = access.fact
    if fact.closed and process.ids.uids:
        message = f"`{access.path}` cannot be reached: mapped users cannot pass `{fact.closed}`"
        return Finding(access.where, message, f"chmod o+x {shlex.quote(fact.closed)}")
    needed = _READ | (_WRITE if access.writes else 0) | (_SEARCH if fact.kind == "directory" else 0)
    if _may_override(fact, process) or any(bits & needed == needed for bits in _permissions(fact, process)):
        return None
    verb = "write to" if access.writes else "read"
    stands = f"`{access.path}` belongs to {fact.uid}:{fact.gid}, mode {fact.mode:04o}"
    message = f"{stands}: {_who(process)} cannot {verb} it"
    if process.lacks and _may_override(fact, process._replace(overrides=True)):
        return Finding(access.where, message, instead=_missing_capabilities(process))
    return Finding(access.where, message, _fix(access, process), path=access.path, owner=_owner_inside(fact, process))


def _missing_capabilities(process: Process) -> str:
    """Return what gives root the power over others' files back: its data stay whose they are."""
    return f"{capabilities.lacks(process.lacks)}: {capabilities.remedy(process.lacks)}"


def _owner_inside(fact: PathFact, process: Process) -> str:
    """Return `uid:gid` of a path in the container; empty for root, and for ids that are not mapped."""
    if not fact.uid or not _is_mapped(process.ids, fact):
        return ""
    uid, gid = process.ids.owner(fact.uid, fact.gid)
    return f"{uid}:{gid}"


def _who(process: Process) -> str:
    inside = process.inside.uid
    name = f"user `{process.name}`" + (f" ({inside})" if process.name != str(inside) else "")
    return name if process.uid == inside else f"{name}, on this host {process.uid},"


def _may_override(fact: PathFact, process: Process) -> bool:
    """Return whether permissions do not count: the kernel asks that owner and group be mapped, both."""
    return process.overrides and _is_mapped(process.ids, fact)


def _is_mapped(ids: IdMap, fact: PathFact) -> bool:
    def covers(ranges: Sequence[tuple[int, int, int]], number: int) -> bool:
        return not ranges or any(outside <= number < outside + size for _, outside, size in ranges)

    return covers(ids.uids, fact.uid) and covers(ids.gids, fact.gid)


def _permissions(fact: PathFact, process: Process) -> list[int]:
    """Return the permissions, as three bits each, of which the kernel grants any one, but not a union: acl(5)."""
    if process.uid == fact.uid:
        return [fact.mode >> 6 & 7]
    mask = next((entry.permissions for entry in fact.acl if entry.tag == "mask"), 7)
    for entry in fact.acl:
        if entry.tag == "user" and entry.id == process.uid and entry.id is not None:
            return [entry.permissions & mask]
    owning = next((entry.permissions for entry in fact.acl if entry.tag == "owning group"), fact.mode >> 3 & 7)
    groups = [owning & mask] if fact.gid in process.gids else []
    groups += [
        entry.permissions & mask
        for entry in fact.acl
        if entry.tag == "group" and entry.id is not None and entry.id in process.gids
    ]
    return groups or [fact.mode & 7]


def _fix(access: Access, process: Process) -> str:
    """Return the command: the owner's own directory gets its mode, a writable one its owner, others one more reader."""
    path, fact = shlex.quote(access.path), access.fact
    letters = "rwX" if access.writes else "rX"
    if process.uid == fact.uid:
        return f"chmod -R u+{letters} {path}"
    if access.writes:
        return f"chown -R {process.uid}:{process.ids.gid(process.inside.gid)} {path}"
    return f"setfacl -R -m u:{process.uid}:{letters} {path}"
