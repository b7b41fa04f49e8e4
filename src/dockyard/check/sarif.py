"""Reports as SARIF 2.1.0, which code hosts show next to the lines."""

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from dockyard.check.baseline import UNUSED
from dockyard.check.point import Point, Severity
from dockyard.check.registry import CHECKS, Check

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
Object = dict[str, Any]
_HARM = {Severity.ERROR: "8.0", Severity.WARNING: "5.0", Severity.NOTE: "2.0"}


def document(points: Iterable[Point], unknown: Iterable[str], version: str) -> Object:
    """Return one run as an object for JSON; an accepted finding is included, suppressed with its reason."""
    rules = [*(_rule(check) for check in CHECKS.values()), _UNUSED]
    places = {rule["id"]: number for number, rule in enumerate(rules)}
    notices = [{"level": "warning", "message": {"text": f"not checked: {text}"}} for text in unknown]
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "dockyard", "semanticVersion": version, "rules": rules}},
                "invocations": [{"executionSuccessful": True, "toolExecutionNotifications": notices}],
                "columnKind": "unicodeCodePoints",
                "results": [_result(point, places[point.id]) for point in points],
            }
        ],
    }


_UNUSED: Object = {
    "id": UNUSED,
    "shortDescription": {"text": "An acceptance without a finding"},
    "defaultConfiguration": {"level": Severity.WARNING.value},
}


def _rule(check: Check) -> Object:
    cis = [f"CIS-Docker-Benchmark-1.6.0/{check.cis}"] if check.cis else []
    return {
        "id": check.id,
        "shortDescription": {"text": check.title},
        "fullDescription": {"text": check.why},
        "defaultConfiguration": {"level": check.severity.value},
        "properties": {"tags": [check.topic, *cis], "security-severity": _HARM[check.severity]},
    }


def _result(point: Point, place: int) -> Object:
    fix = f" Fix: {point.write}." if point.write else f" Hint: {point.hint}." if point.hint else ""
    found: Object = {
        "ruleId": point.id,
        "ruleIndex": place,
        "level": point.severity.value,
        "message": {"text": f"{point.service or 'host'}: {point.message}.{fix}"},
        "locations": [_location(point.where)],
        "partialFingerprints": {"dockyardPoint/v1": f"{point.service}/{point.id}/{point.message}"},
    }
    if point.accepted:
        found["suppressions"] = [{"kind": "external", "status": "accepted", "justification": point.accepted.reason}]
    return found


def _location(where: str) -> Object:
    """Return the location of `file:line:column`, of a whole file, or of something else, such as a variable."""
    match = re.fullmatch(r"(.+?):(\d+)(?::(\d+))?", where)
    file, line, column = match.groups() if match else (where, None, None)
    uri = f"file://{quote(file)}" if file.startswith("/") else quote(file)
    region = {"startLine": int(line or 0), **({"startColumn": int(column)} if column else {})} if line else None
    physical: Object = {"artifactLocation": {"uri": uri}, **({"region": region} if region else {})}
    return {"physicalLocation": physical}
