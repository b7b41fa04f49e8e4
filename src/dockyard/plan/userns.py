"""User-namespace remapping: what must be in which file, and how to undo it."""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from dockyard.engine.models import IdMap
from dockyard.errors import DockyardError
from dockyard.plan.account_files import SIZE, AccountFiles, lines_of, ranges_of, with_owner, with_ranges
from dockyard.plan.daemon_json import KEY, setting_in, settings_in, with_setting, without_setting
from dockyard.plan.mapped_names import ServiceAccounts, with_names

DEFAULT_USER = "dockremap"
"""The user that the engine uses for `default`: on a host that used it before, the earlier data reappears."""

GUIDE = "docs/how-to/map-users.md"

Texts = Mapping[str, str | None]
"""The texts of files by their paths; None for one that is not there."""


class SystemFiles(NamedTuple):
    """Where the files are."""

    passwd: str
    group: str
    subuid: str
    subgid: str
    config: str


def system_files(directory: str, config: str) -> SystemFiles:
    """Return where the files of a host are whose account files are in a directory."""
    passwd, group, subuid, subgid = (f"{directory}/{name}" for name in SystemFiles._fields[:4])
    return SystemFiles(passwd, group, subuid, subgid, config)


class FileChange(NamedTuple):
    """What a file is, and what it becomes; None: it is not there."""

    path: str
    before: str | None
    after: str | None

    @property
    def diff(self) -> str:
        """The change as patch(1) reads it."""
        old, new = (self.path if text is not None else "/dev/null" for text in (self.before, self.after))
        rows = difflib.unified_diff(_with_ends(self.before), _with_ends(self.after), old, new)
        return "".join(row if row.endswith("\n") else f"{row}\n\\ No newline at end of file\n" for row in rows)


def _with_ends(text: str | None) -> list[str]:
    return re.findall(r"[^\n]*\n|[^\n]+", text or "")


def changes(before: Texts, after: Texts) -> tuple[FileChange, ...]:
    """Return the files that become something else."""
    return tuple(FileChange(path, before[path], text) for path, text in after.items() if text != before[path])


class EnablePlan(NamedTuple):
    """The new text of all files, the resulting ids, and notes for the user."""

    texts: Texts
    ids: IdMap
    notes: tuple[str, ...]


def account_files(places: SystemFiles, texts: Texts) -> AccountFiles:
    """Return the account files among the texts."""
    return AccountFiles(*(texts[path] or "" for path in places[:4]))


def plan_enable(
    places: SystemFiles, texts: Texts, user: str, start: int | None, services: Iterable[ServiceAccounts]
) -> EnablePlan:
    """Compute the new text of every file. Raises UsageError, DockyardError."""
    _refuse_another(places.config, setting_in(texts[places.config], places.config), user)
    owned = with_ranges(with_owner(account_files(places, texts), user), user, start)
    named = with_names(owned, user, services)
    ids = IdMap(ranges_of(owned.subuid, user), ranges_of(owned.subgid, user))
    after: dict[str, str | None] = {
        path: text if text or texts[path] is not None else None
        for path, text in zip(places[:4], named.files, strict=True)
    }
    config = texts[places.config]
    is_set = setting_in(config, places.config)
    after[places.config] = config if is_set else with_setting(config, places.config, user)
    return EnablePlan(after, ids, (*_small(ids, user), *named.notes))


def _refuse_another(path: str, present: str, user: str) -> None:
    if present and present != user and not (present == "default" and user == DEFAULT_USER):
        raise DockyardError(
            f'{path}: "{KEY}" is "{present}" already',
            hint=f"`--user {present}` adds what that user lacks; to use another user, remove the setting first",
        )


def _small(ids: IdMap, user: str) -> tuple[str, ...]:
    size = min(sum(one.size for one in ranges) for ranges in ids)
    return (f"`{user}` has {size} ids: none for ids from {size} on, such as `nobody`",) if size < SIZE else ()


def consequences(running: int) -> tuple[str, ...]:
    """Return what changes for the user when an engine begins to map, with so many containers running."""
    hidden = (
        "the engine's current images, containers, volumes and networks are NOT VISIBLE while users are mapped: "
        "they stay on the disk and reappear after `d userns disable`; services must be built again"
    )
    data = (
        "data directories keep their owners, which containers then see as `nobody`: `d check NAME` lists which must be "
        f"shifted, `d userns map USER` shows to which ids ({GUIDE})"
    )
    return (hidden, *_ends(running), data)


def consequences_of_disabling(running: int) -> tuple[str, ...]:
    """Return what changes for the user when an engine ceases to map."""
    hidden = (
        "images, containers, volumes and networks created while users are mapped are NOT VISIBLE afterwards; "
        "earlier ones reappear"
    )
    return (hidden, *_ends(running), f"data directories keep their owners: shift them back ({GUIDE})")


def _ends(running: int) -> tuple[str, ...]:
    what = "the one running container" if running == 1 else f"the {running} running containers"
    return (f"a restart of the engine ENDS {what}",) if running else ()


def undone(change: FileChange, now: str | None, places: SystemFiles) -> str | None:
    """Return a file without what enabling did to it: as it was, where it is as it was left; else without our parts.

    Raises DockyardError for a daemon.json that is none.
    """
    if now in {change.before, change.after}:
        return change.before
    if now is None:
        return None
    if change.path != places.config:
        rest = _without_lines(change, now)
    elif setting_in(now, change.path) != setting_in(change.after, change.path):
        return now  # it belongs to another user by now
    else:
        rest = _without_setting(change, now)
    return None if change.before is None and not rest.strip() else rest


def _without_lines(change: FileChange, now: str) -> str:
    added = Counter(lines_of(change.after or "")) - Counter(lines_of(change.before or ""))
    kept: list[str] = []
    for line in _with_ends(now):
        if added[line.removesuffix("\n")] > 0:
            added[line.removesuffix("\n")] -= 1
        else:
            kept.append(line)
    return "".join(kept)


def _without_setting(change: FileChange, now: str) -> str:
    before = settings_in(change.before, change.path)
    if KEY in before:  # it was there, and empty, if not this very one
        return with_setting(now, change.path, setting_in(change.before, change.path))
    rest = without_setting(now, change.path)
    return "" if change.before is None and not settings_in(rest, change.path) else rest


def left_behind(change: FileChange, restored: str | None) -> tuple[str, ...]:
    """Return lines that begin with a name that enabling added, but were changed since."""
    before = Counter(lines_of(change.before or ""))
    names = {line.partition(":")[0] for line in Counter(lines_of(change.after or "")) - before}
    return tuple(line for line in Counter(lines_of(restored or "")) - before if line.partition(":")[0] in names)
