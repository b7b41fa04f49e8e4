"""The reports of scanners are read, and whatever else a program writes is an error that says so."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.vulnerabilities.report import SEVERITIES, ReportError, Vulnerability, parse_report

OPENSSL = Vulnerability("CVE-2026-0001", "openssl", "3.0.15", "high")


def grype(*found: Vulnerability) -> dict[str, Any]:
    """Return vulnerabilities as grype writes them."""
    matches = [
        {
            "vulnerability": {"id": one.id, "severity": one.severity.title(), "fix": {"versions": []}},
            "artifact": {"name": one.package, "version": one.version, "type": "deb"},
        }
        for one in found
    ]
    return {"matches": matches, "source": {"type": "image"}, "descriptor": {"name": "grype"}}


def trivy(*found: Vulnerability) -> dict[str, Any]:
    """Return vulnerabilities as trivy writes them: by what it has looked at, of which some has no vulnerabilities."""
    rows = [
        {
            "VulnerabilityID": one.id,
            "PkgName": one.package,
            "InstalledVersion": one.version,
            "Severity": one.severity.upper(),
        }
        for one in found
    ]
    results = [{"Target": "debian 12", "Vulnerabilities": rows}, {"Target": "app", "Class": "lang-pkgs"}]
    return {"SchemaVersion": 2, "ArtifactName": "web", "Results": results}


def sarif(*found: Vulnerability) -> dict[str, Any]:
    """Return vulnerabilities as SARIF has them, in the way of trivy."""
    scores = {"critical": "9.8", "high": "7.5", "medium": "5.0", "low": "2.0", "unknown": "0.0"}
    rules = [{"id": one.id, "properties": {"security-severity": scores[one.severity]}} for one in found]
    results = [
        {"ruleId": one.id, "level": "error", "message": {"text": f"Package: {one.package}\nInstalled Version: 1"}}
        for one in found
    ]
    return {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "Trivy", "rules": rules}}, "results": results}]}


@pytest.mark.parametrize("write", [grype, trivy, sarif])
def test_vulnerabilities_are_read(write: Any) -> None:  # noqa: ANN401 - a function
    """Of each format; a version is not in SARIF."""
    curl = Vulnerability("CVE-2026-0002", "curl", "8.1", "low")
    found = parse_report(json.dumps(write(OPENSSL, curl)))
    expected = {OPENSSL, curl}
    assert found == ({one._replace(version="") for one in expected} if write is sarif else expected)
    assert parse_report(json.dumps(write())) == frozenset()


def test_an_image_without_anything_to_scan_has_no_results() -> None:
    """Trivy leaves out the list then."""
    assert parse_report('{"SchemaVersion": 2, "ArtifactName": "web"}') == frozenset()


def test_sarif_without_scores_has_levels() -> None:
    """And what the scanner's file of exceptions lists is suppressed."""
    results = [
        {"ruleId": "CVE-1-libc6", "level": "error", "message": {"text": "in deb package libc6"}},
        {"ruleId": "CVE-2", "level": "note"},
        {"ruleId": "CVE-3", "level": "error", "suppressions": [{"kind": "external"}]},
    ]
    found = parse_report(json.dumps({"runs": [{"results": results}]}))
    assert {(one.id, one.severity) for one in found} == {("CVE-1-libc6", "high"), ("CVE-2", "low")}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("No vulnerabilities found", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[]", "neither"),
        ("{}", "neither"),
        ('{"error": "no such image"}', "neither"),
        ('{"matches": null}', "neither"),
        ('{"matches": [1]}', "does not have the expected format"),
        ('{"matches": [{}]}', "has no id"),
        ('{"SchemaVersion": 2, "ArtifactName": "web", "Results": {"a": 1}}', "does not have the expected format"),
    ],
)
def test_what_is_no_report_is_refused(text: str, reason: str) -> None:
    """It must never count as an image without vulnerabilities."""
    with pytest.raises(ReportError, match=reason):
        parse_report(text)


KEYS = ["matches", "vulnerability", "id", "severity", "artifact", "name", "runs", "results", "ruleId", "tool", "driver"]
KEYS += ["rules", "properties", "security-severity", "message", "text", "SchemaVersion", "ArtifactName", "Results"]
KEYS += ["Vulnerabilities", "VulnerabilityID", "PkgName", "Severity", "suppressions", "level"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.sampled_from(["CVE-1", "High"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
)


@given(st.one_of(st.text(), JSON.map(json.dumps)))
def test_nothing_is_more_than_no_report(text: str) -> None:
    """Whatever is in it: what is read of it is short, fit to print, and has a severity."""
    try:
        found = parse_report(text)
    except ReportError:
        return
    for one in found:
        assert one.severity in SEVERITIES
        assert str(one).isprintable()
        assert len(str(one)) < 1000
