"""What a check says, and when it must not say that all is ok."""

import datetime as dt
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from dockyard.check.registry import CHECKS, check
from dockyard.check.run import run
from dockyard.cli.main import run as run_program
from dockyard.cli.output import Result
from dockyard.cli.verb import WORDS
from dockyard.cli.verbs.check import check as check_one
from dockyard.cli.verbs.check import check_all
from dockyard.engine.dialect import PODMAN
from dockyard.engine.models import IdMap, IdRange
from dockyard.errors import DockyardError, SettingsError
from dockyard.plan.facts import PathFact
from dockyard.yard import Yard
from tests.unit.check.conftest import Answering, Making, Silent
from tests.unit.making import GOLDEN

TODAY = dt.date(2026, 1, 1)
EXAMPLES = GOLDEN.parents[1] / "examples"
GOOD = "image: good:1\nread_only: true\ncap_drop: ALL\nno_new_privileges: true\nmemory: 32m\npids_limit: 20\n"


def service(top: Path, text: str, name: str = "one") -> str:
    """Write a service's settings and return its name."""
    (top / "src" / name).mkdir(parents=True, exist_ok=True)
    (top / "src" / name / "settings.yaml").write_text(text)
    return name


def ids(yard: Yard, name: str = "one", today: dt.date = TODAY) -> list[str]:
    return [point.id for point in run(yard, [name], today).services[0].open]


def told(yard: Yard, *words: str) -> Result:
    """Return what `d` answers to words, the first of which is a verb."""
    fail_on = words[words.index("--fail-on") + 1] if "--fail-on" in words else "error"
    sarif = "--sarif" in words
    if words[0] == "check":
        return check_one(yard, words[1], fail_on=fail_on, sarif=sarif)
    return check_all(yard, fail_on=fail_on, sarif=sarif)


# ------------------------------------------------------------------------------------------------------ good services
@pytest.mark.parametrize("dialect", ["docker", "podman", "silent"])
def test_the_examples_have_no_errors_and_no_warnings(host: Making, dialect: str) -> None:
    """No false alarm on what is good, whichever engine there is; what is left are two remarks."""
    engines = {"docker": Answering(), "podman": Answering(PODMAN), "silent": Silent()}
    yard = host(EXAMPLES, engines[dialect])
    report = run(yard, ["base", "redis", "web"], TODAY)
    assert [(point.service, point.id) for point in report.points if point.counts] == [
        ("base", "root-user"),
        ("web", "ports-everywhere"),
    ]
    assert {point.severity.value for point in report.points if point.counts} == {"note"}
    assert [(point.service, point.id) for point in report.points if not point.counts] == [("web", "no-health-check")]


def test_a_base_that_is_made_here_needs_no_version(host: Making, tmp_path: Path) -> None:
    """The image of another service, or of the same repository, changes when its owner says so."""
    yard = host()
    for name, base in (("below", "good:1"), ("one", "ktools/below"), ("two", "ktools/elsewhere:latest")):
        service(tmp_path, GOOD.partition("\n")[2], name)
        (tmp_path / "src" / name / "Dockerfile").write_text(f"FROM {base}\n")
        (tmp_path / "src" / name / "Test").write_text("#!/bin/sh\ncurl web\n")
        (tmp_path / "src" / name / "Test").chmod(0o755)
    assert (ids(yard, "one"), ids(yard, "two")) == ([], ["no-health-check"])
    assert ids(yard, "below") == []


def test_root_is_nobody_where_the_engine_maps_users(host: Making, tmp_path: Path) -> None:
    """Root inside is no matter then, unless the service has the host's users."""
    mapped = Answering(ids=IdMap((IdRange(0, 100000, 65536),), (IdRange(0, 100000, 65536),)))
    yard = host(engine=mapped)
    service(tmp_path, GOOD.replace("ALL", "NET_RAW") + 'user: "0"\nmount_rw: data:/data\n')
    assert "root-user" not in ids(yard)
    service(tmp_path, GOOD.replace("ALL", "NET_RAW") + 'user: "0"\nmount_rw: data:/data\nextra_docker: --userns=host\n')
    assert {"root-user", "host-users"} <= set(ids(yard))


def test_podman_limits_processes_by_itself(host: Making, tmp_path: Path) -> None:
    """There is no point where the engine has a limit, unless the settings lift it."""
    yard = host(engine=Answering(PODMAN))
    service(tmp_path, GOOD.replace("pids_limit: 20\n", ""))
    assert ids(yard) == []
    service(tmp_path, GOOD.replace("20", "-1"))
    assert ids(yard) == ["no-process-limit"]


