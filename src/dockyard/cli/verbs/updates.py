"""Verbs for updates of base images."""

import time
from typing import TYPE_CHECKING, Any

from dockyard.cli.command import argument, flag, option
from dockyard.cli.output import Result, say, table, warn
from dockyard.cli.verb import verb
from dockyard.errors import WORK_FAILED, DockyardError, EngineUnreachableError
from dockyard.yard import Yard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dockyard.service import Service
    from dockyard.updates.collecting import Rebuild, Upstream
    from dockyard.updates.pending import Pending
    from dockyard.updates.pinning import Pinning

OFFLINE = flag("--offline", help="ask no registry: build on the images of this host")
REFRESH = flag("--refresh", help="use newer base images now, ignoring `cooldown` and `window` of `updates`")
SERVICES = argument("names", nargs="*", metavar="X")


def ask_upstream(yard: Yard, names: "Iterable[str]", *, offline: bool, refresh: bool) -> "Upstream":
    """Return what is newer upstream; a registry that could not be asked is reported, and stops nothing."""
    from dockyard.settings.keys import OFFLINE as NEVER_ASKS
    from dockyard.updates.collecting import Upstream, collect_updates

    if offline or yard.settings[NEVER_ASKS]:
        return Upstream()
    try:
        found = collect_updates(yard, names, ignores_waits=refresh)
    except EngineUnreachableError:
        raise
    except DockyardError as error:
        warn(f"newer base images are not considered: {error}")
        return Upstream()
    for problem in found.problems:
        warn(problem)
    return found


@verb(
    "outdated",
    report=True,
    settles=False,
    options=(SERVICES, flag("--offline", help="ask no registry: show what is known, and since when")),
)
def outdated(yard: Yard, *, names: list[str], offline: bool) -> Result:
    """List newer versions of the images that services are built on, and why each is not applied yet.

    Exit code 1 if there are any. An update without a reason is applied by the next `d upgrade-all`.
    """
    from dockyard.settings.keys import OFFLINE as NEVER_ASKS
    from dockyard.updates.collecting import collect_updates

    is_offline = offline or bool(yard.settings[NEVER_ASKS])
    found = collect_updates(yard, [one.name for one in _services(yard, names)], is_offline=is_offline)
    for problem in found.problems:
        warn(problem)
    if is_offline and found.asked:
        say(f"as reported by the registries on {_clock(found.asked)}")
    rows = [*map(row_of, found.pending), *map(rebuild_row, found.rebuilds)]
    data = {"pending": rows, "problems": list(found.problems), "asked": found.asked or None}
    if not rows:
        return Result([_nothing(found)], data)
    columns = ("service", "update", "kind", "seen", "why")
    return table([{**row, "seen": _clock(row["first_seen"])} for row in rows], columns)._replace(
        data=data, exit_code=WORK_FAILED
    )


def row_of(update: "Pending") -> dict[str, Any]:
    """Return an update for a list and for machines."""
    base = update.base
    return {
        "service": base.service,
        "update": update.summary,
        "kind": update.kind,
        "image": base.name,
        "file": base.file,
        "digest": base.digest,
        "new_tag": update.tag,
        "new_digest": update.sighting.digest,
        "first_seen": update.sighting.first_seen,
        "why": "; ".join(one.text for one in update.blockers) or "the next `d upgrade-all` applies it",
        "blockers": [one._asdict() for one in update.blockers],
        "notes": update.notes,
    }


def rebuild_row(rebuild: "Rebuild") -> dict[str, Any]:
    """Return a rebuild that is due for a list and for machines."""
    why = "; ".join(one.text for one in rebuild.blockers)
    return {
        "service": rebuild.service,
        "update": "packages, if there are newer ones",
        "kind": "packages",
        "first_seen": rebuild.since,
        "why": why or "the next `d upgrade-all` fetches them",
        "blockers": [one._asdict() for one in rebuild.blockers],
    }


def _nothing(found: "Upstream") -> str:
    """Return the line that says that nothing is pending, or that nothing is known."""
    services = len({base.service for base in found.bases})
    images = len({base.key for base in found.bases})
    if not found.bases:
        return "no service is built on an image of a registry"
    if not found.asked:
        return "nothing is known yet: no registry has been asked"
    text = f"up to date: {images} image{'s' if images > 1 else ''} of {services} service{'s' if services > 1 else ''}"
    return f"{text}; {len(found.problems)} could not be checked" if found.problems else text


def _clock(when: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(when))


