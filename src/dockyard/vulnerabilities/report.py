"""What a scanner reports of an image: grype's JSON, trivy's JSON, or SARIF. Pure.

A report is made from an image, which may be hostile: anything may be in it.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

MAX_REPORT_CHARACTERS = 256 * 1024 * 1024
MAX_VULNERABILITIES = 100_000
_MAX_WORD = 200
SEVERITIES = ("unknown", "negligible", "low", "medium", "high", "critical")
"""From the least to the worst, as grype and trivy have them."""
_LEVELS = {"error": "high", "warning": "medium", "note": "low"}
_SCORES = ((9.0, "critical"), (7.0, "high"), (4.0, "medium"), (0.1, "low"))
"""From which score on a vulnerability has which severity: those of CVSS 3."""
_PACKAGE = re.compile(r"^Package: (\S+)", re.MULTILINE)


class ReportError(Exception):
    """A text is not the report of a scanner; the exception says why."""


class Vulnerability(NamedTuple):
    """A vulnerability of a package in an image."""

    id: str
    package: str
    version: str
    severity: str

    @property
    def key(self) -> tuple[str, str]:
        """What makes it the same vulnerability in another image: there, the package may have another version."""
        return self.id, self.package

    @property
    def rank(self) -> int:
        """How severe it is, as a number."""
        return SEVERITIES.index(self.severity)

    def __str__(self) -> str:
        """Return it as people read it."""
        package = " ".join(filter(None, (self.package, self.version)))
        return f"{self.id}{f' in {package}' if package else ''} ({self.severity})"


def parse_report(text: str) -> frozenset[Vulnerability]:
    """Return the vulnerabilities of a report. Raises ReportError for a text that is none."""
    if len(text) > MAX_REPORT_CHARACTERS:
        raise ReportError("it is too long")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise ReportError("it is not JSON") from None
    for is_format, read in _FORMATS:
        if isinstance(data, dict) and is_format(data):
            found = frozenset(read(data))
            if len(found) > MAX_VULNERABILITIES:
                raise ReportError(f"it has more than {MAX_VULNERABILITIES} vulnerabilities")
            return found
    raise ReportError("it is neither JSON of grype or trivy nor SARIF")


def _read_grype(data: Mapping[str, Any]) -> Iterator[Vulnerability]:
    for match in _items(data["matches"]):
        vulnerability, artifact = _map(match.get("vulnerability")), _map(match.get("artifact"))
        yield _checked(
            vulnerability.get("id"), artifact.get("name"), artifact.get("version"), vulnerability.get("severity")
        )


def _read_trivy(data: Mapping[str, Any]) -> Iterator[Vulnerability]:
    for result in _items(data.get("Results") or []):
        for one in _items(result.get("Vulnerabilities") or []):
            yield _checked(
                one.get("VulnerabilityID"), one.get("PkgName"), one.get("InstalledVersion"), one.get("Severity")
            )


def _read_sarif(data: Mapping[str, Any]) -> Iterator[Vulnerability]:
    for run in _items(data["runs"]):
        driver = _map(_map(run.get("tool")).get("driver"))
        rules = {str(rule.get("id")): rule for rule in _items(driver.get("rules") or [])}
        for result in _items(run.get("results") or []):
            if result.get("suppressions"):
                continue
            identifier = result.get("ruleId")
            package = _PACKAGE.search(str(_map(result.get("message")).get("text")))
            severity = _severity_of(_map(rules.get(str(identifier))), str(result.get("level", "warning")))
            yield _checked(identifier, package[1] if package else "", "", severity)


def _severity_of(rule: Mapping[str, Any], level: str) -> str:
    """Return the severity of a rule by its score, or else of a result by its level."""
    try:
        score = float(_map(rule.get("properties")).get("security-severity", ""))
    except (TypeError, ValueError):
        return _LEVELS.get(level, "unknown")
    return next((severity for least, severity in _SCORES if score >= least), "unknown")


_FORMATS: tuple[
    tuple[Callable[[Mapping[str, Any]], bool], Callable[[Mapping[str, Any]], Iterator[Vulnerability]]], ...
] = (
    (lambda data: isinstance(data.get("matches"), list), _read_grype),
    (lambda data: isinstance(data.get("runs"), list), _read_sarif),
    (lambda data: isinstance(data.get("SchemaVersion"), int) and "ArtifactName" in data, _read_trivy),
)


def _checked(identifier: object, package: object, version: object, severity: object) -> Vulnerability:
    if not isinstance(identifier, str) or not identifier:
        raise ReportError("a vulnerability in it has no id")
    word = str(severity).lower()
    return Vulnerability(_word(identifier), _word(package), _word(version), word if word in SEVERITIES else "unknown")


def _word(value: object) -> str:
    """Return a text of the report, short and in one line."""
    text = value[:_MAX_WORD] if isinstance(value, str) else ""
    return "".join(c if c.isprintable() else "?" for c in text)


def _items(value: object) -> Iterator[Mapping[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise ReportError("its list of vulnerabilities does not have the expected format")
    yield from value


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
