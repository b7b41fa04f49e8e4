"""Which directories of the host an instance sees, and what has to be made for it first.

Production's directories are below VOL_BASE/SERVICE; what dev and test write to is below VOL_BASE/TMP/AREA, the test
area, one-to-one with the source.
"""

import csv
import io
from collections.abc import Iterator
from typing import NamedTuple

from dockyard.errors import DockyardError, Problem, SettingsError
from dockyard.plan.values import EmptyTestArea, Facts, HostStep, MakeDirectory, MakeFile, Owner, PathFact
from dockyard.settings.key import Key
from dockyard.settings.keys import (
    MOUNT_LOGS,
    MOUNT_PERSISTENT,
    MOUNT_RO,
    MOUNT_RW,
    MOUNT_TEST_ONLY,
    USER,
    VOL_BASE,
)
from dockyard.settings.resolve import Settings
from dockyard.settings.types import has_glob
from dockyard.settings.values import Mode, Mount

# Below the area, sources outside VOL_BASE/SERVICE keep their whole path in here, so that no two share a twin.
_ELSEWHERE = ".root"
_LAST_ID = 2**31 - 1


class Rule(NamedTuple):
    """What a mount key means: read-only or not, and whether an instance under test gets a twin of the source."""

    key: Key[tuple[Mount, ...]]
    read_only: bool = False
    twin: bool = False
    in_production: bool = True
    warning: str = ""


RULES = (
    Rule(MOUNT_RO, read_only=True),
    Rule(MOUNT_RW, twin=True),
    Rule(MOUNT_PERSISTENT, warning="is production's own directory, and this instance can write to it"),
    Rule(MOUNT_LOGS, twin=True),
    Rule(MOUNT_TEST_ONLY, in_production=False),
)


class Bind(NamedTuple):
    """One directory or file of the host, and where the instance sees it."""

    source: str
    target: str
    read_only: bool

    def argv(self) -> tuple[str, str]:
        """Return the engine's flag; its value is a line of CSV, so that a path may hold a comma."""
        fields = ["type=bind", f"source={self.source}", f"target={self.target}"]
        line = io.StringIO()
        csv.writer(line, lineterminator="").writerow([*fields, "readonly"] if self.read_only else fields)
        return ("--mount", line.getvalue())


class MountPart(NamedTuple):
    """The mounts of an instance, the steps that make their sources, and what the user should know."""

    binds: tuple[Bind, ...] = ()
    steps: tuple[HostStep, ...] = ()
    notes: tuple[str, ...] = ()


class Places(NamedTuple):
    """Where the data of one service is, in one mode."""

    base: str
    service: str
    mode: Mode
    test_data: bool

    @property
    def area(self) -> str:
        """The test area's name: the service's, and in any other mode than test a name that no service can have."""
        return self.service if self.mode is Mode.TEST else f"{self.service}@{self.mode.value}"

    @property
    def own(self) -> str:
        """The service's directory in production."""
        return f"{self.base}/{self.service}"

    @property
    def test_area(self) -> str:
        """The test area's path."""
        return f"{self.base}/TMP/{self.area}"

    def source(self, path: str) -> str:
        """Return the absolute path that a source names in production."""
        return _normal(path if path.startswith("/") else f"{self.own}/{path}")

    def twin(self, source: str) -> str:
        """Return the path below the test area that stands for an absolute source."""
        if source == self.own or source.startswith(f"{self.own}/"):
            return _normal(f"{self.test_area}/{source.removeprefix(self.own)}")
        return f"{self.test_area}/{_ELSEWHERE}{source}"


def _normal(path: str) -> str:
    return "/" + "/".join(part for part in path.split("/") if part not in {"", "."})


def places_of(settings: Settings, service: str, *, test_data: bool) -> Places:
    """Return where the service's data is; `test_data` asks for the test area in production's mode too."""
    return Places(_normal(settings[VOL_BASE]), service, settings.mode, test_data or settings.mode.isolated)


def rules_for(places: Places) -> tuple[Rule, ...]:
    """Return the mount keys that count."""
    return tuple(rule for rule in RULES if rule.in_production or places.test_data)


def sources(settings: Settings, places: Places) -> Iterator[str]:
    """Yield every source, patterns among them, as an absolute path."""
    for rule in rules_for(places):
        for mount in settings[rule.key]:
            yield places.source(mount.source)


