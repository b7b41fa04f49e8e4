"""Updates of the images that services are built on."""

from typing import TYPE_CHECKING, Any

from dockyard.cli.command import argument, flag
from dockyard.cli.output import Result
from dockyard.cli.verb import verb
from dockyard.errors import WORK_FAILED
from dockyard.yard import Yard

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from dockyard.service import Service
    from dockyard.updates.pinning import Pinning


@verb(
    "pin",
    report=True,
    settles=False,
    options=(
        argument("names", nargs="*", metavar="X"),
        flag("--refresh", help="ask the registries, even for images that the engine has"),
        flag("-n", "--dry-run", help="show the changes as a diff, and change nothing"),
    ),
)
def pin(yard: Yard, *, names: list[str], refresh: bool, dry_run: bool) -> Result:
    """Write the digests of base images into Dockerfiles and settings.yaml, beside their tags.

    Without X: of all services. The digest is that of the image that the engine has under the tag, or else the
    registry's. Images that are built here, and those that are pinned already, stay as they are.
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
    """Return the services whose names begin so, each once; all of them without names."""
    from dockyard.service import select

    every = {service.name: service for service in yard.services}
    wanted = dict.fromkeys(select(name, every) for name in names) if names else every
    return [every[name] for name in wanted]


def _rows(plan: "Pinning") -> "Iterator[dict[str, Any]]":
    """Yield what becomes of each image that a file names, in the order of its lines."""
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
