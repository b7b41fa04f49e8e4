"""Verbs that check services without launching anything."""

from typing import TYPE_CHECKING, Any

from dockyard.cli.command import flag, option
from dockyard.cli.output import Result
from dockyard.cli.verb import On, verb
from dockyard.errors import WORK_FAILED
from dockyard.yard import Yard

if TYPE_CHECKING:
    from dockyard.check.point import Point
    from dockyard.check.run import Judged, Report

HOST = "host"
SEVERITIES = ("error", "warning", "note")
OPTIONS = (
    option(
        "--fail-on",
        choices=SEVERITIES,
        default=SEVERITIES[0],
        help="minimum severity that fails: error (default), warning or note",
    ),
    flag("--sarif", help="print SARIF 2.1.0, for code hosts"),
)


@verb("check", on=On.SERVICE, report=True, settles=False, options=OPTIONS)
def check(yard: Yard, name: str, *, fail_on: str, sarif: bool) -> Result:
    """Check settings, Dockerfile, scripts, mounts, ports and security, also against all other services.

    Launches and changes nothing. Checks that could not run are listed. docs/reference/checks.md has all checks.
    """
    return _checked(yard, [name], fail_on, sarif=sarif)


@verb("check-all", report=True, settles=False, options=OPTIONS)
def check_all(yard: Yard, *, fail_on: str, sarif: bool) -> Result:
    """Check all services, and print one line for each finding, with the services that have it.

    Launches and changes nothing.
    """
    return _checked(yard, [service.name for service in yard.services], fail_on, sarif=sarif, summarized=True)


def _checked(yard: Yard, names: list[str], fail_on: str, *, sarif: bool, summarized: bool = False) -> Result:
    import datetime as dt

    from dockyard.check.run import run

    report = run(yard, names, dt.datetime.now(tz=dt.UTC).astimezone().date())
    failing = SEVERITIES[: SEVERITIES.index(fail_on) + 1]
    fails = any(point.counts and point.severity.value in failing for point in report.points)
    lines = _sarif(report) if sarif else _summary_lines(report) if summarized else _lines(report)
    return Result(lines, _data(report), WORK_FAILED if fails else 0)


def _data(report: "Report") -> dict[str, Any]:
    """Return the report for machines."""
    return {
        "score": report.score,
        "scores": {one.service: one.score for one in report.services},
        "points": [_row(point) for point in report.points],
        "unchecked": [{"service": service, "message": message} for service, message in _unknown(report)],
    }


def _row(point: "Point") -> dict[str, Any]:
    accepted = point.accepted and point.accepted._asdict()
    row = {**point._asdict(), "severity": point.severity.value, "concern": point.concern.value, "accepted": accepted}
    del row["title"]  # that of the check, as its id
    return row


def _unknown(report: "Report") -> list[tuple[str, str]]:
    """Return what could not be checked, each with its service; without a service if it is the same for all."""
    silent = [("", f"images, networks and user mapping: {report.silence}")] if report.silence else []
    return [*silent, *((one.service, message) for one in report.services for message in one.unknown)]


def _sarif(report: "Report") -> list[str]:
    import json
    from importlib.metadata import version

    from dockyard.check.sarif import document

    unknown = [": ".join(filter(None, pair)) for pair in _unknown(report)]
    return json.dumps(document(report.points, unknown, version("dockyard")), indent=2).splitlines()


# ---------------------------------------------------------------------------------------------------------- for people
def _lines(report: "Report") -> list[str]:
    """Return the report: a paragraph for each service with findings, then a summary."""
    told: set[str] = set()
    blocks = [lines for one in report.services if (lines := _service_lines(one, told))]
    host = [point for point in report.host if point.counts]
    blocks += [["host:", *(line for point in host for line in _point_lines(point, told))]] if host else []
    blocks += [[line for point in report.stale for line in _point_lines(point, told)]] if report.stale else []
    unknown = [f"not checked: {': '.join(filter(None, pair))}" for pair in _unknown(report)]
    lines = [line for block in blocks for line in [*block, ""]]
    return [*lines, *unknown, *_summary(report)]


def _summary_lines(report: "Report") -> list[str]:
    """Return the report of many services: a line for each finding, the worst first, then a summary."""
    groups: dict[tuple[tuple[int, int], str], list[Point]] = {}
    for point in report.points:
        if point.counts:
            groups.setdefault((point.weight, point.id), []).append(point)
    findings = [_group_line(groups[key]) for key in sorted(groups)]
    unknown: dict[str, list[str]] = {}
    for service, message in _unknown(report):
        unknown.setdefault(message, []).extend([service] if service else [])
    unchecked = [": ".join(filter(None, ("not checked", text, ", ".join(names)))) for text, names in unknown.items()]
    more = ["`d check X` shows where, why, and the fix", ""] if findings else []
    return [*findings, *more, *unchecked, *_summary(report)]


def _group_line(points: "list[Point]") -> str:
    """Return one line for findings of one check and severity: the finding, and the services, each once."""
    from collections import Counter

    first = points[0]
    is_same = len({point.message for point in points}) == 1
    counts = Counter(point.service or HOST for point in points)
    named = (f"{name} ({count})" if count > 1 else name for name, count in counts.items())
    text = first.message if is_same else _as_message(first.title)
    return f"{first.severity.value}: {text} [{_id(first)}]: {', '.join(named)}"


def _service_lines(one: "Judged", told: set[str]) -> list[str]:
    if not one.open:
        return []
    return [f"{one.service}:", *(line for point in one.open for line in _point_lines(point, told))]


def _point_lines(point: "Point", told: set[str]) -> list[str]:
    """Return a finding with its fix; the reason is printed once for each kind."""
    lines = [f"{point.where or point.service}: {point.severity.value}: {point.message} [{_id(point)}]"]
    lines += [f"  why: {point.why}"] if point.why and point.why not in told else []
    told.add(point.why)
    lines += [f"  fix: {point.write}"] if point.write else []
    return [*lines, *([f"  hint: {point.hint}"] if point.hint else [])]


def _as_message(title: str) -> str:
    """Return a title with a small first letter, unless its first word is in capitals."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def _id(point: "Point") -> str:
    return f"{point.id}, CIS {point.cis}" if point.cis else point.id


def _counted(points: "tuple[Point, ...]") -> str:
    counts = [(sum(point.severity.value == name for point in points), name) for name in SEVERITIES]
    return ", ".join(f"{count} {name}{'s' if count > 1 else ''}" for count, name in counts if count)


def _summary(report: "Report") -> list[str]:
    from dockyard.service import NO_SERVICES

    if not report.services:
        return [f"no service was checked: {NO_SERVICES}"]
    worst = min(report.services, key=lambda one: one.score)
    if len(report.services) == 1:
        return [f"{worst.service}: {_outcome(report)}, score {worst.score}"]
    lowest = f"the lowest score is {worst.score}, that of {worst.service}" if report.points else "score 100"
    return [f"{len(report.services)} services: {_outcome(report)}; {lowest}"]


def _outcome(report: "Report") -> str:
    """Return a short summary of the findings; never `all ok` if some checks could not run."""
    points = tuple(point for point in report.points if point.counts)
    fine = "ok, as far as it was checked" if _unknown(report) else "all ok"
    accepted = len(report.points) - len(points)
    return f"{_counted(points) or fine}{f', {accepted} accepted' if accepted else ''}"
