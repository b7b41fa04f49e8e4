"""Applying newer versions to one service: built, tested, and only then chosen; what fails leaves the service as it was.

What is written in the source, a pin or a tag, is changed by a commit (bump.py). Else the service's builds take another
digest for the tag (choices.py).
"""

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from dockyard import history
from dockyard.build import Builder, builder_for
from dockyard.engine.models import Image
from dockyard.errors import (
    DockyardError,
    EngineError,
    EngineUnreachableError,
    InUseError,
    LockedError,
    PortTakenError,
    TestFailedError,
)
from dockyard.image_changes import describe_candidate
from dockyard.plan.build import LATEST
from dockyard.service import Service
from dockyard.telling import warn
from dockyard.updates.bump import Bumped, NotReadyError, Tried, bump, take_back
from dockyard.updates.choices import Choices, choices_of, set_choices
from dockyard.updates.git import GitError

if TYPE_CHECKING:
    from dockyard.updates.pending import Pending
    from dockyard.upgrade import Ready, Report, Tell, Wanted
    from dockyard.yard import Yard

MAX_BUILDS = 3
"""How often a build that fails is tried again: a mirror may have been down."""
BUILD = "build"
REFRESH = "refresh"
"""The action of the history that says that an image was built with packages as they were then, and passed."""
UPDATE = "update"
"""The action of the history that says that a newer version of a base image failed."""


class Applied(NamedTuple):
    """The updates that an image was built with, and the choices of before; `commit` is what brought them to the source.

    `commit` is empty if they are not in a git repository.
    """

    updates: "tuple[Pending, ...]"
    before: Choices
    commit: str = ""

    @property
    def summary(self) -> str:
        """From what to what, in words."""
        return ", ".join(update.summary for update in self.updates)


def to_data(applied: Applied | None) -> dict[str, Any] | None:
    """Return what of an update another process has to know that has the updates themselves."""
    return {"before": dict(applied.before), "commit": applied.commit} if applied else None


def from_data(data: Mapping[str, Any] | None, updates: "Sequence[Pending]") -> Applied | None:
    """Return an update from `to_data` and the updates themselves."""
    return Applied(tuple(updates), data["before"], data["commit"]) if data else None


class TakenBackError(DockyardError):
    """A switch was undone because that of another service failed."""


class NotThereError(DockyardError):
    """An image that a registry named could not be pulled: that says nothing about the image."""


_NOT_OF_THE_IMAGE = (
    EngineUnreachableError,
    GitError,
    InUseError,
    LockedError,
    NotReadyError,
    NotThereError,
    PortTakenError,
    TakenBackError,
)


def prepare_with_updates(yard: "Yard", service: Service, wanted: "Wanted", tell: "Tell") -> "Ready | Report":
    """Build and test with what is newer upstream; without it if that fails, as the source may have changed as well.

    Raises DockyardError if neither leaves anything to switch to.
    """
    from dockyard.upgrade import Report, prepare

    updates = wanted.updates.get(service.name, ())
    if not updates and service.name not in wanted.rebuilds:
        return prepare(yard, service, wanted, tell)
    try:
        ready = _apply(yard, service, updates, wanted, tell) if updates else _rebuild(yard, service, wanted, tell)
    except (GitError, NotThereError, NotReadyError) as error:
        warn(f"{service.name}: not updated: {error}")
        return prepare(yard, service, wanted, tell)
    except DockyardError as error:
        record_failure(yard, service, updates, error)
        ready = prepare(yard, service, wanted, tell)
        if isinstance(ready, Report):
            raise
        what = ", ".join(update.summary for update in updates) or "newer packages"
        warn(f"{service.name}: upgraded without {what}: {error}")
        return ready
    if service.name in wanted.rebuilds:
        history.record(service.name, REFRESH, "ok")
    return ready


def _rebuild(yard: "Yard", service: Service, wanted: "Wanted", tell: "Tell") -> "Ready | Report":
    """Build with the current packages; an equal image is not a reason to switch."""
    from dockyard.upgrade import prepare

    with restore_latest_on_failure(builder_for(yard, service)):
        return prepare(yard, service, wanted._replace(is_fresh=True), tell)


def _apply(
    yard: "Yard", service: Service, updates: "Sequence[Pending]", wanted: "Wanted", tell: "Tell"
) -> "Ready | Report":
    from dockyard.upgrade import Report, prepare

    before = choices_of(service.name)
    chosen = {**before, **{one.base.name: one.reference for one in updates if not one.is_edit}}
    edits = [one for one in updates if one.is_edit]
    _pull(yard, updates, tell)
    is_fresh = service.name in wanted.rebuilds
    wanted = wanted._replace(chosen=chosen, is_fresh=is_fresh)
    with restore_latest_on_failure(builder_for(yard, service)):
        applied = Applied(tuple(updates), before)
        if edits:
            bumped = carry_out_bump(yard, service, edits, wanted, tell)
            applied = applied._replace(commit=bumped.commit)
            wanted = wanted._replace(passed=bumped.tried.image, is_fresh=False)
        try:
            ready = prepare(yard, service, wanted, tell)
            set_choices(service.name, chosen)
        except BaseException:
            undo_update(service, applied)
            raise
        if isinstance(ready, Report):
            return ready._replace(notes=(*ready.notes, f"built on {applied.summary}, which changes nothing"))
        return ready._replace(applied=applied, notes=(applied.summary, *ready.notes))


