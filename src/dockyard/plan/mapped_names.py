"""Names for mapped ids, so that `ps` and `ls` on the host show them: `d-redis` for redis of a container."""

from collections.abc import Iterable
from typing import NamedTuple

from dockyard.plan.account_files import (
    MAPPED,
    NAME,
    Account,
    AccountFiles,
    Subordinate,
    group_line,
    groups_in,
    passwd_line,
    range_of,
    users_in,
    with_lines,
)


class ServiceAccounts(NamedTuple):
    """The texts of a service's own files/etc/passwd and files/etc/group."""

    service: str
    passwd: str
    group: str


class Named(NamedTuple):
    """The files with names for mapped ids, and what was left out, and why."""

    files: AccountFiles
    notes: tuple[str, ...]


def with_names(files: AccountFiles, user: str, services: Iterable[ServiceAccounts]) -> Named:
    """Return the files with a name for root, and for each user and group of the services, as the host sees them.

    The first of an id has it. A name that the host has for something else, or cannot have, is left out.
    """
    uids, gids = range_of(files.subuid, user), range_of(files.subgid, user)
    if not uids or not gids:
        return Named(files, ())
    sources = [ServiceAccounts("every image", "root:*:0:0:::", "root:*:0:"), *services]
    users = [(source.service, account) for source in sources for account in users_in(source.passwd)]
    groups = [(source.service, account) for source in sources for account in groups_in(source.group)]
    passwd, user_notes = _named(users, users_in(files.passwd), uids, gids)
    group, group_notes = _named(groups, groups_in(files.group), uids, gids)
    named = files._replace(
        passwd=with_lines(files.passwd, map(passwd_line, passwd)),
        group=with_lines(files.group, map(group_line, group)),
    )
    return Named(named, (*user_notes, *group_notes))


def _named(
    wanted: list[tuple[str, Account]], present: list[Account], uids: Subordinate, gids: Subordinate
) -> tuple[list[Account], list[str]]:
    """Return the entries to add, with the host's ids, and notes about the others."""
    by_name = {account.name: account for account in reversed(present)}
    by_id = {_id(account): account.name for account in reversed(present)}
    found: list[Account] = []
    notes: list[str] = []
    for service, account in wanted:
        name = MAPPED + account.name
        kind = "group" if account.uid is None else "user"
        if not _fits(account, uids, gids):
            notes.append(
                f"{service}: {kind} `{account.name}` gets no name: its id is above {min(uids.size, gids.size) - 1}"
            )
            continue
        outside = _outside(name, account, uids, gids)
        there = by_name.get(name)
        if there and _id(there) == _id(outside):
            continue
        if not NAME.fullmatch(name):
            notes.append(f"{service}: {kind} `{account.name}` gets no name: `{name}` is not allowed on the host")
        elif there:
            notes.append(f"{service}: {kind} `{account.name}` gets no name: `{name}` already has id {_id(there)}")
        elif _id(outside) in by_id:
            notes.append(f"{service}: {kind} `{account.name}` gets no name: {_id(outside)} is `{by_id[_id(outside)]}`")
        else:
            found.append(outside)
            by_name[name], by_id[_id(outside)] = outside, name
    return found, notes


def _id(account: Account) -> int:
    return account.gid if account.uid is None else account.uid


def _fits(account: Account, uids: Subordinate, gids: Subordinate) -> bool:
    return (account.uid or 0) < uids.size and account.gid < gids.size


def _outside(name: str, account: Account, uids: Subordinate, gids: Subordinate) -> Account:
    return Account(name, None if account.uid is None else uids.start + account.uid, gids.start + account.gid)
