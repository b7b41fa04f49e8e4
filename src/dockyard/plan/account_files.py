"""The host's account files, as texts: ranges of subordinate ids, and names for ids that only containers use.

What the fields are: passwd(5), group(5), subuid(5), subgid(5).
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dockyard.engine.models import IdRange
from dockyard.errors import DockyardError, UsageError

SIZE = 65536
"""How many ids a container has: all that 16 bits hold, with nobody's 65534."""
FIRST_START = 100000
LAST_ID = 2**31 - 1

NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
"""What useradd takes for a name."""
MAPPED = "d-"
"""How the names of ids that only containers use begin."""

_SYSTEM_IDS = range(999, 99, -1)  # as useradd --system picks them


class AccountFiles(NamedTuple):
    """The texts of /etc/passwd, group, subuid and subgid; empty if there is no such file."""

    passwd: str
    group: str
    subuid: str
    subgid: str


class Account(NamedTuple):
    """An entry of passwd, or of group, whose `uid` is None."""

    name: str
    uid: int | None
    gid: int


class Subordinate(NamedTuple):
    """An entry of subuid or subgid."""

    owner: str
    start: int
    size: int

    def overlaps(self, other: "Subordinate") -> bool:
        """Return whether any id is in both."""
        return self.start < other.start + other.size and other.start < self.start + self.size

    def __contains__(self, number: object) -> bool:
        return isinstance(number, int) and self.start <= number < self.start + self.size


def users_in(passwd: str) -> list[Account]:
    """Return the entries of a passwd, in their order."""
    fields = (line.split(":") for line in lines_of(passwd))
    return [
        Account(entry[0], int(entry[2]), int(entry[3]))
        for entry in fields
        if len(entry) > 3 and _number(entry[2]) and _number(entry[3])  # noqa: PLR2004 - the fields of passwd(5)
    ]


def groups_in(group: str) -> list[Account]:
    """Return the entries of a group file, in their order."""
    fields = (line.split(":") for line in lines_of(group))
    return [Account(entry[0], None, int(entry[2])) for entry in fields if len(entry) > 2 and _number(entry[2])]  # noqa: PLR2004


def subordinates_in(text: str) -> list[Subordinate]:
    """Return the entries of a subuid or subgid, in their order."""
    fields = (line.split(":") for line in lines_of(text))
    return [
        Subordinate(entry[0], int(entry[1]), int(entry[2]))
        for entry in fields
        if len(entry) == 3 and _number(entry[1]) and _number(entry[2])  # noqa: PLR2004
    ]


def _number(word: str) -> bool:
    return word.isascii() and word.isdigit() and len(word) <= len(str(2**32))


def lines_of(text: str) -> list[str]:
    """Return the lines without their newlines; only a newline ends one, whatever else Python takes for an end."""
    return text.removesuffix("\n").split("\n") if text else []


def with_lines(text: str, lines: Iterable[str]) -> str:
    """Return the text with lines at its end."""
    added = "".join(f"{line}\n" for line in lines)
    return f"{text}\n{added}" if added and text and not text.endswith("\n") else text + added


def with_owner(files: AccountFiles, user: str) -> AccountFiles:
    """Return the files with the user to which the engine maps, and the group of that name, which it asks for too.

    Raises UsageError, DockyardError.
    """
    if not NAME.fullmatch(user):
        raise UsageError(f"`{user}` is not a valid user name", hint="use lower-case letters, digits, `_` and `-`")
    users, groups = users_in(files.passwd), groups_in(files.group)
    own = next((account for account in users if account.name == user), None)
    group = next((account for account in groups if account.name == user), None)
    if own and group:
        return files
    free = _free_system_id({account.uid for account in users} | {account.gid for account in (*users, *groups)})
    gid = group.gid if group else free
    return files._replace(
        passwd=files.passwd if own else with_lines(files.passwd, [passwd_line(Account(user, free, gid))]),
        group=files.group if group else with_lines(files.group, [group_line(Account(user, None, gid))]),
    )


