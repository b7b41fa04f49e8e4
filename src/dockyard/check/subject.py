"""What checks know of a service and of all services together: gathered once, by gather.py."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard.dockerfile import SCRATCH, Stage
from dockyard.dockerfile_text import Instruction
from dockyard.engine.about import About
from dockyard.engine.dialect import Dialect
from dockyard.engine.models import IdMap, Image, Network
from dockyard.errors import Problem
from dockyard.plan.build import ImageName
from dockyard.plan.facts import Facts
from dockyard.plan.flags import flag_values, is_set
from dockyard.plan.launch import LaunchPlan
from dockyard.plan.order import plain_reference
from dockyard.service import Service
from dockyard.settings.key import Key
from dockyard.settings.keys import EXTRA_DOCKER, USER
from dockyard.settings.resolve import Settings

if TYPE_CHECKING:
    from dockyard.layers.store import Store
    from dockyard.orphans import Orphan
    from dockyard.plan.isolation import Locations, Production

ROOT = "root"


class Answers(NamedTuple):
    """The engine's answers, asked once for all services; `silence` says why it does not answer, if so."""

    dialect: Dialect
    images: Mapping[str, Image] = {}
    networks: Mapping[str, Network] = {}
    ids: IdMap = IdMap()
    silence: str = ""
    store: "Store | None" = None
    about: About | None = None
    image_directory: str = ""
    """Where on the host the engine stores images."""
    room: "Room | None" = None
    """The free space there."""
    has_open_loopback: bool = False
    """Whether other machines can reach ports of this host's loopback."""
    orphans: tuple["Orphan", ...] = ()
    """Containers whose service is gone."""
    open_files: int | None = None
    """How many files each process of a container may have open by default; None: not known."""


class Room(NamedTuple):
    """Bytes of a file system: free and total."""

    free: int
    total: int


class Stop(NamedTuple):
    """One stop of production, from the history."""

    seconds: float
    is_killed: bool = False
    """Whether it was ended by SIGKILL, as far as known."""


class Dockerfile(NamedTuple):
    """A service's Dockerfile; `file` is its path as the user would write it."""

    file: str
    instructions: tuple[Instruction, ...]
    stages: tuple[Stage, ...]

    def at(self, instruction: Instruction | Stage) -> str:
        """Return the location of an instruction."""
        return f"{self.file}:{instruction.line}"

    @property
    def base(self) -> str:
        """The image that the last stage is ultimately built from; empty if there is no stage."""
        return self._lineage[-1].base if self.stages else ""

    def last(self, name: str) -> Instruction | None:
        """Return the last instruction of a name in the last stage, or in those that it is built from."""
        found = (one for stage in self._lineage for one in reversed(stage.instructions) if one.name == name)
        return next(found, None)

    @property
    def _lineage(self) -> tuple[Stage, ...]:
        """The last stage, the stage that it begins with, and so on."""
        lineage = list(self.stages[-1:])
        while lineage and lineage[-1].parent is not None:
            lineage.append(self.stages[lineage[-1].parent])
        return tuple(lineage)


class Launch(NamedTuple):
    """A launch, planned as if missing images, networks and sources existed.

    `plan` is None if it cannot be planned at all; `refusals` say why, or why it cannot be with its mounts.
    """

    settings: Settings
    facts: Facts
    plan: LaunchPlan | None
    refusals: tuple[Problem, ...] = ()
    missing: frozenset[str] = frozenset()
    """Sources that do not exist and are not created automatically."""
    unreadable: str = ""
    """Why its mounts could not be inspected."""


class User(NamedTuple):
    """The user of an image, and the line that sets it."""

    name: str
    where: str

    @property
    def is_root(self) -> bool:
        """Whether it is uid 0."""
        return self.name.partition(":")[0] in {"", "0", ROOT}


class Subject(NamedTuple):
    """One service, with everything that checks inspect.

    If settings cannot be read, `problems` say why, and there are no launches. `file` is its main file, for findings
    without a line.
    """

    service: Service
    file: str
    problems: tuple[Problem, ...]
    dockerfile: Dockerfile | None
    own: ImageName | None
    """The name of its image."""
    image: Image | None
    production: Launch | None
    test: Launch | None
    fleet: "Fleet"
    stops: tuple[Stop, ...] = ()
    """Its last stops, the newest first."""

    @property
    def settings(self) -> Settings | None:
        """Production's settings."""
        return self.production.settings if self.production else None

    @property
    def flags(self) -> tuple[str, ...]:
        """The launch flags of production, raw flags included; none if it cannot be planned."""
        return self.production.plan.flags if self.production and self.production.plan else ()

    def values(self, flag: str) -> list[str]:
        """Return the values of a flag in production's launch flags."""
        return list(flag_values(self.flags, flag))

    def said(self, key: Key[Any], *flags: str) -> str:
        """Return the line that sets a key; that of `extra_docker`, if it contains one of these flags."""
        if not self.settings:
            return ""
        raw = self.settings[EXTRA_DOCKER]
        in_raw = any(is_set(raw, flag) or list(flag_values(raw, flag)) for flag in flags)
        source = self.settings.value(EXTRA_DOCKER if in_raw else key).source
        return "" if source == "default" else source

    @property
    def user(self) -> User | None:
        """The user that it runs as in production; None if not known."""
        if self.settings and self.settings[USER]:
            return User(self.settings[USER] or "", self.said(USER))
        return self.fleet.image_user(self)


class Backup(NamedTuple):
    """The path that each backup of this host's data changes, and its age in days; None: it does not exist."""

    path: str
    age_days: float | None
    max_age_days: int


class Fleet(NamedTuple):
    """All services together."""

    answers: Answers
    subjects: dict[str, Subject]
    productions: "tuple[Production, ...]" = ()
    tests: "tuple[Production, ...]" = ()
    locations: "Locations" = MappingProxyType({})
    data_rooms: Mapping[str, "Room"] = MappingProxyType({})
    """The free space where services store data, by one directory of each file system."""
    backup: "Backup | None" = None
    """The host file's settings of backups."""

    def maker(self, reference: str) -> Subject | None:
        """Return the service that builds an image; None if it is built elsewhere."""
        plain = plain_reference(reference)
        makers = (one for one in self.subjects.values() if one.own and plain_reference(one.own.tagged("")) == plain)
        return next(makers, None)

    def image_user(self, subject: Subject, seen: frozenset[str] = frozenset()) -> User | None:
        """Return the user of an image: by its Dockerfile, else by its base image, else by the image."""
        dockerfile = subject.dockerfile
        if not dockerfile or not dockerfile.stages:
            return User(subject.image.user, subject.file) if subject.image else None
        if said := dockerfile.last("USER"):
            return User(said.value.strip(), dockerfile.at(said))
        where = dockerfile.at(dockerfile.stages[-1])
        if dockerfile.base == SCRATCH:
            return User(ROOT, where)
        maker = self.maker(dockerfile.base)
        if maker and maker.service.name not in seen | {subject.service.name}:
            below = self.image_user(maker, seen | {subject.service.name})
            return below and User(below.name, where)
        base = self.answers.images.get(dockerfile.base)
        return User(base.user, where) if base else None
