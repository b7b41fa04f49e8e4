"""Results of checks: a finding about a service, or that something could not be checked."""

from enum import Enum
from typing import NamedTuple

from dockyard.settings.acceptance_type import Acceptance


class Ranked(Enum):
    """Words in order, the worst first."""

    @property
    def rank(self) -> int:
        """Its position."""
        return list(type(self)).index(self)


class Severity(Ranked):
    """How bad a finding is. An error keeps the service from working, or exposes the host or a secret."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


class Concern(Ranked):
    """What is at stake, the most valuable first: it orders findings of the same severity."""

    DATA = "data"
    SECURITY = "security"
    SERVICE = "service"
    BUILD = "build"


class Found(NamedTuple):
    """What one check has found. `write` is the fix as a line of settings.yaml or the Dockerfile; `hint` is advice.

    `where` is `file:line[:column]`, empty for the service as a whole. `severity` and `why` are set if they differ from
    the check's.
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
    """One finding about a service. `id` is stable; `cis` is a number of the CIS Docker Benchmark v1.6.0."""

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
    """What the check finds, for a group of findings."""

    @property
    def weight(self) -> tuple[int, int]:
        """Its position in a list, the worst first: severity, then what is at stake."""
        return self.severity.rank, self.concern.rank

    @property
    def counts(self) -> bool:
        """Whether it is not accepted."""
        return self.accepted is None
