"""Verbs that show the history and failure reports."""

from dockyard.cli.command import argument, flag, option
from dockyard.cli.output import Result, table
from dockyard.cli.verb import On, verb
from dockyard.errors import DockyardError, UsageError
from dockyard.service import select
from dockyard.yard import Yard

TOLD = 20  # lines shown of each file of a failure report


@verb(
    "history",
    report=True,
    settles=False,
    options=(
        argument("x", nargs="?", default=""),
        option("-n", "--limit", metavar="N", type=int, default=50, help="show the newest N events (50)"),
        flag("--images", help="list the images of X that are live or that a rollback can use"),
    ),
)
def history(yard: Yard, x: str, *, limit: int, images: bool) -> Result:
    """Show builds, tests, promotions and starts: when, by which user and with which result; of all services or X."""
    from dockyard.history import events

    service = select(x, {one.name for one in yard.services}) if x else ""
    if images:
        return _versions(yard, service)
    rows = [
        {**event._asdict(), "what": _what(event.detail), "image": event.image[:12]} for event in events(service, limit)
    ]
    return table(rows, ("when", "service", "action", "result", "image", "user", "what"))


def _versions(yard: Yard, name: str) -> Result:
    from dockyard.build import builder_for
    from dockyard.versions import versions

    if not name:
        raise UsageError("--images needs a service", hint="d history X --images")
    rows = [one._asdict() for one in versions(builder_for(yard, yard.named(name)))]
    return table(rows, ("version", "state", "live_from", "live_until", "note"))


def _what(detail: object) -> str:
    """Return the summary of an event's detail."""
    assert isinstance(detail, dict)  # noqa: S101 - JSON of ours
    if "reason" in detail:
        return next(iter(str(detail["reason"]).splitlines()), "")
    from dockyard.image_changes import describe_recorded

    outage = f"outage {detail['outage_ms']} ms" if detail.get("outage_ms") else ""
    killed = "killed when it was stopped" if detail.get("killed") else ""
    changed = describe_recorded(detail)
    return ", ".join(
        filter(None, (outage, killed, f"changed: {changed}" if changed else "", detail.get("vulnerabilities")))
    )


@verb(
    "why",
    on=On.SERVICE,
    report=True,
    settles=False,
    options=(flag("--list", dest="as_list", help="list the stored failure reports, and show none"),),
)
def why(yard: Yard, name: str, *, as_list: bool) -> Result:
    """Show why a service last failed: the reason, the logs, and the output of its health check and tests."""
    from dockyard.dossier import dossiers, read

    kept = dossiers(name)
    if as_list or not kept:
        lines = [str(one) for one in kept] or [f"{name}: no failure is recorded"]
        return Result(lines, [str(one) for one in kept])
    files = read(kept[0])
    shown = [
        file
        for file in ("reason.txt", "state-new.txt", "health-new.json", "log-new.txt", "transcript.txt", "timings.json")
        if file in files
    ]
    changed = _changes_of_failure(yard, name, str(kept[0]))
    lines = [f"{name}: {kept[0].name}, in {kept[0]}", *([changed] if changed else [])]
    for file in shown:
        lines += ["", f"{file}:", *(f"  {line}" for line in files[file].rstrip().splitlines()[-TOLD:])]
    others = sorted(set(files) - set(shown))
    lines += ["", f"older reports: {', '.join(others)}"] if others else []
    return Result(lines, {"service": name, "directory": str(kept[0]), "files": files, "changed": changed})


def _changes_of_failure(yard: Yard, name: str, report: str) -> str:
    """Return how the failed image differs from the live one, or why that is not known."""
    from dockyard.build import builder_for
    from dockyard.image_changes import describe_failed_image
    from dockyard.plan.build import LIVE

    try:
        builder = builder_for(yard, yard.named(name))
        live = builder.tags().get(builder.name.tagged(LIVE))
        return describe_failed_image(yard.engine, name, report, live.id if live else "")
    except DockyardError as error:
        return f"the failed image could not be compared with the live one: {error}"