def carry_out_bump(  # noqa: PLR0913, PLR0917 - a service, what to change, how, and where to
    yard: "Yard", service: Service, edits: "Sequence[Pending]", wanted: "Wanted", tell: "Tell", branch: str = ""
) -> Bumped:
    """Change a service's source to newer versions, if they pass its Test. Raises DockyardError."""
    builder = builder_for(yard, service, chosen=wanted.chosen)
    names = {edit.base.name for edit in edits}
    left = {name: pinned for name, pinned in (wanted.chosen or {}).items() if name not in names}
    tell(f"trying {', '.join(edit.summary for edit in edits)}")
    return bump(
        service,
        edits,
        builder.all_parameters,
        lambda copy: _try(yard, copy, wanted._replace(chosen=left, force=False), tell),
        branch,
    )


def _try(yard: "Yard", service: Service, wanted: "Wanted", tell: "Tell") -> Tried:
    """Build and test what is in a directory. Raises DockyardError."""
    from dockyard.upgrade import built, tested

    builder = builder_for(yard, service, chosen=wanted.chosen)
    tell("building")
    made = built(yard, builder, wanted)
    began = time.monotonic()
    if not made.is_tested:
        tell(f"testing {made.image[:12]}")
    has_passed = made.is_tested or tested(builder, made.image, wanted) is not None
    seconds = time.monotonic() - began if has_passed else None
    return Tried(made.image, describe_candidate(builder, made.image), seconds)


def _pull(yard: "Yard", updates: "Sequence[Pending]", tell: "Tell") -> None:
    """Pull what is newer, before anything is built. Raises NotThereError."""
    for update in updates:
        if yard.engine.images([update.reference]):
            continue
        tell(f"pulling {update.image}:{update.tag}")
        try:
            yard.engine.call("pull", "--quiet", update.reference)
        except EngineError as error:
            message = f"{update.image}:{update.tag} cannot be pulled: {error.stderr.strip()}"
            raise NotThereError(message, hint=f"d outdated {update.base.service}") from None


@contextmanager
def restore_latest_on_failure(builder: Builder) -> Iterator[None]:
    """Have `:latest` name what it did before the block, if that fails: nothing is built again for it then."""
    before = builder.tags().get(builder.name.tagged(LATEST))
    try:
        yield
    except DockyardError:
        _restore_latest(builder, before)
        raise


def _restore_latest(builder: Builder, before: Image | None) -> None:
    reference = builder.name.tagged(LATEST)
    if before and builder.engine.image(before.id):
        builder.engine.call("tag", before.id, reference)


@contextmanager
def guard_update(yard: "Yard", service: Service, applied: Applied | None) -> Iterator[None]:
    """Take the choices of an update back if the block fails to bring it to production, and record that it did."""
    try:
        yield
    except BaseException as error:
        if applied:
            undo_update(service, applied)
            if isinstance(error, DockyardError):
                record_failure(yard, service, applied.updates, error)
        raise


def undo_update(service: Service, applied: Applied) -> None:
    """Have a service build on what it did before an update: its source, and its choices, say what production runs."""
    try:
        set_choices(service.name, applied.before)
        if any(update.is_edit for update in applied.updates):
            take_back(service, applied.commit, f"{service.name}: revert {applied.summary}")
    except DockyardError as error:
        warn(f"{service.name}: {applied.summary} could not be reverted: {error}")


def record_failure(yard: "Yard", service: Service, updates: "Sequence[Pending]", error: DockyardError) -> None:
    """Record that a service failed with newer versions: they are not tried again until its source or they change.

    Failures that say nothing about an image are not recorded.
    """
    if isinstance(error, _NOT_OF_THE_IMAGE):
        return
    is_build = bool(error.transcript) and not isinstance(error, TestFailedError)
    stage = "Test" if isinstance(error, TestFailedError) else BUILD if is_build else "upgrade"
    try:
        trial = builder_for(yard, service).own_source
    except DockyardError:
        return
    for update in updates:
        history.record(
            service.name,
            UPDATE,
            "failed",
            digest=update.sighting.digest,
            name=f"{update.image}:{update.tag}",
            what=update.summary,
            stage=stage,
            reason=str(error),
            trial=trial,
        )


def find_failures(yard: "Yard", service: Service) -> dict[str, str]:
    """Return the digests that failed with the source of a service as it is: when and how, in words."""
    events = [event for event in history.of_action(service.name, UPDATE) if event.result == "failed"]
    if not events:
        return {}
    trial = builder_for(yard, service).own_source if service.is_buildable else ""
    found = [event for event in reversed(events) if event.detail.get("trial") == trial]
    builds = Counter(str(event.detail.get("digest")) for event in found if event.detail.get("stage") == BUILD)
    return {
        digest: f"failed its {event.detail.get('stage')} on {event.when[:10]}"
        for event in found
        if (digest := str(event.detail.get("digest"))) and builds.get(digest, MAX_BUILDS) >= MAX_BUILDS
    }
