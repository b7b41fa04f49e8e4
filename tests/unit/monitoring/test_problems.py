"""Rules: what is wrong, how bad it is, what explains it; and what nothing is known of."""

import pytest

from dockyard.monitoring.problems import (
    DAY,
    STUCK_SECONDS,
    Facts,
    FileSystem,
    Problem,
    ServiceFacts,
    UnitFacts,
    UpdateFacts,
    explaining_line,
    find_problems,
)
from dockyard.notify import FAILURE, INFO, WARNING

NOW = 1_800_000_000.0
WEB = ServiceFacts("web", image="ktools/web:live 1ca4363cacf4", health="healthy", started=NOW - DAY)


def found(facts: Facts, *known: str) -> list[Problem]:
    """Return what is wrong."""
    return list(find_problems(facts, NOW, known).problems)


def only(facts: Facts, *known: str) -> Problem:
    """Return the one thing that is wrong."""
    (problem,) = found(facts, *known)
    return problem


def test_nothing_is_wrong() -> None:
    """A healthy service, one that need not be up, one that has time left to become healthy, room, and a timer."""
    starting = ServiceFacts("new", health="starting", started=NOW - 10, patience=60)
    facts = Facts(
        services=[WEB, ServiceFacts("off", is_wanted=False, status="exited"), starting],
        file_systems=[FileSystem("/data", "data", 89.9, 10**9)],
        units=[UnitFacts("dockyard-upgrade.timer", is_running=True, triggered=NOW - 60)],
    )
    assert found(facts) == []


@pytest.mark.parametrize(
    ("service", "text"),
    [
        (WEB._replace(status="exited", exit_code=3), "is not up (exited, exit code 3)"),
        (WEB._replace(status="no container"), "is not up (no container)"),
        (WEB._replace(status="restarting"), "is not up (restarting)"),
        (WEB._replace(health="unhealthy"), "is unhealthy"),
        (WEB._replace(health="unhealthy", is_wanted=False), "is unhealthy"),
        (WEB._replace(health="starting", started=NOW - 100, patience=60), "did not become healthy within 100 s"),
    ],
)
def test_service_that_is_not_well(service: ServiceFacts, text: str) -> None:
    """It is a failure, with the line that explains it, and what runs now; while a command works on it, it is none."""
    problem = only(Facts(services=[service._replace(reason="cannot connect to db")]))
    assert (problem.key, problem.text, problem.severity) == ("service:web", text, FAILURE)
    assert problem.line() == f"web: {text}: cannot connect to db"
    assert problem.running == ("nothing" if "not up" in text else service.running)
    busy = find_problems(Facts(services=[service._replace(is_busy=True)]), NOW)
    assert (busy.problems, busy.is_unknown("service:web"), busy.is_unknown("service:db")) == ((), True, False)


def test_engine_that_does_not_answer() -> None:
    """It is one failure; nothing is said of services, and what was known of them stays."""
    findings = find_problems(Facts(engine_error="docker does not answer"), NOW)
    assert [(one.key, one.severity) for one in findings.problems] == [("engine:", FAILURE)]
    assert all(findings.is_unknown(key) for key in ("service:web", "age:web", "orphan:x", "drift:web"))
    assert not any(findings.is_unknown(key) for key in ("update:web", "disk:/", "unit:x", "engine:"))


def test_updates() -> None:
    """A failed one is a failure with what production runs; a held one is information; a skipped one is not judged."""
    facts = Facts(services=[WEB], updates=[UpdateFacts("web", "Test ended with exit code 1: KeyError")])
    problem = only(facts._replace(unknown_updates=frozenset({"db"})))
    assert (problem.key, problem.severity, problem.running) == ("update:web", FAILURE, WEB.running)
    assert problem.line() == "web: its last update failed: Test ended with exit code 1: KeyError"
    held = only(Facts(held={"web": "held until 2027"}))
    assert (held.key, held.severity) == ("held:web", INFO)
    assert held.line() == "web: is not upgraded: held until 2027"
    assert find_problems(facts._replace(unknown_updates=frozenset({"db"})), NOW).is_unknown("update:db")


def test_old_images() -> None:
    """More days than `max_age` are a warning; an image without a date has no age."""
    service = WEB._replace(max_age=30, image_created=NOW - 31 * DAY)
    problem = only(Facts(services=[service]))
    assert (problem.key, problem.severity) == ("age:web", WARNING)
    assert "31 days old" in problem.text
    for young in (service._replace(image_created=NOW - 29 * DAY), service._replace(image_created=0), WEB):
        assert found(Facts(services=[young])) == []


def test_file_systems() -> None:
    """From the limit on a warning, nearly full a failure; one that was reported lasts until there is some room."""
    disk = Facts(file_systems=[FileSystem("/data", "data and images", 90, 5 * 1024**3)])
    problem = only(disk)
    assert (problem.key, problem.severity) == ("disk:/data", WARNING)
    assert problem.line() == "/data: 90 % of the file system of data and images are used, 5.0 GiB are free"
    assert only(Facts(file_systems=[FileSystem("/data", "data", 99, 0)])).severity == FAILURE
    lower = Facts(file_systems=[FileSystem("/data", "data", 88, 0)])
    assert found(lower) == []
    assert only(lower, "disk:/data").key == "disk:/data"
    assert found(Facts(file_systems=[FileSystem("/data", "data", 86, 0)]), "disk:/data") == []
    assert found(disk._replace(max_disk_use=95)) == []


@pytest.mark.parametrize(
    ("unit", "text"),
    [
        (
            UnitFacts("x.timer", is_active=False, triggered=NOW),
            "is enabled but does not run; its last run was 2027-01-15",
        ),
        (UnitFacts("x.service", is_active=False), "is enabled but does not run"),
        (UnitFacts("x.timer", is_running=True, triggered=NOW - STUCK_SECONDS - 1), "has not ended"),
        (UnitFacts("x.timer", result="timeout"), "did not complete (timeout"),
        (UnitFacts("x.timer", result="exit-code", exit_code=203), "did not complete (exit-code, status 203)"),
    ],
)
def test_units(unit: UnitFacts, text: str) -> None:
    """A timer that is stopped, hangs or cannot start its program is a failure; a program that found problems is not."""
    problem = only(Facts(units=[unit]))
    assert (problem.key, problem.severity) == (f"unit:{unit.name}", FAILURE)
    assert text in problem.text
    assert found(Facts(units=[UnitFacts("x.timer", result="exit-code", exit_code=1)])) == []


def test_drift_and_orphans() -> None:
    """Both are warnings, by container."""
    facts = Facts(drift={"web": 1, "db": 2}, orphans={"old": "its directory is gone"})
    assert sorted(problem.line() for problem in found(facts)) == [
        "db: 2 unexpected changes, not acknowledged",
        "old: is an orphan: its directory is gone",
        "web: 1 unexpected change, not acknowledged",
    ]
    assert {problem.severity for problem in found(facts)} == {WARNING}


def test_lines_are_fit_to_print() -> None:
    """Whatever a log says, no line has control characters."""
    problem = only(Facts(services=[WEB._replace(health="unhealthy", reason="\x1b[2J gone")]))
    assert problem.line().isprintable()


@pytest.mark.parametrize(
    ("output", "line"),
    [
        ("a\nValueError: no such note\n\nbye\n", "ValueError: no such note"),
        ("starting\nready\n", "ready"),
        ("connection refused\nretry\nconnection refused again\n", "connection refused again"),
        ("\n\n", ""),
    ],
)
def test_line_that_explains(output: str, line: str) -> None:
    """The last that names an error; without one, the last."""
    assert explaining_line(output.splitlines()) == line
