"""Ids and names of containers in terms of the host, and the other way round."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from dockyard.engine.models import IdMap, IdRange
from dockyard.errors import NoSuchNameError
from dockyard.plan.account_files import Account, groups_in, users_in
from dockyard.plan.mapped_names import ServiceAccounts
from dockyard.text import did_you_mean


class Translation(NamedTuple):
    """One user, group or id: inside, and on the host; None if there is none."""

    name: str
    service: str
    uid: int | None
    gid: int | None
    host_uid: int | None
    host_gid: int | None
    host_name: str

    @property
    def line(self) -> str:
        """What people read."""
        who = f"{self.name or 'id'}{f' of {self.service}' if self.service else ''}"
        outside = _pair(self.host_uid, self.host_gid)
        there = f"{outside} on the host" if outside else "no id on the host"
        return f"{who}: {_pair(self.uid, self.gid)} inside, {there}{f' ({self.host_name})' if self.host_name else ''}"


def _pair(uid: int | None, gid: int | None) -> str:
    """Return `uid:gid`, as chown(1) has it."""
    return f"{'' if uid is None else uid}:{'' if gid is None else gid}" if (uid, gid) != (None, None) else ""


def translations(
    word: str, ids: IdMap, services: Iterable[ServiceAccounts], host: Mapping[str, str]
) -> list[Translation]:
    """Return what a name or an id stands for. `host` has the texts of the host's `passwd` and `group`.

    Raises NoSuchNameError.
    """
    own = list(services)
    users, groups = users_in(host["passwd"]), groups_in(host["group"])
    names = _Names(ids, {account.uid: account.name for account in reversed(users)})
    if word.isascii() and word.isdigit():
        found = list(dict.fromkeys(names.of_number(int(word), own)))
        if not found:
            raise NoSuchNameError(f"{word} is neither an id in containers nor one of their ids on the host", _what(ids))
        return found
    found = [*names.of_services(word, own), *names.of_host(word, users, groups)]
    if not found:
        known = {account.name for service in own for account in (*users_in(service.passwd), *groups_in(service.group))}
        hint = did_you_mean(word, known) or "name a user from files/etc/passwd of a service"
        raise NoSuchNameError(f"no service has a user or group `{word}`", hint)
    return found


def _what(ids: IdMap) -> str:
    return f"inside: {described(ids.uids, inside=True)}; on the host: {described(ids.uids)}"


def described(ranges: tuple[IdRange, ...], *, inside: bool = False) -> str:
    """Return ranges of ids as people write them: `100000-165535`."""
    starts = ((one.inside if inside else one.outside, one.size) for one in ranges)
    return ", ".join(str(start) if size == 1 else f"{start}-{start + size - 1}" for start, size in starts)


def inside_of(ranges: tuple[IdRange, ...], outside: int) -> int | None:
    """Return the id inside of one of the host; None if it is none of a container's."""
    if not ranges:
        return outside
    return next((one.inside + outside - one.outside for one in ranges if 0 <= outside - one.outside < one.size), None)


class _Names:
    """An engine's ids and the host's names for them."""

    def __init__(self, ids: IdMap, host_names: Mapping[int | None, str]) -> None:
        self.ids = ids
        self.host_names = host_names

    def of_services(self, name: str, services: Iterable[ServiceAccounts]) -> list[Translation]:
        """Return the users of that name, and of services that have no such user the groups."""
        found = []
        for service in services:
            accounts = [*users_in(service.passwd), *groups_in(service.group)]
            account = next((account for account in accounts if account.name == name), None)
            if account:
                found.append(self._inside(account, service.service))
        return found

    def of_host(self, name: str, users: list[Account], groups: list[Account]) -> list[Translation]:
        """Return the mapped user or group that the host calls so."""
        account = next((account for account in (*users, *groups) if account.name == name), None)
        if not account or not self.ids.uids:
            return []
        uid = None if account.uid is None else inside_of(self.ids.uids, account.uid)
        gid = inside_of(self.ids.gids, account.gid)
        if (uid if account.uid is not None else gid) is None:
            return []
        return [Translation(name, "", uid, gid, account.uid, account.gid if gid is not None else None, name)]

    def of_number(self, number: int, services: Iterable[ServiceAccounts]) -> list[Translation]:
        """Return what a number is as an id inside, and what it is as one of the host."""
        uid, gid = inside_of(self.ids.uids, number), inside_of(self.ids.gids, number)
        inside = (number, number, self.ids.uid(number), self.ids.gid(number))
        pairs = [inside, (uid, gid, None if uid is None else number, None if gid is None else number)]
        known = [(service.service, account) for service in services for account in users_in(service.passwd)]
        return [
            Translation(*_first_called(known, uid), uid, gid, host_uid, host_gid, self._host_name(host_uid))
            for uid, gid, host_uid, host_gid in pairs
            if (host_uid, host_gid) != (None, None)
        ]

    def _inside(self, account: Account, service: str) -> Translation:
        host_uid = None if account.uid is None else self.ids.uid(account.uid)
        host_gid = self.ids.gid(account.gid)
        name = self._host_name(host_uid)
        return Translation(account.name, service, account.uid, account.gid, host_uid, host_gid, name)

    def _host_name(self, host_uid: int | None) -> str:
        return self.host_names.get(host_uid, "") if host_uid is not None else ""


def _first_called(known: list[tuple[str, Account]], uid: int | None) -> tuple[str, str]:
    """Return the name and service of the first user of an id."""
    return next(((account.name, service) for service, account in known if account.uid == uid), ("", ""))
