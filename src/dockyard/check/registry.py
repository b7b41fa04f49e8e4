"""The table of all checks. A check is one generator function; its docstring says why it matters.

To add one, write the function in the module of its topic: reports, the reference and SARIF are generated from here.
"""

from collections.abc import Callable, Iterator
from inspect import cleandoc
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from dockyard.check.point import Concern, Found, Point, Severity, Unknown

if TYPE_CHECKING:
    from dockyard.check.subject import Fleet, Subject

Function = TypeVar("Function", bound="Callable[[Subject], Iterator[Found | Unknown]]")
HostFunction = TypeVar("HostFunction", bound="Callable[[Fleet], Iterator[Found]]")


class Check(NamedTuple):
    """One kind of finding: its stable id, its default severity, and the function that finds it."""

    id: str
    severity: Severity
    title: str
    cis: str | None
    function: "Callable[[Any], Iterator[Found | Unknown]]"
    of_host: bool = False
    """Whether it is about the host, and its function takes the fleet instead of one service."""
    own_concern: Concern | None = None
    """What is at stake, if it differs from most checks of its topic."""
    stops: bool = False
    """Whether an upgrade cannot succeed with such an error, so that it is refused before anything is built."""

    @property
    def topic(self) -> str:
        """What it is about: the name of its module."""
        return self.function.__module__.rpartition(".")[2]

    @property
    def concern(self) -> Concern:
        """What is at stake."""
        return self.own_concern or CONCERNS.get(self.topic, Concern.SERVICE)

    @property
    def why(self) -> str:
        """Why it matters, on one line."""
        return " ".join(cleandoc(self.function.__doc__ or "").split())

    def run(self, subject: "Subject") -> Iterator[Point | Unknown]:
        """Yield the findings about one service."""
        for found in self.function(subject):
            yield found if isinstance(found, Unknown) else self._point(subject, found)

    def run_on_host(self, fleet: "Fleet") -> Iterator[Point]:
        """Yield the findings about the host."""
        for found in self.function(fleet):
            if isinstance(found, Found):
                yield self._point_at("", found.where or HOST, found)

    def _point(self, subject: "Subject", found: Found) -> Point:
        return self._point_at(subject.service.name, found.where or subject.file, found)

    def _point_at(self, service: str, where: str, found: Found) -> Point:
        return Point(
            service=service,
            id=self.id,
            severity=found.severity or self.severity,
            message=found.message,
            where=where,
            why=found.why or self.why,
            cis=self.cis,
            write=found.write,
            hint=found.hint,
            concern=self.concern,
            title=self.title,
        )


HOST = "host"
"""The location of a finding about the host that no file causes."""

CONCERNS = {
    "posture": Concern.SECURITY,
    "image": Concern.SECURITY,
    "mounts": Concern.SECURITY,
    "dockerfile": Concern.BUILD,
}
"""What is at stake for most checks of a topic; for other topics, that the service works."""

CHECKS: dict[str, Check] = {}
"""Every check by its id, in the order of definition."""


def check(  # noqa: PLR0913 - the properties of a check
    id_: str,
    severity: Severity,
    title: str,
    cis: str | None = None,
    *,
    concern: Concern | None = None,
    stops: bool = False,
) -> Callable[[Function], Function]:
    """Register a function as a check. Raises ValueError for an id that is taken."""

    def register(function: Function) -> Function:
        _add(Check(id_, severity, title, cis, function, own_concern=concern, stops=stops))
        return function

    return register


def host_check(
    id_: str, severity: Severity, title: str, concern: Concern | None = None
) -> Callable[[HostFunction], HostFunction]:
    """Register a function as a check of the host. Raises ValueError for an id that is taken."""

    def register(function: HostFunction) -> HostFunction:
        _add(Check(id_, severity, title, None, function, of_host=True, own_concern=concern))
        return function

    return register


def _add(check: Check) -> None:
    if check.id in CHECKS:
        raise ValueError(f"the check id {check.id} is already in use")
    CHECKS[check.id] = check
