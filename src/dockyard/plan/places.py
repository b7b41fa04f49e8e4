"""Where a service's data is: production's below VOL_BASE/SERVICE, what dev and test write to below VOL_BASE/TMP/AREA.

The test area is one-to-one with the sources.
"""

from typing import NamedTuple

from dockyard.plan.values import EmptyTestArea
from dockyard.settings.keys import VOL_BASE
from dockyard.settings.resolve import Settings
from dockyard.settings.values import Mode

# Below the area, sources outside VOL_BASE/SERVICE keep their whole path in here, so that no two share a test copy.
_ELSEWHERE = ".root"
# The work directories of overlays.
_LAYERS = ".layers"


class Places(NamedTuple):
    """Where the data of one service is, in one mode; `test_data`: what it writes to is in the test area."""

    base: str
    service: str
    mode: Mode
    test_data: bool

    @property
    def own(self) -> str:
        """The service's directory in production."""
        return f"{self.base}/{self.service}"

    @property
    def area(self) -> EmptyTestArea:
        """The test area: the service's, and in any other mode than test one of a name that no service can have."""
        name = self.service if self.mode is Mode.TEST else f"{self.service}@{self.mode.value}"
        return EmptyTestArea(self.base, name)

    def source(self, path: str) -> str:
        """Return the absolute path that a source names in production."""
        return normal(path if path.startswith("/") else f"{self.own}/{path}")

    def twin(self, source: str) -> str:
        """Return the path below the test area that stands for an absolute source."""
        if is_within(source, self.own):
            return normal(f"{self.area.path}/{source.removeprefix(self.own)}")
        return f"{self.area.path}/{_ELSEWHERE}{source}"

    def is_reserved(self, source: str) -> bool:
        """Return whether a source's test copy would be in a reserved part of the test area."""
        first = source.removeprefix(f"{self.own}/").split("/")[0]
        return is_within(source, self.own) and first in {_ELSEWHERE, _LAYERS}

    def layers(self, number: int) -> str:
        """Return the path below the test area of an overlay's work directories."""
        return f"{self.area.path}/{_LAYERS}/{number}"


def normal(path: str) -> str:
    """Return an absolute path without empty parts and dots."""
    return "/" + "/".join(part for part in path.split("/") if part not in {"", "."})


def is_within(path: str, directory: str) -> bool:
    """Return whether a normal path is a directory or lies in it."""
    return directory == "/" or f"{path}/".startswith(f"{directory}/")


def above_in(path: str, top: str) -> list[str]:
    """Return the directories above a normal path, from a top directory on, the root apart."""
    parts = path.split("/")
    above = ["/".join(parts[:number]) for number in range(2, len(parts))]
    return [directory for directory in above if is_within(directory, top)]


def places_of(settings: Settings, service: str, *, test_data: bool) -> Places:
    """Return where the service's data is; `test_data` asks for the test area in production's mode too."""
    return Places(normal(settings[VOL_BASE]), service, settings.mode, test_data or settings.mode.isolated)
