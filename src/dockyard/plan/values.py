"""What passes between those who decide, those who know, and those who act."""

import shlex
from collections.abc import Mapping
from typing import NamedTuple

from dockyard.engine.dialect import Dialect
from dockyard.engine.models import Container, Image, Network


class Secret(NamedTuple):
    """An environment variable whose value nobody may read off a screen, a log or a process list.

    `reference` says where the value comes from: `puid:CONTAINER`, `secret:NAME`, or `setting:puid`.
    """

    variable: str
    reference: str
    directory: str = ""
    flags: tuple[str, ...] = ()

    def shell(self) -> str:
        """Return an assignment that gets the value when it is pasted, and does not show it."""
        where = ("--cd", self.directory) if self.directory else ()
        command = shlex.join(("d-run", *where, *self.flags, "--reveal", self.reference))
        return f'{self.variable}="$({command})"'


class Command(NamedTuple):
    """One engine invocation, without the engine's name. Text is only for showing."""

    argv: tuple[str, ...]
    secrets: tuple[Secret, ...] = ()

    def shell(self, program: str) -> str:
        """Return the command as one pastes it."""
        return " ".join((*(secret.shell() for secret in self.secrets), shlex.join((program, *self.argv))))


class MakeDirectory(NamedTuple):
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


class MakeFile(NamedTuple):
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


class EmptyTestArea(NamedTuple):
    """Empty the test area of a service, `base`/TMP/`area`: all that an earlier instance left there."""

    base: str
    area: str

    @property
    def path(self) -> str:
        """The area's path."""
        return f"{self.base}/TMP/{self.area}"

    def shell(self, _program: str) -> str:
        """Return what does the same in a shell."""
        above, area = shlex.quote(f"{self.base}/TMP"), shlex.quote(self.path)
        return f"[ -L {above} ] || [ -L {area} ] || rm -rf --one-file-system {area}"


HostStep = MakeDirectory | MakeFile | EmptyTestArea
Step = Command | HostStep


class PathFact(NamedTuple):
    """What stands at a path of the host; `kind` is `directory` or `file` (a socket and the like count as files)."""

    kind: str
    uid: int
    gid: int
    mode: int


class Owner(NamedTuple):
    """A user of a service: who owns what is made for it."""

    uid: int = 0
    gid: int = 0


class HostFacts(NamedTuple):
    """The host itself; `zone` is empty where it is not known."""

    name: str
    zone: str = ""


class Questions(NamedTuple):
    """What a plan needs to know of the world."""

    images: tuple[str, ...] = ()
    container: str = ""
    network: str = ""
    lookups: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()


class Facts(NamedTuple):
    """The answers. What does not exist is missing from the mappings."""

    dialect: Dialect
    host: HostFacts
    images: Mapping[str, Image] = {}
    container: Container | None = None
    network: Network | None = None
    addresses: Mapping[str, str] = {}
    paths: Mapping[str, PathFact] = {}
    matches: Mapping[str, tuple[str, ...]] = {}
    users: Mapping[str, Owner] = {}
    """The service's own files/etc/passwd: by name, and by uid as text."""
    groups: Mapping[str, int] = {}
