"""The table of all checks. A check is one generator function; its docstring says why it matters.

To add one, write the function in the module of its subject: reports, the reference and SARIF come from here.
"""

from collections.abc import Callable, Iterator
from inspect import cleandoc
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from dockyard.check.point import Found, Point, Severity, Unknown

if TYPE_CHECKING:
    from dockyard.check.subject import Subject

Function = TypeVar("Function", bound="Callable[[Subject], Iterator[Found | Unknown]]")


class Check(NamedTuple):
    """One kind of point: its stable id, how bad it is unless it says otherwise, and what finds it."""

    id: str
    severity: Severity
    title: str
    cis: str | None
    function: "Callable[[Subject], Iterator[Found | Unknown]]"

    @property
    def topic(self) -> str:
        """What it is about: the module that it is written in."""
        return self.function.__module__.rpartition(".")[2]

    @property
    def why(self) -> str:
        """Why it matters, on one line."""
        return " ".join(cleandoc(self.function.__doc__ or "").split())

    def run(self, subject: "Subject") -> Iterator[Point | Unknown]:
        """Yield what there is to say of one service."""
        for found in self.function(subject):
            yield found if isinstance(found, Unknown) else self._point(subject, found)

    def _point(self, subject: "Subject", found: Found) -> Point:
        return Point(
            service=subject.service.name,
            id=self.id,
            severity=found.severity or self.severity,
            message=found.message,
            where=found.where or subject.file,
            why=found.why or self.why,
            cis=self.cis,
            write=found.write,
            hint=found.hint,
        )


CHECKS: dict[str, Check] = {}
"""Every check by its id, in the order in which they are written."""


def check(id_: str, severity: Severity, title: str, cis: str | None = None) -> Callable[[Function], Function]:
    """Register a function as a check. Raises ValueError for an id that is taken."""

    def register(function: Function) -> Function:
        if id_ in CHECKS:
            raise ValueError(f"{id_} is taken")
        CHECKS[id_] = Check(id_, severity, title, cis, function)
        return function

    return register
