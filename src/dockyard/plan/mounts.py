"""Which directories of the host an instance sees, and what must be created for it first."""

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple

from dockyard.errors import Problem, SettingsError
from dockyard.plan.copies import ChosenCopy, choose_copy
from dockyard.plan.facts import Facts, PathFact
from dockyard.plan.owners import Owners
from dockyard.plan.places import Places, above_in, is_within, normal, places_of
from dockyard.plan.values import (
    Copy,
    CopyExtent,
    CopyFact,
    CopyMethod,
    EmptyTestArea,
    HostStep,
    MakeDirectory,
    MakeFile,
)
from dockyard.plan.volumes import make_volume, refuse_other_kind, volumes_here
from dockyard.settings.key import Key
from dockyard.settings.keys import (
    MOUNT_LOGS,
    MOUNT_PERSISTENT,
    MOUNT_PERSISTENT_TEST_COPY,
    MOUNT_PERSISTENT_TEST_COPY_FILES,
    MOUNT_PERSISTENT_TEST_COPY_TREE,
    MOUNT_PERSISTENT_TEST_RO,
    MOUNT_RO,
    MOUNT_RW,
    MOUNT_TEST_ONLY,
)
from dockyard.settings.resolve import Settings
from dockyard.settings.types import has_glob
from dockyard.settings.values import Mount


class Rule(NamedTuple):
    """What a mount key means: in production read-only or not, and on test data `twin`, `copy` or the same directory.

    `from_volumes`: on test data, what `vols` make is mounted from the test area.
    """

    key: Key[tuple[Mount, ...]]
    read_only: bool = False
    read_only_in_test: bool = False
    twin: bool = False
    copy: CopyExtent | None = None
    from_volumes: bool = False
    in_production: bool = True
    warning: str = ""


