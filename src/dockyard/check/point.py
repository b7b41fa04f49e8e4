"""What checks say: a point against a service, or that something could not be checked."""

from enum import Enum
from typing import NamedTuple

from dockyard.settings.acceptance_type import Acceptance


class Ranked(Enum):
    """Words in an order, the worst first."""

    @property
    def rank(self) -> int:
        """Its place."""
        return list(type(self)).index(self)


class Severity(Ranked):
    """How bad a point is. An error keeps the service from working, or hands over the host or a secret."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Concern(Ranked):
    """What is at stake, the most precious first: of two findings as bad, it decides which is listed first."""

    DATA = "data"
    SECURITY = "security"
    SERVICE = "service"
    BUILD = "build"


class Found(NamedTuple):
    """What one check has found. `write` is what fixes it, as settings.yaml or the Dockerfile has it; `hint` is advice.

    `where` is `file:line[:column]`, empty for the service as a whole. `severity` and `why` where they are not the
    check's.
    """

    message: str
    where: str = ""
    write: str = ""
    hint: str = ""
    severity: Severity | None = None
    why: str = ""


class Unknown(NamedTuple):
    """Something that could not be checked, and why."""

    message: str


class Point(NamedTuple):
    """One thing that speaks against a service. `id` is stable; `cis` is a number of the CIS Docker Benchmark v1.6.0."""

    service: str
    id: str
    severity: Severity
    message: str
    where: str
    why: str
    cis: str | None = None
    write: str = ""
    hint: str = ""
    accepted: Acceptance | None = None
    concern: Concern = Concern.SERVICE
    title: str = ""
    """What the check finds, for several points together."""

    @property
    def weight(self) -> tuple[int, int]:
        """Its place in a list, the worst first: severity, then what is at stake."""
        return self.severity.rank, self.concern.rank

    @property
    def counts(self) -> bool:
        """Whether nobody has accepted it."""
        return self.accepted is None
