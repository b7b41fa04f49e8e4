"""Who a service runs as and who owns what is made for it, in the ids of this host."""

from collections.abc import Mapping
from typing import NamedTuple

from dockyard.engine.models import IdMap, IdRange
from dockyard.errors import DockyardError, Problem, SettingsError
from dockyard.plan.facts import Facts, Owner
from dockyard.plan.flags import flag_values
from dockyard.settings.keys import EXTRA_DOCKER, SHIFT_GIDS, SHIFT_UIDS, VOL_DEFAULTS, VOLS
from dockyard.settings.resolve import Settings
from dockyard.settings.values import Volume, VolumeDefaults
from dockyard.text import did_you_mean

_LAST_ID = 2**31 - 1
_MAPPED = 65536  # ids that an engine maps where nothing else is said


class Ownership(NamedTuple):
    """Owner and group, as the host has them, and permissions; None if the default of their kind is right."""

    uid: int = 0
    gid: int = 0
    mode: int | None = None


def host_names(settings: Settings, what: str) -> tuple[str, ...]:
    """Return the names of the host's own users or groups that `vols` and `vol_defaults` use as `owner` or `group`."""
    said: list[str | None] = [getattr(volume, what) for volume in settings[VOLS]]
    said.append(getattr(settings[VOL_DEFAULTS], what))
    return tuple(dict.fromkeys(name for name in said if name and "/" not in name and not name.isdigit()))


def id_map(settings: Settings, facts: Facts) -> IdMap:
    """Return which ids of the host the instance's are: as settings say, else raw flags of the engine, else it itself.

    Raises DockyardError for flags that are none.
    """
    raw = settings[EXTRA_DOCKER]
    engine = IdMap() if "host" in flag_values(raw, "userns") else facts.ids
    uids, gids = (_ranges(list(flag_values(raw, flag))) for flag in ("uidmap", "gidmap"))
    if uids or gids:  # podman takes one for the other, where one alone is given
        engine = IdMap(uids or gids, gids or uids)
    return IdMap(_shifted(settings[SHIFT_UIDS], engine.uids), _shifted(settings[SHIFT_GIDS], engine.gids))


def _ranges(texts: list[str]) -> tuple[IdRange, ...]:
    """Return the ranges of podman's `--uidmap INSIDE:OUTSIDE[:SIZE]`."""
    try:
        parts = [[int(part) for part in text.split(":")] for text in texts]
        return tuple(IdRange(inside, outside, *(size or [1])) for inside, outside, *size in parts)
    except (ValueError, TypeError):
        raise DockyardError(f"extra_docker: `{' '.join(texts)}` maps no ids", hint="INSIDE:OUTSIDE:SIZE") from None


def _shifted(shift: int | None, ranges: tuple[IdRange, ...]) -> tuple[IdRange, ...]:
    if shift is None:
        return ranges
    return (IdRange(0, shift, _MAPPED),) if shift else ()


def user_inside(user: str, facts: Facts) -> Owner | None:
    """Return the ids in the container of `name`, `uid` or either with `:group`; None if the name is unknown."""
    name, _, group = user.partition(":")
    known = facts.accounts.users.get(name or "0") or (Owner(int(name)) if name.isdigit() else None)
    if name in {"", "root"} and not known:
        known = Owner()
    if not known:
        return None
    gid = int(group) if group.isdigit() else facts.accounts.groups.get(group, known.gid) if group else known.gid
    if max(known.uid, gid) > _LAST_ID:
        message = f"user `{user}`: {max(known.uid, gid)} is not a valid user id"
        raise DockyardError(message, hint=f"use one up to {_LAST_ID}")
    return known._replace(gid=gid, groups=() if group else known.groups)


class Owners:
    """Whose is what is made for one launch, which runs as `user`."""

    def __init__(self, settings: Settings, facts: Facts, user: str) -> None:
        self.ids = id_map(settings, facts)
        self.runs_as = user_inside(user, facts)
        self.user = user or "root"
        self._facts = facts
        self._defaults: VolumeDefaults = settings[VOL_DEFAULTS]
        self._defaults_at = settings.value(VOL_DEFAULTS).source

    @property
    def notes(self) -> tuple[str, ...]:
        """What the user should know where something is made."""
        if self.runs_as or self._defaults.owner:
            return ()
        is_built = any(image.id for image in self._facts.images.values())
        where = "neither in files/etc/passwd nor in the image" if is_built else "not in files/etc/passwd"
        unknown = "" if is_built else ", and there is no image yet"
        return (f"user `{self.user}` is {where}{unknown}: what is created for it belongs to root",)

    def default(self) -> Ownership:
        """Return whose is what a mount needs. Raises SettingsError."""
        return self.of(Volume("", self._defaults_at))

    def of(self, volume: Volume) -> Ownership:
        """Return whose a volume is. Raises SettingsError for an owner or group that is nowhere known."""
        runs_as = self.runs_as or Owner()
        uid, group_of_owner = self.ids.uid(runs_as.uid), self.ids.gid(runs_as.gid)
        owner, where = self._said(volume, volume.owner, self._defaults.owner)
        if owner is not None:
            uid, group_of_owner = self._user(owner, where)
        gid = group_of_owner
        group, where_group = self._said(volume, volume.group, self._defaults.group)
        if group is not None:
            gid = self._group(group, where_group)
        if uid is None:
            raise _unmapped("uid", owner or self.user, where)
        if gid is None:
            raise _unmapped("gid", group or owner or self.user, where_group if group else where)
        return Ownership(uid, gid, self._defaults.perm if volume.perm is None else volume.perm)

    def _said(self, volume: Volume, own: str | None, default: str | None) -> tuple[str | None, str]:
        """Return an owner or group and where it was said."""
        by_default = own is None and default is not None
        return (default, self._defaults_at) if by_default else (own, volume.where)

    def _user(self, text: str, where: str) -> tuple[int | None, int | None]:
        inside = text.startswith("user/")
        known = (self._facts.accounts if inside else self._facts.host_accounts).users
        name = text.removeprefix("user/")
        if not inside and name.isdigit():
            return int(name), int(name)
        found = known.get(name) or (Owner(int(name), int(name)) if name.isdigit() else None)
        if not found:
            raise _unknown("user", name, known, where, inside=inside)
        return (self.ids.uid(found.uid), self.ids.gid(found.gid)) if inside else (found.uid, found.gid)

    def _group(self, text: str, where: str) -> int | None:
        inside = text.startswith("group/")
        known = (self._facts.accounts if inside else self._facts.host_accounts).groups
        name = text.removeprefix("group/")
        gid = int(name) if name.isdigit() else known.get(name)
        if gid is None:
            raise _unknown("group", name, known, where, inside=inside)
        return self.ids.gid(gid) if inside else gid


def _unknown(kind: str, name: str, known: Mapping[str, object], where: str, *, inside: bool) -> SettingsError:
    file = "passwd" if kind == "user" else "group"
    place = f"in files/etc/{file}, nor in the image" if inside else "on this host"
    also = "" if inside else f"use `{kind}/{name}` for a {kind} of the service's image"
    names = [other for other in known if not other.isdigit()]
    return _problem(where, f"no {kind} `{name}` {place}", did_you_mean(name, names) or also)


def _unmapped(what: str, name: str, where: str) -> SettingsError:
    return _problem(where, f"`{name}`: the engine does not map this {what}", "see `d userns status`")


def _problem(where: str, message: str, hint: str = "") -> SettingsError:
    return SettingsError([Problem(where, message, hint)])