def mount_part(settings: Settings, places: Places, facts: Facts, image_user: str) -> MountPart:
    """Decide the mounts. Raises SettingsError for every source that is missing and may not be made."""
    owner, owner_notes = _owner(settings[USER] or image_user, facts)
    binds: list[Bind] = []
    steps: list[HostStep] = []
    notes: list[str] = []
    problems: list[Problem] = []
    targets: dict[str, str] = {}
    for rule in rules_for(places):
        for mount in settings[rule.key]:
            try:
                for source, target in _expanded(mount, places, facts):
                    _refuse_one_target_twice(targets, source, target, mount)
                    part = _bind(rule, source, target, places, facts, owner, mount)
                    binds += part.binds
                    steps += part.steps
                    notes += part.notes
            except SettingsError as error:
                problems += error.problems
            if has_glob(mount.source) and not facts.matches.get(places.source(mount.source)):
                notes.append(f"{mount.where}: nothing matches `{mount.source}`")
    if problems:
        raise SettingsError(problems)
    if not steps:  # what makes nothing needs no owner, and no test area
        return MountPart(tuple(binds), (), tuple(notes))
    area = (EmptyTestArea(places.base, places.area),) if places.test_data else ()
    return MountPart(tuple(binds), (*area, *_parents_first(steps)), (*owner_notes, *notes))


def _parents_first(steps: list[HostStep]) -> list[HostStep]:
    """Return each step once, so ordered that a directory is made as its own mount has it, not on the way to another."""
    return sorted(dict.fromkeys(steps), key=lambda step: step.path)


def _expanded(mount: Mount, places: Places, facts: Facts) -> list[tuple[str, str]]:
    """Return the sources that a mount stands for, each with its target."""
    source = places.source(mount.source)
    if not has_glob(mount.source):
        return [(source, _normal(mount.target) if mount.target else source)]
    return [
        (match, _normal(f"{mount.target}{match.rpartition('/')[2]}") if mount.target else match)
        for match in facts.matches.get(source, ())
    ]


def _bind(  # noqa: PLR0913, PLR0917
    rule: Rule, source: str, target: str, places: Places, facts: Facts, owner: Owner, mount: Mount
) -> MountPart:
    there = facts.paths.get(source)
    own = f"{source}/".startswith(f"{places.own}/")
    has_twin = rule.twin or (not rule.in_production and f"{source}/".startswith(f"{places.base}/"))
    if places.test_data and (has_twin or not there):
        note = f"{mount.where}: `{source}` does not exist: an empty directory stands in"
        stand_in = () if has_twin else (note,)
        twin = places.twin(source)
        return MountPart((Bind(twin, target, rule.read_only),), (_make(twin, there, owner),), stand_in)
    if not there and not own:
        hint = "relative sources are made, absolute ones never"
        raise SettingsError([Problem(mount.where, f"mount source `{source}` does not exist", hint)])
    steps = () if there else (_make(source, None, owner),)
    warnings = (f"{mount.where}: `{source}` {rule.warning}",) if rule.warning and places.test_data else ()
    return MountPart((Bind(source, target, rule.read_only),), steps, warnings)


def _make(path: str, like: PathFact | None, owner: Owner) -> HostStep:
    """Return the step that makes a source: like the one in production, else as the image's user needs it."""
    if not like:
        return MakeDirectory(path, owner.uid, owner.gid)
    kind = MakeDirectory if like.kind == "directory" else MakeFile
    return kind(path, like.uid, like.gid, like.mode)


def _owner(user: str, facts: Facts) -> tuple[Owner, tuple[str, ...]]:
    """Return the ids of the user that an instance runs as, `name`, `uid` or either with `:group`."""
    name, _, group = user.partition(":")
    known = facts.users.get(name or "0") or (Owner(int(name)) if name.isdigit() else None)
    if name in {"", "root"} and not known:
        known = Owner()
    if not known:
        return Owner(), (f"user `{name}` is not in files/etc/passwd: what is made for it belongs to root",)
    gid = facts.groups.get(group) if group and not group.isdigit() else int(group) if group else known.gid
    owner = Owner(known.uid, known.gid if gid is None else gid)
    if max(owner) > _LAST_ID:
        raise DockyardError(f"user `{user}`: {max(owner)} is no id that a user can have", hint=f"up to {_LAST_ID}")
    return owner, ()


def _refuse_one_target_twice(targets: dict[str, str], source: str, target: str, mount: Mount) -> None:
    """Note a source's target; raises SettingsError where another source has it."""
    if target in targets:
        message = f"`{target}` is the target of both `{targets[target]}` and `{source}`"
        raise SettingsError([Problem(mount.where, message, "give each mount a target of its own")])
    targets[target] = source
