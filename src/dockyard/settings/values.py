"""The kinds of values in settings. Plain data: no parsing, no lookups."""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple


class Mode(Enum):
    """The mode in which an instance is launched."""

    PROD = "prod"
    DEV = "dev"
    TEST = "test"
    IN_PLACE = "in-place"

    @property
    def isolated(self) -> bool:
        """Whether the instance has names, networks, ports and data of its own, apart from production."""
        return self in {Mode.DEV, Mode.TEST}

    @property
    def override_prefixes(self) -> tuple[str, ...]:
        """The prefixes of keys that override a key in this mode, the strongest first."""
        return {Mode.DEV: ("dev_", "test_"), Mode.TEST: ("test_",)}.get(self, ())


class Port(NamedTuple):
    """A published port. `ip` is empty if none is given; `host` is 0 if the engine chooses one."""

    ip: str
    host: int
    container: int
    protocol: str


class Mount(NamedTuple):
    """A pair of a mount key: `target` is empty if it is the same path as the source; `where` names its line.

    `shared` is the reason why other containers may write there too; empty if they may not.
    """

    source: str
    target: str
    where: str
    shared: str = ""


class Volume(NamedTuple):
    """A directory or file to create. Options that are not set are None, or empty for `kind`; `perm` is a number."""

    path: str
    where: str
    owner: str | None = None
    group: str | None = None
    perm: int | None = None
    kind: str = ""
    contents: str | None = None


class VolumeDefaults(NamedTuple):
    """Default owner and permissions of everything that is created."""

    owner: str | None = None
    group: str | None = None
    perm: int | None = None


class Variable(NamedTuple):
    """An environment variable. With `secret`, the name of a secret, instead of a value."""

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
    """The value of `log`: `none`, `syslog`, `json`, `journald`, `passthrough`, or the name of another driver."""

    name: str
    address: str = ""


class HealthCheck(NamedTuple):
    """The engine's health check; durations as the user wrote them (`10s`). `command` None: the image's."""

    command: str | None = None
    disabled: bool = False
    options: Mapping[str, str] = {}