@verb(
    "bump",
    report=True,
    locks=True,
    options=(
        SERVICES,
        option(
            "--branch", metavar="NAME", default="", help="commit on this branch, which is created if it does not exist"
        ),
        flag("-n", "--dry-run", help="show what would change, and change nothing"),
        REFRESH,
        flag("--push", help="push the branch after the commits"),
        option("--timeout", metavar="SECONDS", type=float, default=None, help="time limit for the build and the Test"),
    ),
)
def bump(  # noqa: PLR0913 - the options above
    yard: Yard,
    *,
    names: list[str],
    branch: str,
    dry_run: bool,
    refresh: bool,
    push: bool,
    timeout: float | None,
) -> Result:
    """Change pins and tags to newer versions: one commit for each service that passes its Test with them.

    Each is built and tested in a git worktree first. Nothing is changed for a service whose Test fails, and production
    is not touched: `d upgrade` does that. Without a git repository the files are changed in place.
    """
    from dockyard.updates.bumping import bump_all, show_bumps
    from dockyard.upgrade import Wanted

    upstream = ask_upstream(yard, [one.name for one in _services(yard, names)], offline=False, refresh=refresh)
    edits = {name: found for name, every in upstream.applicable.items() if (found := _edits(every))}
    if not edits:
        return Result(["no pin and no followed version is outdated"], [])
    if dry_run:
        return Result(*show_bumps(yard, edits))
    rows = bump_all(yard, edits, Wanted(timeout=timeout), branch, push=push, tell=say)
    failed = any(row["result"] != "ok" for row in rows)
    shown = table(rows, ("service", "result", "what"))
    return shown._replace(exit_code=WORK_FAILED if failed else 0)


def _edits(updates: "Iterable[Pending]") -> "tuple[Pending, ...]":
    return tuple(update for update in updates if update.is_edit)


@verb(
    "pin",
    report=True,
    settles=False,
    options=(
        SERVICES,
        flag("--refresh", help="ask the registries, even for images that the engine has"),
        flag("-n", "--dry-run", help="show the changes as a diff, and change nothing"),
    ),
)
def pin(yard: Yard, *, names: list[str], refresh: bool, dry_run: bool) -> Result:
    """Write the digests of base images into Dockerfiles and settings.yaml, after their tags.

    Without X: for all services. The digest is that of the image that the engine has under the tag, or else the
    registry's. Images that are built here or already pinned are not changed.
    """
    from dockyard.updates.pinning import plan_pins

    plans = plan_pins(yard, _services(yard, names), refresh=refresh)
    if not dry_run:
        plans = tuple(plan.carry_out() for plan in plans)
    rows = [row for plan in plans for row in _rows(plan)]
    lines = [line for plan in plans for line in _diff(plan)] if dry_run else []
    lines += [_line(row) for row in rows if row["error"] or not dry_run]
    fails = any(row["error"] for row in rows)
    data = {"pins": rows, "done": not dry_run}
    return Result(lines or ["every base image is pinned"], data, WORK_FAILED if fails else 0)


def _services(yard: Yard, names: "Iterable[str]") -> "list[Service]":
    """Return the services with these names or prefixes, each once; all of them without names."""
    from dockyard.service import select

    every = {service.name: service for service in yard.services}
    wanted = dict.fromkeys(select(name, every) for name in names) if names else every
    return [every[name] for name in wanted]


def _rows(plan: "Pinning") -> "Iterator[dict[str, Any]]":
    """Yield the result for each image that a file names, in the order of its lines."""
    source, edit = plan.source, plan.edit
    common = {"service": source.service, "file": str(source.path)}
    nothing = {"line": 0, "reference": "", "digest": "", "from": ""}
    if plan.error:
        yield {**common, **nothing, "error": plan.error}
        return
    found = [
        *((one.line, one.before, plan.digests[one.before], "") for one in edit.changes),
        *((one.line, one.reference, plan.digests[one.reference], one.reason) for one in edit.refusals),
    ]
    for line, reference, digest, reason in sorted(found, key=lambda one: one[0]):
        values = {"digest": digest.digest, "from": digest.origin, "error": reason}
        yield {**common, "line": line, "reference": reference, **values}
    for reference, digest in plan.digests.items():
        if digest.error:
            yield {**common, **nothing, "reference": reference, "error": digest.error}


def _line(row: dict[str, Any]) -> str:
    from pathlib import Path

    from dockyard.settings.load import shown

    if not row["reference"]:
        return f"{row['service']}: {row['error']}"
    where = shown(Path(row["file"])) + (f":{row['line']}" if row["line"] else "")
    if row["error"]:
        return f"{where}: {row['reference']} is not pinned: {row['error']}"
    return f"{where}: {row['reference']} is pinned to {row['digest']}, which the {row['from']} reports"


def _diff(plan: "Pinning") -> "Iterator[str]":
    """Yield the changes of a file as a unified diff."""
    from difflib import unified_diff

    name = str(plan.source.path)
    before, after = (text.removesuffix("\n").split("\n") for text in (plan.source.text, plan.edit.text))
    yield from unified_diff(before, after, name, name, lineterm="")