# ---------------------------------------------------------------------------------------------------- never silently ok
def test_without_an_engine_it_is_said_what_was_not_checked(host: Making, tmp_path: Path) -> None:
    """No word of all being ok, and each thing that only an engine knows is named."""
    yard = host(engine=Silent())
    service(tmp_path, GOOD + "user: web\nhealthcheck: {cmd: 'true'}\nnetwork: fleet\n")
    result = told(yard, "check", "one")
    assert result.exit_code == 0
    assert result.lines == [
        "not checked: images, networks and user mapping: docker does not answer",
        "not checked: one: whether the network `fleet` exists",
        "one: ok, as far as it was checked, score 100",
    ]
    assert [row["service"] for row in result.data["unchecked"]] == ["", "one"]


def test_mounts_that_may_not_be_looked_at_are_said(
    host: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever may not look into a directory is told that its mounts were not checked, not that they are missing."""

    def refused(wanted: Iterable[str]) -> dict[str, PathFact]:
        if paths := [path for path in wanted if "/closed/" in path]:
            raise DockyardError(f"{paths[0]}: Permission denied")
        return {}

    monkeypatch.setattr("dockyard.paths.path_facts", refused)
    service(tmp_path, GOOD + f'mount_ro: "{tmp_path}/closed/in:/x"\n')
    result = told(host(), "check", "one")
    assert "not checked: one: its mounts" in "\n".join(result.lines)
    assert "ok, as far as it was checked" in result.lines[-1]


def test_no_services_is_no_ok(host: Making) -> None:
    """An empty directory of services is said to be that."""
    result = told(host(), "check-all")
    assert (result.exit_code, len(result.lines)) == (0, 1)
    assert "no service was checked" in result.lines[0]


def test_a_broken_neighbour_is_no_fault_of_ours(host: Making, tmp_path: Path) -> None:
    """Services whose settings cannot be read do not keep others from being checked."""
    yard = host()
    service(tmp_path, GOOD)
    service(tmp_path, "ports: [", "broken")
    assert (ids(yard), ids(yard, "broken")) == ([], ["settings"])


def test_a_dockerfile_of_any_bytes_is_looked_at(host: Making, tmp_path: Path) -> None:
    """Whatever stands in a Dockerfile, there is no traceback."""
    yard = host()
    service(tmp_path, GOOD)
    for text in (
        b"",
        b"\xff\xfe\x00FROM x",
        b"FROM",
        b"FROM \nCOPY\nENV\nUSER\nARG =\nHEALTHCHECK\n",
        b"FROM a AS a\n",
    ):
        (tmp_path / "src/one/Dockerfile").write_bytes(text)
        run(yard, ["one"], TODAY)


# ---------------------------------------------------------------------------------------------------------- acceptances
def test_an_acceptance_ends_with_its_day(host: Making, tmp_path: Path) -> None:
    """On its last day a point is accepted; the day after it is a point again, and says so."""
    yard = host()
    accept = "check: {id: no-memory-limit, reason: it needs none, until: 2026-01-01}\n"
    service(tmp_path, GOOD.replace("memory: 32m\n", "") + accept)
    assert ids(yard, today=TODAY) == []
    (point,) = run(yard, ["one"], TODAY + dt.timedelta(days=1)).services[0].open
    assert point.message.endswith("(accepted until 2026-01-01, now expired: src/one/settings.yaml:6:8)")


def test_an_acceptance_is_for_the_point_that_it_names(host: Making, tmp_path: Path) -> None:
    """`about` picks one of several points of an id."""
    yard = host()
    service(tmp_path, GOOD + "cap_add: [SYS_NICE, SYS_TTY_CONFIG]\ntest_cap_add: []\n")
    assert ids(yard) == ["capabilities-added", "capabilities-added"]
    service(
        tmp_path,
        GOOD + "cap_add: [SYS_NICE, SYS_TTY_CONFIG]\ntest_cap_add: []\n"
        "check: {id: capabilities-added, about: SYS_NICE, reason: it sets priorities}\n",
    )
    assert ids(yard) == ["capabilities-added"]


def test_the_hosts_file_accepts_for_services(host: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For those that it names alone; what is about nothing is told when all services are checked."""
    file = tmp_path / "check.yaml"
    file.write_text(
        "- {id: no-memory-limit, services: [o*], reason: the host has one service}\n"
        "- {id: privileged, services: one, reason: gone}\n"
    )
    file.chmod(0o644)
    monkeypatch.setenv("DOCKYARD_CHECK", str(file))
    yard = host()
    for name in ("one", "two"):
        service(tmp_path, GOOD.replace("memory: 32m\n", ""), name)
    assert (ids(yard, "one"), ids(yard, "two")) == ([], ["no-memory-limit"])
    assert run(yard, ["one"], TODAY).stale == ()
    assert [point.where for point in run(yard, ["one", "two"], TODAY).stale] == [f"{file}:2:3"]
    assert "which is not a check" not in "\n".join(told(yard, "check-all").lines)
    file.write_text("- {id: Nonsense}\n")
    with pytest.raises(SettingsError):
        run(yard, ["one"], TODAY)


# ------------------------------------------------------------------------------------------------------------- the verb
ONE = """\
one:
src/one/settings.yaml:7: error: the container is privileged [privileged, CIS 5.5]
  why: It has every capability and every device of the host: an attacker who breaks in is root on the host.
  fix: cap_add and mount_devices, with only what it needs
src/one/settings.yaml: warning: tests are not isolated from production: it is privileged [test-unproven]
  why: Such a test instance is not isolated from production: a bad build can damage it.
  hint: give tests other settings with `test_` keys

one: 1 error, 1 warning, score 54"""
ALL = """\
error: the container is privileged [privileged, CIS 5.5]: one, two
warning: tests are not isolated from production: it is privileged [test-unproven]: one
note: ports on all addresses of the host [ports-everywhere, CIS 5.14]: three (2)
`d check X` shows where, why, and the fix

3 services: 2 errors, 1 warning, 2 notes; the lowest score is 54, that of one"""


def test_points_of_one_service_are_told_with_their_reasons(host: Making, tmp_path: Path) -> None:
    """A line for each point, the worst first; why it matters is said once for each kind."""
    service(tmp_path, GOOD + "extra_docker: --privileged\n")
    assert "\n".join(told(host(), "check", "one").lines) == ONE


def test_findings_of_all_services_are_a_line_each_with_the_services(host: Making, tmp_path: Path) -> None:
    """The worst first, whatever service it is of; if messages differ, the line has what they have in common."""
    yard = host()
    service(tmp_path, GOOD + "extra_docker: --privileged\n")
    service(tmp_path, GOOD + "extra_docker: --privileged\ntest_extra_docker:\n", "two")
    service(tmp_path, GOOD + "ports: [80:80, 81:81]\n", "three")
    result = told(yard, "check-all")
    assert "\n".join(result.lines) == ALL
    assert len(result.data["points"]) == 5  # all of them, for machines


def test_what_is_unknown_of_several_services_is_one_line(host: Making, tmp_path: Path) -> None:
    for name in ("one", "two"):
        service(tmp_path, GOOD + "network: fleet\n", name)
    lines = told(host(engine=Silent()), "check-all").lines
    assert [line for line in lines if line.startswith("not checked")] == [
        "not checked: images, networks and user mapping: docker does not answer",
        "not checked: whether it runs as root: its user is not set here, and its image does not exist: one, two",
        "not checked: whether the network `fleet` exists: one, two",
    ]


def test_data_and_security_come_first(host: Making, tmp_path: Path) -> None:
    """Of points as bad, what endangers data is first, then security, whatever their place in the file."""
    yard = host()
    (tmp_path / "vol/one/data").mkdir(parents=True)
    service(tmp_path, "mount_rw: data:/data\n")
    dockerfile = "FROM good:1\nRUN apt-get update\nRUN apt-get install -y x && curl -k https://x\n"
    (tmp_path / "src/one/Dockerfile").write_text(dockerfile)
    (point, *_) = [line for line in told(yard, "check-all").lines if line.startswith("warning")]
    assert point == "warning: no backup of the services' data is configured [no-backup]: host"
    concerns = [point.concern.rank for point in run(yard, ["one"], TODAY).services[0].open if point.severity.rank == 1]
    assert concerns == sorted(concerns)
    assert len(set(concerns)) > 2


@pytest.mark.parametrize(
    ("text", "fail_on", "exit_code"),
    [
        (GOOD, "note", 0),
        (GOOD + "ports: [80:80]\n", "note", 1),
        (GOOD + "ports: [80:80]\n", "warning", 0),
        (GOOD.replace("memory: 32m\n", ""), "error", 0),
        (GOOD.replace("memory: 32m\n", ""), "warning", 1),
        (GOOD + "extra_docker: --privileged\n", "error", 1),
        ("memroy: 1\n", "error", 1),
    ],
)
def test_the_exit_code_is_by_severity(host: Making, tmp_path: Path, text: str, fail_on: str, exit_code: int) -> None:
    """1 where a point is as bad as `--fail-on` says, or worse; what is accepted does not count."""
    service(tmp_path, text)
    assert told(host(), "check", "one", "--fail-on", fail_on).exit_code == exit_code


def test_a_service_without_points_is_ok(host: Making, tmp_path: Path) -> None:
    """One line, with the score; as JSON the score and an empty list."""
    service(tmp_path, GOOD)
    result = told(host(), "check", "one")
    assert result.lines == ["one: all ok, score 100"]
    assert result.data == {"score": 100, "scores": {"one": 100}, "points": [], "unchecked": []}


def test_everything_is_there_for_machines(wrong: Yard) -> None:
    """Each point is an object that JSON can hold, accepted ones with who accepted them and why."""
    rows: list[dict[str, Any]] = json.loads(json.dumps(told(wrong, "check-all").data, default=str))["points"]
    (row,) = [row for row in rows if row["service"] == "accepted"]
    assert row["accepted"]["reason"] == "it needs none"
    assert {"service", "id", "severity", "message", "where", "cis", "why", "write", "hint"} <= row.keys()


def test_a_severity_that_is_none_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """`--fail-on` takes three words."""
    exit_code = run_program("d", WORDS["check-all"].run, ["--fail-on", "fatal"])
    assert exit_code == 2
    assert "fatal" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------------------------ the table
def test_checks_are_told_apart_and_say_why() -> None:
    """Ids are words of small letters, every check has a title and a reason that ends as a sentence does."""
    for one in CHECKS.values():
        assert one.id.replace("-", "").isalnum()
        assert one.id.islower()
        assert one.title
        assert one.why.endswith(".")
    with pytest.raises(ValueError, match="already in use"):
        check("privileged", CHECKS["privileged"].severity, "again")(CHECKS["privileged"].function)


def test_a_fleet_is_asked_of_the_engine_at_once(host: Making, tmp_path: Path) -> None:
    """Two questions for a host, however many services it has."""
    engine = Answering()
    yard = host(engine=engine)
    for number in range(50):
        service(tmp_path, GOOD + f"ports: [{8000 + number}:80]\nmount_rw: data:/data\n", f"s{number:02}")
    began = time.monotonic()
    report = run(yard, [one.name for one in yard.services], TODAY)
    assert engine.asked == ["images", "networks"]
    assert len(report.services) == 50
    assert time.monotonic() - began < 60  # it takes one; a machine may be busy


# ------------------------------------------------------------------------------------------------------------ the guide
GUIDE = (GOLDEN.parents[1] / "docs/how-to/check-services.md").read_text(encoding="utf-8")


def _block(begin: str) -> str:
    """Return the indented block of the guide that begins so."""
    lines = GUIDE[GUIDE.index(f"    {begin}") :].splitlines()
    indented = lines[: next(number for number, line in enumerate(lines) if line and not line.startswith("    "))]
    return "\n".join(line.removeprefix("    ") for line in indented).rstrip()


def test_the_guide_shows_what_is_told(host: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines that it shows are those of a service that is as it says."""
    yard = host()
    service(tmp_path, "image: good:1\nread_only: true\n\nextra_docker: --privileged\n", "web")
    monkeypatch.chdir(tmp_path / "src")
    lines = "\n".join(told(yard, "check", "web").lines)
    assert _block("web/settings.yaml:4") in lines


def test_the_guides_acceptances_can_be_read(host: Making, tmp_path: Path) -> None:
    """Each of its ids is a check, and each covers a point of a service that is as it says."""
    yard = host()
    service(tmp_path, GOOD + "ports: [80:80]\ncap_add: SYS_NICE\ntest_cap_add: []\n" + _block("check:") + "\n")
    assert ids(yard, today=dt.date(2027, 6, 30)) == []
    assert ids(yard, today=dt.date(2027, 7, 1)) == ["capabilities-added"]
