"""The ownership doctor: whether the user that an instance runs as can read and write what is mounted for it."""

import shlex
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from dockyard.engine.models import IdMap
from dockyard.plan.facts import Owner, PathFact
from dockyard.plan.flags import flag_values, is_set
from dockyard.plan.mounts import Access

_READ, _WRITE, _SEARCH = 4, 2, 1


class Finding(NamedTuple):
    """One path that the instance cannot use as it has to: `mend` is the command that makes it usable."""

    where: str
    message: str
    mend: str


class Process(NamedTuple):
    """Who an instance runs as: `name` as the image has it, ids as the host has them; None: mapped to none.

    `overrides`: permissions do not count for it, of what belongs to ids that the engine maps.
    """

    name: str
    inside: Owner
    ids: IdMap
    overrides: bool

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
    if is_set(argv, "privileged"):
        return inside.uid == 0
    dropped, added = (
        {name.upper().removeprefix("CAP_") for value in flag_values(argv, flag) for name in value.split(",")}
        for flag in ("cap-drop", "cap-add")
    )
    has = {"ALL", "DAC_OVERRIDE"} & added or not {"ALL", "DAC_OVERRIDE"} & dropped
    return inside.uid == 0 and bool(has)


def findings(accesses: Iterable[Access], process: Process) -> tuple[Finding, ...]:
    """Return what the process cannot use as it has to, each path once."""
    found = {access.path: finding for access in accesses if (finding := _finding(access, process))}
    return tuple(found.values())


def _finding(access: Access, process: Process) -> Finding | None:
    fact = access.fact
    if fact.closed and process.ids.uids:
        message = f"`{access.path}` cannot be reached: `{fact.closed}` lets nobody pass that the engine maps users to"
        return Finding(access.where, message, f"chmod o+x {shlex.quote(fact.closed)}")
    needed = _READ | (_WRITE if access.writes else 0) | (_SEARCH if fact.kind == "directory" else 0)
    if _may_override(fact, process) or any(bits & needed == needed for bits in _permissions(fact, process)):
        return None
    verb = "write to" if access.writes else "read"
    stands = f"`{access.path}` belongs to {fact.uid}:{fact.gid}, mode {fact.mode:04o}"
    message = f"{stands}: {_who(process)} cannot {verb} it"
    return Finding(access.where, message, _mend(access, process))


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


def _mend(access: Access, process: Process) -> str:
    """Return the command: the owner's own directory gets its mode, a writable one its owner, others one more reader."""
    path, fact = shlex.quote(access.path), access.fact
    letters = "rwX" if access.writes else "rX"
    if process.uid == fact.uid:
        return f"chmod -R u+{letters} {path}"
    if access.writes:
        return f"chown -R {process.uid}:{process.ids.gid(process.inside.gid)} {path}"
    return f"setfacl -R -m u:{process.uid}:{letters} {path}"
