"""How a test instance comes by its copy of a production directory: as cheaply as the file system lets it."""

from typing import NamedTuple

from dockyard.errors import Problem, SettingsError
from dockyard.plan.facts import PathFact
from dockyard.plan.values import Copy, CopyExtent, CopyFact, CopyMethod
from dockyard.settings.keys import TEST_COPY
from dockyard.settings.resolve import Settings


class ChosenCopy(NamedTuple):
    """A copy and why it comes about as it does."""

    step: Copy
    reason: str


def choose_copy(step: Copy, there: PathFact, fact: CopyFact | None, settings: Settings, where: str) -> ChosenCopy:
    """Return the copy with its method, as `test_copy` has it. Raises SettingsError for one that cannot be."""
    if there.kind == "other":
        raise _problem(where, f"`{step.source}` is neither a directory nor a file: it cannot be copied")
    if step.extent is CopyExtent.DIRECTORIES:
        if there.kind != "directory":
            raise _problem(where, f"`{step.source}` is a file, but a directory is expected")
        return ChosenCopy(step._replace(method=CopyMethod.COPY), "only for directories")
    if there.kind == "file":
        step = step._replace(extent=CopyExtent.TREE)  # it has no part that would be left out
    method, reason = _method(step, there, fact or CopyFact(), settings)
    return ChosenCopy(step._replace(method=method, or_copy=settings[TEST_COPY] == "auto"), reason)


def _method(step: Copy, there: PathFact, fact: CopyFact, settings: Settings) -> tuple[CopyMethod, str]:
    asked = settings[TEST_COPY]
    refused = fact.overlay_refused or ("it is a file" if there.kind == "file" else "")
    if asked == "auto":
        if fact.reflink:
            return CopyMethod.REFLINK, "the file system shares blocks"
        return (
            (CopyMethod.COPY, f"no overlay: {refused}")
            if refused
            else (CopyMethod.OVERLAY, "reflinks are not available here")
        )
    if asked == "reflink" and not fact.reflink:
        raise _refused(settings, step, "its file system has no reflinks to the test area")
    if asked == "overlay" and there.kind == "directory" and refused:
        raise _refused(settings, step, refused)
    if asked == "overlay" and there.kind == "file":
        return CopyMethod.COPY, "it is a file"
    return CopyMethod(asked), "set by test_copy"


def _refused(settings: Settings, step: Copy, reason: str) -> SettingsError:
    source = settings.value(TEST_COPY).source
    message = f"`test_copy: {settings[TEST_COPY]}` is not possible for `{step.source}`: {reason}"
    return _problem(source, message, "use `test_copy: auto`, which takes the best method available")


def _problem(where: str, message: str, hint: str = "") -> SettingsError:
    return SettingsError([Problem(where, message, hint)])