RULES = (
    Rule(MOUNT_RO, read_only=True, read_only_in_test=True, from_volumes=True),
    Rule(MOUNT_RW, twin=True),
    Rule(MOUNT_PERSISTENT, warning="is production's directory, and this instance can write to it"),
    Rule(MOUNT_PERSISTENT_TEST_RO, read_only_in_test=True),
    Rule(MOUNT_PERSISTENT_TEST_COPY, twin=True, copy=CopyExtent.FILES),
    Rule(MOUNT_PERSISTENT_TEST_COPY_TREE, twin=True, copy=CopyExtent.DIRECTORIES),
    Rule(MOUNT_PERSISTENT_TEST_COPY_FILES, twin=True, copy=CopyExtent.TREE),
    Rule(MOUNT_LOGS, twin=True),
    Rule(MOUNT_TEST_ONLY, in_production=False, from_volumes=True),
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


class Access(NamedTuple):
    """What an instance needs of a path: to read there, or to write too. `fact` is what stands or will stand there."""

    path: str
    fact: PathFact
    writes: bool
    where: str


class MountPart(NamedTuple):
    """The mounts of an instance, the steps that make their sources, and what the user should know.

    `area` is the test area, where the instance has one; `shared` is what it shares with production on purpose,
    `permitted` are sources that other containers may write to as well.
    """

    binds: tuple[Bind, ...] = ()
    steps: tuple[HostStep, ...] = ()
    notes: tuple[str, ...] = ()
    copies: tuple[ChosenCopy, ...] = ()
    accesses: tuple[Access, ...] = ()
    area: EmptyTestArea | None = None
    shared: tuple[str, ...] = ()
    permitted: tuple[str, ...] = ()


def nested(binds: Iterable[Bind]) -> tuple[tuple[str, str], ...]:
    """Return the sources that lie in a source which the instance writes to, each with that one.

    There it can put a link in the inner one's place, which the engine follows when it starts the container again.
    """
    every = tuple(binds)
    return tuple(
        (inner.source, outer.source)
        for outer in every
        for inner in every
        if not outer.read_only and inner.source != outer.source and is_within(inner.source, outer.source)
    )


def rules_for(places: Places) -> tuple[Rule, ...]:
    """Return the mount keys that count."""
    return tuple(rule for rule in RULES if rule.in_production or places.test_data)


def _mounts(settings: Settings, places: Places) -> Iterator[tuple[Rule, Mount]]:
    return ((rule, mount) for rule in rules_for(places) for mount in settings[rule.key])


def sources(settings: Settings, places: Places) -> Iterator[str]:
    """Yield every path and pattern that must be inspected."""
    for _, mount in _mounts(settings, places):
        source = places.source(mount.source)
        yield source
        yield from filter(None, [_first_directory(source, places)])
    for source, _ in volumes_here(settings, places):
        yield source


def copied(settings: Settings, places: Places) -> Iterator[str]:
    """Yield every source, patterns among them, that a test instance gets a copy of."""
    return (places.source(mount.source) for rule, mount in _mounts(settings, places) if rule.copy and places.test_data)


def mounted_at(path: str, settings: Settings, service: str) -> str:
    """Return which line of the settings mounts a path, a production source or its test copy; empty if none does."""
    places = places_of(settings, service, test_data=settings.mode.isolated)
    found = {places.source(mount.source): mount.where for _, mount in _mounts(settings, places)}
    said = {**found, **{places.twin(source): where for source, where in found.items()}}
    patterns = (where for source, where in said.items() if has_glob(source) and fnmatchcase(path, source))
    return said.get(path) or next(patterns, "")


def _expanded(mount: Mount, places: Places, matches: Mapping[str, tuple[str, ...]]) -> list[tuple[str, str]]:
    """Return the sources that a mount stands for, each with its target."""
    source = places.source(mount.source)
    if not has_glob(mount.source):
        return [(source, normal(mount.target) if mount.target else source)]
    return [
        (match, normal(f"{mount.target}{match.rpartition('/')[2]}") if mount.target else match)
        for match in matches.get(source, ())
    ]


def copies_of(
    settings: Settings,
    places: Places,
    matches: Mapping[str, tuple[str, ...]],
    there: Mapping[str, PathFact],
    facts: Mapping[str, CopyFact],
) -> Iterator[ChosenCopy]:
    """Yield the copies of production's directories that an instance gets.

    Raises SettingsError for one that cannot be.
    """
    for rule, mount in _mounts(settings, places):
        for source, _ in _expanded(mount, places, matches) if rule.copy and places.test_data else ():
            if rule.copy and source in there:
                step = Copy(source, places.twin(source), places.area, rule.copy, CopyMethod.COPY)
                yield choose_copy(step, there[source], facts.get(source), settings, mount.where)


def needs_owners(settings: Settings, places: Places) -> bool:
    """Return whether anything is mounted or made, so that owners matter."""
    return any(True for _ in sources(settings, places))


def mount_part(settings: Settings, places: Places, facts: Facts, image_user: str, directory: str) -> MountPart:
    """Decide the mounts of an instance that runs as `image_user`. `directory` is the service's.

    Raises SettingsError with everything that is wrong with its mounts and volumes.
    """
    return _Mounting(settings, places, facts, Owners(settings, facts, image_user), directory).part()


class _Mounting:
    """Collects the parts of one instance's mounts."""

    def __init__(self, settings: Settings, places: Places, facts: Facts, owners: Owners, directory: str) -> None:
        self._settings = settings
        self._places = places
        self._facts = facts
        self._owners = owners
        self._directory = directory
        self._binds: dict[str, Bind] = {}
        self._made: dict[str, MakeDirectory | MakeFile] = {}
        self._copies: dict[str, ChosenCopy] = {}
        self._accesses: list[Access] = []
        self._notes: list[str] = []
        self._shared: list[str] = []
        self._permitted: list[str] = []
        self._problems: list[Problem] = []
        self._volumes = dict(volumes_here(settings, places))
        self._writable = [
            source
            for rule, mount in _mounts(settings, places)
            if not rule.read_only
            for source, _ in _expanded(mount, places, facts.matches)
        ]

    def part(self) -> MountPart:
        """Return everything. Raises SettingsError."""
        for rule, mount in _mounts(self._settings, self._places):
            self._trying(lambda rule=rule, mount=mount: self._mount(rule, mount))  # type: ignore[misc]
        for source in self._volumes:
            self._trying(lambda source=source: self._volume(source))  # type: ignore[misc]
        if self._problems:
            raise SettingsError(list(dict.fromkeys(self._problems)))
        steps = self._steps()
        area = self._places.area if self._places.test_data and steps else None
        notes = (*(self._owners.notes if self._made else ()), *self._notes)
        return MountPart(
            tuple(self._binds.values()),
            (*((area,) if area else ()), *steps),
            notes,
            tuple(self._copies.values()),
            tuple(self._accesses),
            area,
            tuple(self._shared),
            tuple(self._permitted),
        )

    def _trying(self, work: Callable[[], None]) -> None:
        try:
            work()
        except SettingsError as error:
            self._problems += error.problems

    def _steps(self) -> list[HostStep]:
        """Return the steps so ordered that a directory is made as its own mount has it, not on the way to another."""
        copies = {path: chosen.step for path, chosen in self._copies.items()}
        made = {path: step for path, step in self._made.items() if path not in copies}
        return [step for _, step in sorted([*copies.items(), *made.items()])]

    # ---------------------------------------------------------------------------------------------------- mounts
    def _mount(self, rule: Rule, mount: Mount) -> None:
        expanded = _expanded(mount, self._places, self._facts.matches)
        if not expanded:
            self._notes.append(f"{mount.where}: nothing matches `{mount.source}`")
        for source, target in expanded:
            if target in self._binds:
                message = f"`{target}` is the target of both `{self._binds[target].source}` and `{source}`"
                raise _problem(mount.where, message, "give each mount a different target")
            self._refuse_reserved(source, mount.where)
            self._refuse_planted_link(source, mount)
            self._binds[target] = self._bind(rule, source, target, mount)
            if mount.shared:
                self._permitted.append(source)

    def _bind(self, rule: Rule, source: str, target: str, mount: Mount) -> Bind:
        there = self._facts.paths.get(source)
        if self._places.test_data:
            return self._bind_in_test(rule, source, target, mount)
        is_made = is_within(source, self._places.own) or self._is_volume_or_above(source)
        if not there and not is_made:
            raise _problem(
                mount.where,
                f"mount source `{source}` does not exist",
                "create it; only relative sources are created automatically",
            )
        if not there and source not in self._volumes:
            self._make_directory(source, self._first_trusted(source))
        self._note_access(source, source, mount, writes=not rule.read_only)
        return Bind(source, target, rule.read_only)

    def _bind_in_test(self, rule: Rule, source: str, target: str, mount: Mount) -> Bind:
        there, twin = self._facts.paths.get(source), self._places.twin(source)
        self._keep_closed(source)
        if rule.copy and there:
            self._copy(rule.copy, source, twin, there, mount)
        has_twin = rule.twin or (not rule.in_production and is_within(source, self._places.base))
        from_volumes = rule.from_volumes and self._is_volume_or_above(source)
        if not (has_twin or from_volumes) and there:
            if rule.warning:
                self._shared.append(source)
                self._notes.append(f"{mount.where}: `{source}` {rule.warning}")
            elif there.kind == "other":
                self._notes.append(
                    f"{mount.where}: `{source}` is not a file: this instance can reach the process that listens there"
                )
            self._note_access(source, source, mount, writes=not rule.read_only_in_test)
            return Bind(source, target, rule.read_only_in_test)
        if not there and not from_volumes and (rule.copy or not has_twin):
            self._notes.append(f"{mount.where}: `{source}` does not exist: an empty directory is mounted instead")
        if source not in self._volumes:
            self._make_twin(twin, there)
        self._note_access(source, twin, mount, writes=not rule.read_only_in_test)
        return Bind(twin, target, rule.read_only_in_test)

    def _keep_closed(self, source: str) -> None:
        """Create the directories above a test copy with the permissions of those above the source."""
        for above in above_in(source, self._places.own if is_within(source, self._places.own) else "/"):
            there = self._facts.paths.get(above)
            if there and there.kind == "directory":
                self._make_twin(self._places.twin(above), there)

    def _make_twin(self, twin: str, there: PathFact | None) -> None:
        """Plan the test copy of a production source, or of a directory that does not exist there."""
        strict = self._places.base
        if not there:
            self._make_directory(twin, strict)
        elif there.kind == "directory":
            self._made.setdefault(twin, MakeDirectory(twin, there.uid, there.gid, there.mode, strict))
        else:
            self._made.setdefault(twin, MakeFile(twin, there.uid, there.gid, there.mode, strict))

    def _make_directory(self, path: str, strict: str) -> None:
        uid, gid, mode = self._owners.default()
        self._made.setdefault(path, MakeDirectory(path, uid, gid, 0o755 if mode is None else mode, strict))

    def _copy(self, extent: CopyExtent, source: str, twin: str, there: PathFact, mount: Mount) -> None:
        earlier = self._copies.get(twin)
        if earlier and earlier.step.extent is not extent:
            hint = "use only one kind of copy for a directory"
            raise _problem(mount.where, f"`{source}` is copied in two ways", hint)
        layers = self._places.layers(len(self._copies))
        step = Copy(source, twin, self._places.area, extent, CopyMethod.COPY, layers)
        self._copies[twin] = choose_copy(step, there, self._facts.copies.get(source), self._settings, mount.where)

    def _note_access(self, source: str, path: str, mount: Mount, *, writes: bool) -> None:
        """Record what access the instance needs to a production source, or else to what is created for it."""
        made = self._made.get(path)
        kind = "directory" if isinstance(made, MakeDirectory) else "file"
        fact = self._facts.paths.get(source) or (made and PathFact(kind, made.uid, made.gid, made.mode))
        if fact:
            self._accesses.append(Access(source if source in self._facts.paths else path, fact, writes, mount.where))

    # --------------------------------------------------------------------------------------------------- volumes
    def _is_volume_or_above(self, source: str) -> bool:
        """Return whether `vols` make a source, or something in it."""
        return any(is_within(volume, source) for volume in self._volumes)

    def _volume(self, source: str) -> None:
        volume, there = self._volumes[source], self._facts.paths.get(source)
        self._refuse_reserved(source, volume.where)
        refuse_other_kind(volume, source, there)
        if self._places.test_data:
            twin = self._places.twin(source)
            self._keep_closed(source)
            self._made[twin] = make_volume(volume, twin, self._places.base, self._owners, self._directory)
        elif not there:
            strict = self._first_trusted(source)
            self._made[source] = make_volume(volume, source, strict, self._owners, self._directory)

    # -------------------------------------------------------------------------------------------------- refusals
    def _refuse_reserved(self, source: str, where: str) -> None:
        """Raise SettingsError for a source whose test copy would not be separate."""
        if self._places.is_reserved(source):
            raise _problem(where, f"`{source}` is reserved for test areas", "choose another name")

    def _first_trusted(self, source: str) -> str:
        """Return the directory from which on a container may have planted links on the way to a source; else empty."""
        above = [path for path in self._writable if path != source and is_within(source, path)]
        return min([*above, *filter(None, [_first_directory(source, self._places)])], key=len, default="")

    def _refuse_planted_link(self, source: str, mount: Mount) -> None:
        """Raise SettingsError if a link on the way to a source leads out of what a container can write to."""
        trusted = self._first_trusted(source)
        there, root = self._facts.paths.get(source), self._facts.paths.get(trusted)
        if there and root and not is_within(there.real, root.real):
            message = f"`{source}` leads out of `{trusted}`, to `{there.real}`: containers can plant links there"
            raise _problem(mount.where, message, f"if the link is yours, name `{there.real}` instead")


def _first_directory(source: str, places: Places) -> str:
    """Return VOL_BASE/SERVICE/DIRECTORY for what lies below that: deeper, only containers make links."""
    parts = source.removeprefix(places.base).split("/")[1:]
    return "/".join([places.base, *parts[:2]]) if is_within(source, places.base) and len(parts) > 2 else ""  # noqa: PLR2004


def _problem(where: str, message: str, hint: str) -> SettingsError:
    return SettingsError([Problem(where, message, hint)])