def _free_system_id(taken: set[int | None]) -> int:
    free = next((number for number in _SYSTEM_IDS if number not in taken), None)
    if free is None:
        raise DockyardError("no system user id is free", hint="create the user with `useradd`, and name it with --user")
    return free


def passwd_line(account: Account) -> str:
    """Return the entry of a user that cannot log in."""
    return f"{account.name}:*:{account.uid}:{account.gid}::/nonexistent:/usr/sbin/nologin"


def group_line(account: Account) -> str:
    """Return the entry of a group without members."""
    return f"{account.name}:*:{account.gid}:"


def with_ranges(files: AccountFiles, user: str, start: int | None) -> AccountFiles:
    """Return the files with the user's ranges; those that are there stay. Raises DockyardError, UsageError."""
    uids, gids = range_of(files.subuid, user), range_of(files.subgid, user)
    if uids and gids and start is None:
        return files
    wanted = start if start is not None else next((there.start for there in (uids, gids) if there), None)
    for there, file in ((uids, "subuid"), (gids, "subgid")):
        if there and there.start != wanted:
            raise UsageError(
                f"{file} already gives `{user}` the ids from {there.start} on, not from {wanted}",
                hint=f"use `--start {there.start}` or another `--user`",
            )
    if uids and gids:
        return files
    begin = free_start(files) if wanted is None else _checked_start(files, user, wanted)
    line = [f"{user}:{begin}:{SIZE}"]
    return files._replace(
        subuid=files.subuid if uids else with_lines(files.subuid, line),
        subgid=files.subgid if gids else with_lines(files.subgid, line),
    )


def range_of(text: str, owner: str) -> Subordinate | None:
    """Return the first range of an owner, the one that holds root; None if it has none."""
    return next((entry for entry in subordinates_in(text) if entry.owner == owner and entry.size), None)


def free_start(files: AccountFiles) -> int:
    """Return the start of the first free range, in steps of its size. Raises DockyardError."""
    for start in range(FIRST_START, LAST_ID - SIZE, SIZE):
        if not next(in_the_way(files, Subordinate("", start, SIZE)), ""):
            return start
    raise DockyardError(
        f"no range of {SIZE} ids is free", hint="check /etc/subuid and /etc/subgid, or choose one with --start"
    )


def _checked_start(files: AccountFiles, user: str, start: int) -> int:
    if not SIZE <= start <= LAST_ID - SIZE:
        raise UsageError(
            f"a range cannot start at {start}",
            hint=f"use one from {SIZE}, above the host's ids, to {LAST_ID - SIZE}; {free_start(files)} is free",
        )
    if obstacle := next(in_the_way(files, Subordinate(user, start, SIZE)), ""):
        raise UsageError(
            f"the ids from {start} to {start + SIZE - 1} are not free: {obstacle}",
            hint=f"use `--start {free_start(files)}`",
        )
    return start


def in_the_way(files: AccountFiles, wanted: Subordinate) -> Iterator[str]:
    """Yield what has ids of a range, apart from the range's owner and from the names of mapped ids."""
    for text, file in ((files.subuid, "subuid"), (files.subgid, "subgid")):
        for entry in subordinates_in(text):
            if entry.overlaps(wanted) and entry.owner != wanted.owner:
                yield f"{file} gives {entry.start} to {entry.start + entry.size - 1} to `{entry.owner}`"
    for account in (*users_in(files.passwd), *groups_in(files.group)):
        if account.uid in wanted or account.gid in wanted:
            kind, number = ("group", account.gid) if account.uid is None else ("user", account.uid)
            if not (wanted.owner and account.name.startswith(MAPPED)):
                yield f"{kind} `{account.name}` is {number}"


def ranges_of(text: str, owner: str) -> tuple[IdRange, ...]:
    """Return the ids that the engine gives to containers: all of an owner's ranges, one after the other."""
    found: list[IdRange] = []
    inside = 0
    for entry in subordinates_in(text):
        if entry.owner == owner and entry.size:
            found.append(IdRange(inside, entry.start, entry.size))
            inside += entry.size
    return tuple(found)
