"""An image of others that a service is made from, and on which version of it the service is built now."""

from typing import NamedTuple

from dockyard.registry.reference import Reference

DOCKERFILE, SETTINGS = "Dockerfile", "settings.yaml"


class Base(NamedTuple):
    """An image that a service is made from; `name` is as `file` has it, with its ARGs replaced.

    `known_as` are the digests by which engine and registry know the version that the service is built on now; none if
    nothing is built yet. `digest` is the one that the registry has for it, if that is known.
    """

    service: str
    name: str
    reference: Reference
    file: str
    known_as: frozenset[str] = frozenset()
    digest: str = ""

    @property
    def key(self) -> str:
        """How the tag is called in the memory of registries."""
        return f"{self.reference.host}/{self.reference.repository}:{self.reference.tag}"

    @property
    def repository(self) -> str:
        """How its repository is called there."""
        return f"{self.reference.host}/{self.reference.repository}"

    @property
    def is_pinned(self) -> bool:
        """Whether its version is written down, so that a newer one needs another text."""
        return bool(self.reference.digest)
