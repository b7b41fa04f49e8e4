"""What may be wrong with a mapping of users, read off the files that make it."""

from collections.abc import Iterator

from dockyard.engine.models import IdMap
from dockyard.plan.account_files import (
    SIZE,
    AccountFiles,
    groups_in,
    in_the_way,
    ranges_of,
    subordinates_in,
    users_in,
)
from dockyard.plan.userns import DEFAULT_USER


def owner_of(value: str, files: AccountFiles) -> tuple[str, str]:
    """Return the user and the group that `userns-remap` names: `default`, `USER`, `UID`, either with `:GROUP`."""
    first, _, second = value.partition(":")
    user = DEFAULT_USER if first == "default" else first
    if user.isdigit():
        user = next((account.name for account in users_in(files.passwd) if str(account.uid) == user), user)
    group = second or user
    if group.isdigit():
        group = next((account.name for account in groups_in(files.group) if str(account.gid) == group), group)
    return user, group


def asked_for(value: str, files: AccountFiles) -> IdMap:
    """Return the ids that a daemon with this configuration gives to containers; none without a mapping."""
    if not value:
        return IdMap()
    user, group = owner_of(value, files)
    return IdMap(ranges_of(files.subuid, user), ranges_of(files.subgid, group))


def problems(value: str, files: AccountFiles) -> list[str]:
    """Return what prevents a daemon from mapping to these ids, or who else uses them."""
    if not value:
        return []
    user, group = owner_of(value, files)
    found = []
    if not any(account.name == user for account in users_in(files.passwd)):
        found.append(f"there is no user `{user}`")
    if not any(account.name == group for account in groups_in(files.group)):
        found.append(f"there is no group `{group}`")
    for file, text, owner in (("subuid", files.subuid, user), ("subgid", files.subgid, group)):
        found += _of_ranges(file, text, owner, files)
    return list(dict.fromkeys(found))


def _of_ranges(file: str, text: str, owner: str, files: AccountFiles) -> Iterator[str]:
    own = [entry for entry in subordinates_in(text) if entry.owner == owner and entry.size]
    size = sum(entry.size for entry in own)
    if not own:
        yield f"{file} has no range of `{owner}`"
    elif size < SIZE:
        yield f"{file} gives `{owner}` {size} ids: none for ids from {size} on, such as `nobody`"
    for number, entry in enumerate(own):
        yield from in_the_way(files, entry)
        if any(entry.overlaps(other) for other in own[:number]):
            yield f"{file} gives `{owner}` the ids from {entry.start} on twice"
