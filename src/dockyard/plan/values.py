"""What passes between those who decide, those who know, and those who act."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from dockyard.engine.dialect import Dialect
from dockyard.engine.models import Container, Image, Network


@dataclass(frozen=True)
class Secret:
    """An environment variable whose value nobody may read off a screen, a log or a process list.

    `reference` says where the value comes from: `puid:CONTAINER`, `secret:NAME`, or `setting:puid`.
    """

    variable: str
    reference: str
    directory: str = ""
    mode_flags: tuple[str, ...] = ()

    def shell(self) -> str:
        """Return an assignment that gets the value when it is pasted, and does not show it."""
        where = ("--cd", self.directory) if self.directory else ()
        command = shlex.join(("d-run", *where, *self.mode_flags, "--reveal", self.reference))
        return f'{self.variable}="$({command})"'


@dataclass(frozen=True)
class Command:
    """One engine invocation, without the engine's name. Text is only for showing."""

    argv: tuple[str, ...]
    secrets: tuple[Secret, ...] = ()

    def shell(self, program: str) -> str:
        """Return the command as one pastes it."""
        return " ".join((*(secret.shell() for secret in self.secrets), shlex.join((program, *self.argv))))


@dataclass(frozen=True)
class MakeDirectory:
    """Make a directory, and those above it; one that exists stays as it is."""

    path: str
    uid: int = 0
    gid: int = 0
    mode: int = 0o755

    def shell(self, _program: str) -> str:
        """Return what does the same in a shell."""
        owner = f"-o {self.uid} -g {self.gid} -m {self.mode:04o}"
        quoted = shlex.quote(self.path)
        return f"[ -d {quoted} ] || install -d {owner} {quoted}"


@dataclass(frozen=True)
class MakeFile:
    """Make an empty file, and the directories above it; one that exists stays as it is."""

    path: str
    uid: int = 0
    gid: int = 0
    mode: int = 0o644

    def shell(self, _program: str) -> str:
        """Return what does the same in a shell."""
        owner = f"-o {self.uid} -g {self.gid} -m {self.mode:04o}"
        quoted = shlex.quote(self.path)
        return f"[ -e {quoted} ] || install -D {owner} /dev/null {quoted}"


@dataclass(frozen=True)
class EmptyTestArea:
    """Empty the test area of a service, `base`/TMP/`area`: all that an earlier instance left there."""

    base: str
    area: str

    @property
    def path(self) -> str:
        """The area's path."""
        return f"{self.base}/TMP/{self.area}"

    def shell(self, _program: str) -> str:
        """Return what does the same in a shell."""
        return f"rm -rf --one-file-system {shlex.quote(self.path)}"


Step = Command | MakeDirectory | MakeFile | EmptyTestArea


@dataclass(frozen=True)
class PathFact:
    """What stands at a path of the host; `kind` is `directory` or `file` (a socket and the like count as files)."""

    kind: str
    uid: int
    gid: int
    mode: int


@dataclass(frozen=True)
class Owner:
    """A user of a service: who owns what is made for it."""

    uid: int = 0
    gid: int = 0


@dataclass(frozen=True)
class HostFacts:
    """The host itself; `zone` is empty where it is not known."""

    name: str
    zone: str = ""


@dataclass(frozen=True)
class Questions:
    """What a plan needs to know of the world."""

    images: tuple[str, ...] = ()
    container: str = ""
    network: str = ""
    lookups: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """The answers. What does not exist is missing from the mappings."""

    dialect: Dialect
    host: HostFacts
    images: Mapping[str, Image] = field(default_factory=dict)
    container: Container | None = None
    network: Network | None = None
    addresses: Mapping[str, str] = field(default_factory=dict)
    paths: Mapping[str, PathFact] = field(default_factory=dict)
    matches: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    users: Mapping[str, Owner] = field(default_factory=dict)
    """The service's own files/etc/passwd: by name, and by uid as text."""
    groups: Mapping[str, int] = field(default_factory=dict)
