"""`d bump`: newer versions in the source of several services, one after the other."""

import difflib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dockyard.build import builder_for
from dockyard.errors import DockyardError
from dockyard.lock import held
from dockyard.plan.launch import container_name
from dockyard.updates.applying import carry_out_bump, record_failure, restore_latest_on_failure
from dockyard.updates.bump import plan_changes
from dockyard.updates.git import GitError, find_repository

if TYPE_CHECKING:
    from dockyard.updates.pending import Pending
    from dockyard.upgrade import Tell, Wanted
    from dockyard.yard import Yard

Edits = Mapping[str, "Sequence[Pending]"]


def bump_all(  # noqa: PLR0913 - what, how, and where to
    yard: "Yard", edits: Edits, wanted: "Wanted", branch: str, *, push: bool, tell: "Tell"
) -> list[dict[str, Any]]:
    """Change one service after the other; a failure stops no other. Returns a row for each."""
    rows = [_bump_one(yard, name, updates, wanted, branch, tell) for name, updates in edits.items()]
    return [_push(yard, row, branch) if push and row["result"] == "ok" else row for row in rows]


def _push(yard: "Yard", row: dict[str, Any], branch: str) -> dict[str, Any]:
    """Push the branch that has the commit of a row, and return the row; as failed if that is not possible."""
    try:
        repository = find_repository(yard.named(row["service"]).directory)
        if repository:
            repository.call("push", "--quiet", "origin", branch or repository.branch)
    except GitError as error:
        return {
            **row,
            "result": "failed",
            "what": f"{row['what']}: committed, but not pushed: {error}",
            "hint": error.hint,
        }
    return row


def _bump_one(  # noqa: PLR0913, PLR0917 - as above
    yard: "Yard", name: str, updates: "Sequence[Pending]", wanted: "Wanted", branch: str, tell: "Tell"
) -> dict[str, Any]:
    service = yard.named(name)

    def report(doing: str) -> None:
        tell(f"{name}: {doing}")

    try:
        with held(yard.engine, container_name(yard.load(service)), yard.wait) as waiting:
            waiting("trying a newer version")
            with restore_latest_on_failure(builder_for(yard, service)):
                done = carry_out_bump(yard, service, updates, wanted, report, branch)
    except DockyardError as error:
        record_failure(yard, service, updates, error)
        first, *more = error.lines()
        return {"service": name, "result": "failed", "what": first, "hint": "\n".join(more)}
    return {"service": name, "result": "ok", "what": done.subject, "commit": done.commit, "image": done.tried.image}


def show_bumps(yard: "Yard", edits: Edits) -> tuple[list[str], list[dict[str, Any]]]:
    """Return what would be changed, as a patch and as data."""
    lines: list[str] = []
    rows = []
    for name, updates in edits.items():
        service = yard.named(name)
        for edit in plan_changes(service, updates, builder_for(yard, service).all_parameters):
            path = service.directory / edit.file
            patch = difflib.unified_diff(
                edit.old.splitlines(), edit.new.splitlines(), str(path), str(path), lineterm=""
            )
            lines += patch
        rows += [{"service": name, "what": update.summary, "file": update.base.file} for update in updates]
    return lines, rows
