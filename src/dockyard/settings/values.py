"""The kinds of values that settings hold. Plain data: no parsing, no looking up."""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple


class Mode(Enum):
    """What an instance is launched as."""

    PROD = "prod"
    DEV = "dev"
    TEST = "test"
    IN_PLACE = "in-place"

    @property
    def isolated(self) -> bool:
        """Whether the instance gets other names, networks, ports and data than production."""
        return self in {Mode.DEV, Mode.TEST}

    @property
    def override_prefixes(self) -> tuple[str, ...]:
        """The prefixes of keys that override a key in this mode, the strongest first."""
        return {Mode.DEV: ("dev_", "test_"), Mode.TEST: ("test_",)}.get(self, ())


class Port(NamedTuple):
    """A published port. `ip` is empty where the user named none; `host` is 0 where the engine is to pick one."""

    ip: str
    host: int
    container: int
    protocol: str


class Mount(NamedTuple):
    """A pair of a mount key: `target` is empty where it is the source's own path; `where` names its line.

    `shared` is the reason why other containers may write there too; empty if they must not.
    """

    source: str
    target: str
    where: str
    shared: str = ""


class Volume(NamedTuple):
    """A directory or file to be made: `kind` is empty where nothing was said, `perm` a number; None: not said."""

    path: str
    where: str
    owner: str | None = None
    group: str | None = None
    perm: int | None = None
    kind: str = ""
    contents: str | None = None


class VolumeDefaults(NamedTuple):
    """Who owns what is made, unless it says otherwise itself."""

    owner: str | None = None
    group: str | None = None
    perm: int | None = None


class Variable(NamedTuple):
    """An environment variable. With `secret`, the name of a secret, in place of a value."""

    name: str
    value: str
    secret: str = ""


class BuildSecret(NamedTuple):
    """A secret that a build can mount: its id in the Dockerfile, and its name for `secret_command`."""

    id: str
    name: str


class Wave(NamedTuple):
    """An autostart group; an empty host means every host."""

    number: int
    host: str = ""


class LogDriver(NamedTuple):
    """What `log` asks for: `none`, `syslog`, `json`, `journald`, `passthrough`, or a driver by its own name."""

    name: str
    address: str = ""


class HealthCheck(NamedTuple):
    """The engine's health check; durations as the user wrote them (`10s`). `command` None: the image's own."""

    command: str | None = None
    disabled: bool = False
    options: Mapping[str, str] = {}
