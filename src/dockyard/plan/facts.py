"""What passes from those who know to those who decide: questions and their answers."""

from collections.abc import Mapping
from typing import NamedTuple

from dockyard.engine.dialect import Dialect
from dockyard.engine.models import Container, IdMap, Image, Network
from dockyard.plan.values import CopyFact


class PathFact(NamedTuple):
    """What exists at a path of the host; `kind` is `directory`, `file`, or `other` (a socket, a device, a pipe).

    `real` is the path without links. `acl` holds the entries of its access control list, none if it has none.
    `closed` is the first directory above it that others may not pass through.
    """

    kind: str
    uid: int
    gid: int
    mode: int
    real: str = ""
    acl: "tuple[AclEntry, ...]" = ()
    closed: str = ""


class AclEntry(NamedTuple):
    """One entry of an access control list: `tag` is `user`, `group`, `mask` or the like, `id` that of a named one."""

    tag: str
    permissions: int
    id: int | None = None


class Owner(NamedTuple):
    """A user of a service, by the ids inside: who owns what is made for it. `groups` are the further ones."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()


class Accounts(NamedTuple):
    """Users and groups by name; a user also by uid, as text."""

    users: Mapping[str, Owner] = {}
    groups: Mapping[str, int] = {}


class Location(NamedTuple):
    """Where a path really is, however one gets there: a file system, and the path within it."""

    device: str
    path: str


class HostFacts(NamedTuple):
    """The host itself; `zone` is empty if it is not known."""

    name: str
    zone: str = ""


class Questions(NamedTuple):
    """What a plan needs to know of the world. `copied` are directories that a test instance gets a copy of."""

    images: tuple[str, ...] = ()
    container: str = ""
    labels: tuple[str, ...] = ()
    """The labels of instances that would have the same test area."""
    network: str = ""
    lookups: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    made: tuple[str, ...] = ()
    """Paths that `vols` make where they are missing."""
    copied: tuple[str, ...] = ()
    base: str = ""
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    """Users and groups of the host, by name."""
    ids: bool = False
    """Whether ids in containers must be translated to those of the host."""


class Facts(NamedTuple):
    """The answers. What does not exist is missing from the mappings."""

    dialect: Dialect
    host: HostFacts
    images: Mapping[str, Image] = {}
    container: Container | None = None
    siblings: tuple[Container, ...] = ()
    """Other instances of the service in the same mode that are up."""
    network: Network | None = None
    addresses: Mapping[str, str] = {}
    paths: Mapping[str, PathFact] = {}
    matches: Mapping[str, tuple[str, ...]] = {}
    copies: Mapping[str, CopyFact] = {}
    ids: IdMap = IdMap()
    accounts: Accounts = Accounts()
    """The service's own: those of its files/etc, then those of its image."""
    host_accounts: Accounts = Accounts()
