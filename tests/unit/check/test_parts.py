"""Scores, secrets and SARIF."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.check.point import Point, Severity
from dockyard.check.registry import CHECKS
from dockyard.check.sarif import document
from dockyard.check.score import score
from dockyard.check.secrets import is_secret, names_secret, secret_flags
from dockyard.settings.acceptance_type import Acceptance

POINTS = st.lists(st.sampled_from(Severity), max_size=40)


def point(severity: Severity = Severity.ERROR, **more: Any) -> Point:  # noqa: ANN401
    return Point(
        "web", "privileged", severity, "the container is privileged", "src/a b/settings.yaml:7:3", "why", **more
    )


@given(POINTS, st.sampled_from(Severity))
def test_one_more_point_never_makes_a_score_better(severities: list[Severity], more: Severity) -> None:
    """Nor does a worse one in its place; the score stays between 0 and 100."""
    points = [point(one) for one in severities]
    before, after = score(points), score([*points, point(more)])
    assert 0 <= after <= before <= 100
    assert score([*points, point(Severity.ERROR)]) <= after <= score([*points, point(Severity.NOTE)])


@given(POINTS)
def test_the_order_of_points_is_of_no_matter(severities: list[Severity]) -> None:
    """And what is accepted does not count."""
    points = [point(one) for one in severities]
    accepted = point(accepted=Acceptance("privileged", "f:1", reason="r"))
    assert score(points) == score([*reversed(points), accepted])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PASSWORD", "hunter22"),
        ("PGPASSWORD", "x!y"),
        ("MYSQL_ROOT_PASSWORD", "root"),
        ("AWS_SECRET_ACCESS_KEY", "abc"),
        ("API_KEY", "abc"),
        ("apiKey", "abc"),
        ("SECRET_KEY_BASE", "abc"),
        ("DB_PASS", "abcd"),
        ("GITHUB_TOKEN2", "abc"),
        ("URL", "postgres://app:pw@db/app"),
        ("X", "AKIAABCDEFGHIJKLMNOP"),
        ("KEY", "-----BEGIN PRIVATE KEY-----"),
    ],
)
def test_secrets_are_told_by_name_or_by_themselves(name: str, value: str) -> None:
    """A secret is found under whatever of its usual names."""
    assert is_secret(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PASSWORD", ""),
        ("DB_PASSWORD_FILE", "/run/secrets/db"),
        ("DB_PASSWORD", "/run/secrets/db"),
        ("DB_PASSWORD", "$PASSWORD"),
        ("DB_PASSWORD", "{{ password }}"),
        ("PASSWORD_MIN_LENGTH", "12"),
        ("MAX_TOKENS", "4096"),
        ("TOKENIZERS_PARALLELISM", "false"),
        ("USE_TOKEN", "true"),
        ("PWD", "/srv"),
        ("BYPASS", "some"),
        ("COMPASS", "north"),
        ("SSH_KEYS", "abc"),
        ("PUBLIC_KEY", "abc"),
        ("URL", "https://example.com/a@b"),
        ("URL", "postgres://app@db/app"),
    ],
)
def test_what_only_looks_like_a_secret_is_none(name: str, value: str) -> None:
    """A file's name, a reference, a number, or a word that holds another."""
    assert not is_secret(name, value)


def test_names_of_secrets() -> None:
    """A name that would hold a secret if it held anything."""
    assert names_secret("NPM_TOKEN")
    assert not names_secret("PWD")


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (("serve", "--password=hunter22"), ["--password"]),
        (("serve", "--api-key", "abcdef", "--port", "80"), ["--api-key"]),
        (("redis-server", "--requirepass", "hunter22"), ["--requirepass"]),
        (("serve", "--password-file=/run/x", "--token", "--verbose"), []),
        (("serve", "--token"), []),
    ],
)
def test_secrets_in_commands(words: tuple[str, ...], found: list[str]) -> None:
    """In one word with its flag, or in the next."""
    assert secret_flags(words) == found


# ---------------------------------------------------------------------------------------------------------------- SARIF
def _sarif() -> dict[str, Any]:
    accepted = Acceptance("privileged", "f:1", reason="it drives the printer")
    points = [
        point(write="cap_add: …", cis="5.5"),
        point(accepted=accepted)._replace(where="/etc/dockyard/host.yaml"),
        point(Severity.NOTE)._replace(id="acceptance-unused", where="/etc/dockyard/check.yaml:3", service=""),
    ]
    made: dict[str, Any] = json.loads(json.dumps(document(points, ["images: docker does not answer"], "1.2.3")))
    return made


def test_a_sarif_document_has_what_code_hosts_need() -> None:
    """Version, one run, its tool with all rules, results whose rule and level are there, places within the source."""
    made = _sarif()
    assert (made["version"], len(made["runs"])) == ("2.1.0", 1)
    driver = made["runs"][0]["tool"]["driver"]
    assert (driver["name"], driver["semanticVersion"]) == ("dockyard", "1.2.3")
    rules = [rule["id"] for rule in driver["rules"]]
    assert len(set(rules)) == len(rules) == len(CHECKS) + 1
    for result in made["runs"][0]["results"]:
        assert rules[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in {"error", "warning", "note"}
        assert result["message"]["text"]
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        assert all(isinstance(value, str) for value in result["partialFingerprints"].values())
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"]
        assert rule["defaultConfiguration"]["level"] in {"error", "warning", "note"}


def test_places_in_sarif() -> None:
    """A path is quoted, one from the top is an address; lines and columns count from 1."""
    places = [result["locations"][0]["physicalLocation"] for result in _sarif()["runs"][0]["results"]]
    assert places == [
        {
            "artifactLocation": {"uri": "src/a%20b/settings.yaml"},
            "region": {"startLine": 7, "startColumn": 3},
        },
        {"artifactLocation": {"uri": "file:///etc/dockyard/host.yaml"}},
        {"artifactLocation": {"uri": "file:///etc/dockyard/check.yaml"}, "region": {"startLine": 3}},
    ]


def test_what_is_accepted_is_suppressed_in_sarif() -> None:
    """With its reason; what could not be checked is a notice of the run."""
    (run,) = _sarif()["runs"]
    first, second, _ = run["results"]
    assert "suppressions" not in first
    assert second["suppressions"] == [
        {"kind": "external", "status": "accepted", "justification": "it drives the printer"}
    ]
    (notice,) = run["invocations"][0]["toolExecutionNotifications"]
    assert notice["message"]["text"] == "not checked: images: docker does not answer"
