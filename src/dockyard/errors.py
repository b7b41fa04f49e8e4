"""Every failure that a user can meet: what it says, how to fix it, and its exit code.

Anything else that reaches the top is a bug and keeps its traceback.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from dockyard.text import printable

WORK_FAILED, WRONG_USAGE, ENGINE_UNREACHABLE, LOCKED, CANNOT_JUDGE, INTERRUPTED = 1, 2, 3, 4, 5, 130

EXIT_CODES = {
    0: "done",
    WORK_FAILED: "the work failed: a test failed, drift was found, a container is missing",
    WRONG_USAGE: "wrong usage or settings",
    ENGINE_UNREACHABLE: "the engine is unreachable or does not answer",
    LOCKED: "locked by another run",
    CANNOT_JUDGE: "the scan is incomplete",
    INTERRUPTED: "interrupted",
}


class DockyardError(Exception):
    """The work could not be done; `hint` says what to do about it."""

    exit_code = WORK_FAILED
    transcript = ""
    """The last of what a build or a test wrote that failed."""
    evidence: Mapping[str, str] = MappingProxyType({})
    """What explains the end of a test's instance, as files of a failure report."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def lines(self) -> list[str]:
        """What the user reads: the message, then `hint: …`, with control characters escaped."""
        return [printable(str(self)), *([f"hint: {printable(self.hint)}"] if self.hint else [])]


class UsageError(DockyardError):
    """The command cannot be what the user meant."""

    exit_code = WRONG_USAGE


class NoSuchNameError(DockyardError):
    """No service, container or image of that name, or more than one."""


class EngineError(DockyardError):
    """The engine refused a command."""

    def __init__(self, argv: tuple[str, ...], exit_code: int, stderr: str) -> None:
        reason = stderr.strip() or f"exit code {exit_code}"
        super().__init__(f"`{' '.join(argv[:2])}` failed: {reason}")
        self.argv = argv
        self.engine_exit_code = exit_code
        self.stderr = stderr


class PortTakenError(EngineError):
    """Something else on this host listens where a container is to: no fault of the image or its settings.

    `publisher` is the container that does, if one is known to; `hint` is for where nobody does, and yet it is taken.
    """

    def __init__(self, refused: EngineError, address: str, publisher: str = "", hint: str = "") -> None:
        super().__init__(refused.argv, refused.engine_exit_code, refused.stderr)
        by = f" by container `{publisher}`" if publisher else ""
        self.args = (f"port {address.removeprefix(':')} of this host is already in use{by}",)
        port = address.rpartition(":")[2]
        who = "" if publisher else f"run `ss -lntup 'sport = {port}'` as root to see by which process; or "
        self.hint = hint or f"{who}publish another port in `ports`"


class EngineUnreachableError(DockyardError):
    """The engine is not installed, not running, not ours to use, or waits for itself."""

    exit_code = ENGINE_UNREACHABLE


class EngineSilentError(EngineUnreachableError):
    """The engine was asked, and has not answered for so long that nothing else is asked of it."""


class InUseError(DockyardError):
    """A running container uses what a launch would use: two writers would damage the data."""


class LockedError(DockyardError):
    """Another run is at work on the same container."""

    exit_code = LOCKED


class HeldError(DockyardError):
    """A service is held, or its new version was rolled back: only an explicit command with --force upgrades it."""


class RegistryError(DockyardError):
    """A registry did not answer a question about an image, or answered with what cannot be true.

    `kind` is `unreachable`, `missing`, `denied`, `limited` or `wrong`. `until` is when a limit ends, in seconds since
    1970, if the registry says so.
    """

    def __init__(self, message: str, hint: str = "", *, host: str, kind: str, until: float | None = None) -> None:
        super().__init__(message, hint)
        self.host = host
        self.kind = kind
        self.until = until


NO_PROGRAM = "check that its first line names an existing program"
"""The hint for a script that cannot be started."""


class TestFailedError(DockyardError):
    """A service's Test did not pass."""

    __test__ = False  # pytest: this is no test


class Problem(NamedTuple):
    """One fault in a settings file, environment variable or flag; `where` is `file:line:column` or its like."""

    where: str
    message: str
    hint: str = ""


class SettingsError(DockyardError):
    """All that is wrong with the settings of a service, reported at once."""

    exit_code = WRONG_USAGE

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("; ".join(f"{problem.where}: {problem.message}" for problem in problems))
        self.problems = problems

    def lines(self) -> list[str]:
        """Return a line for each problem, its hint indented beneath it."""
        found = []
        for problem in self.problems:
            found.append(printable(f"{problem.where}: {problem.message}"))
            if problem.hint:
                found.append(f"  hint: {printable(problem.hint)}")
        return found
