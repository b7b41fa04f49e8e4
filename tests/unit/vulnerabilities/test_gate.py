"""No worse than what runs: which images are promoted, and that a scanner that fails lets none pass."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dockyard import history
from dockyard.engine.models import Image
from dockyard.errors import DockyardError
from dockyard.vulnerabilities import scanner
from dockyard.vulnerabilities.gate import check_vulnerabilities, scan_candidate
from dockyard.vulnerabilities.report import Vulnerability
from tests.unit.vulnerabilities.test_report import OPENSSL, grype

OLD, NEW = Image("a" * 64, tags=("r/web:live",), content="old"), Image("b" * 64, tags=("r/web:latest",), content="new")
CURL = Vulnerability("CVE-2026-0002", "curl", "8.1", "low")
SCRIPT = """#!/bin/sh
echo "$@" >>"$(dirname "$0")/calls"
cat "$(dirname "$0")/$(basename "$1")"
"""


class Settings:
    """Settings that have what a test gives them."""

    def __init__(self, **values: Any) -> None:  # noqa: ANN401 - a value of a key
        self.values = values

    def __getitem__(self, key: Any) -> Any:  # noqa: ANN401
        """Return the value of a key."""
        return self.values[key.name]


class Host:
    """A host with a scanner, which writes what the test has put down for an image, and notes each call."""

    def __init__(self, place: Path) -> None:
        self.place = place
        program = place / "scanner"
        program.write_text(SCRIPT)
        program.chmod(0o755)
        self.settings = Settings(scan_command=(str(program), "{image}", "-q"), scan_severity="high")
        self.engine = self
        self.service: Any = SimpleNamespace(name="web")
        self.there = {image.tags[0]: image for image in (OLD, NEW)}
        self.finds(OLD)
        self.finds(NEW)

    def images(self, references: Iterable[str]) -> dict[str, Image]:
        """Return those that exist, by tag or id."""
        known = {**self.there, **{f"sha256:{image.id}": image for image in (OLD, NEW)}}
        return {name: known[name] for name in references if name in known}

    def finds(self, image: Image, *found: Vulnerability) -> None:
        """Have the scanner find this in an image."""
        self.writes(image, json.dumps(grype(*found)))

    def writes(self, image: Image, text: str) -> None:
        """Have the scanner write this about an image."""
        (self.place / image.tags[0].rpartition("/")[2]).write_text(text)

    @property
    def command(self) -> tuple[str, ...]:
        """The command that scans."""
        return self.settings.values["scan_command"]

    @command.setter
    def command(self, words: tuple[str, ...]) -> None:
        self.settings.values["scan_command"] = words

    @property
    def calls(self) -> list[str]:
        """The arguments of each call."""
        path = self.place / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def check(self, running: Image | None = OLD) -> str:
        """Check the new image."""
        yard: Any = self
        return check_vulnerabilities(yard, self.service, NEW, running)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """Return a host, whose state is in a directory of the test's own."""
    for module in (history, scanner):
        monkeypatch.setattr(module, "state_directory", lambda: tmp_path / "state")
    (tmp_path / "bin").mkdir()
    return Host(tmp_path / "bin")


def test_what_is_fixed_is_reported_and_recorded(host: Host) -> None:
    """Vulnerabilities that both images have are no reason to stay with the old one."""
    host.finds(OLD, OPENSSL, CURL)
    host.finds(NEW, CURL)
    assert host.check() == "vulnerabilities: 1 fixed, 0 new, 1 left"
    event = history.events("web")[0]
    assert (event.action, event.result, event.image) == ("scan", "ok", NEW.id)
    assert event.detail["vulnerabilities"] == "vulnerabilities: 1 fixed, 0 new, 1 left"
    assert host.calls == ["r/web:latest -q", "r/web:live -q"]


def test_a_new_severe_vulnerability_is_refused(host: Host) -> None:
    """The error lists it; one that is not severe is only counted."""
    host.finds(NEW, OPENSSL, CURL)
    with pytest.raises(
        DockyardError, match=r"runs now, does not have: CVE-2026-0001 in openssl 3\.0\.15 \(high\)$"
    ) as caught:
        host.check()
    assert "CVE-2026-0002" not in str(caught.value)
    host.finds(NEW, CURL)
    host.command += ("--again",)
    assert host.check() == "vulnerabilities: 0 fixed, 1 new, 0 left"


def test_the_same_vulnerability_in_another_version_is_the_same(host: Host) -> None:
    """A package that was upgraded and is not fixed yet is not worse."""
    host.finds(OLD, OPENSSL)
    host.finds(NEW, OPENSSL._replace(version="3.0.16"))
    assert host.check() == "vulnerabilities: 0 fixed, 0 new, 1 left"


def test_the_host_says_what_is_severe(host: Host) -> None:
    """With scan_severity: low, anything new that has a severity is refused."""
    host.finds(NEW, CURL)
    host.settings.values["scan_severity"] = "low"
    with pytest.raises(DockyardError, match="CVE-2026-0002"):
        host.check()


def test_many_are_counted(host: Host) -> None:
    """The worst come first."""
    worst = OPENSSL._replace(id="CVE-9999", severity="critical")
    host.finds(NEW, worst, *(OPENSSL._replace(id=f"CVE-{number:02}") for number in range(20)))
    with pytest.raises(DockyardError, match=r"have: CVE-9999 in .* and 13 more$"):
        host.check()


def test_what_was_found_today_is_not_searched_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tomorrow it is: the scanner may have learned of more."""
    host.check()
    host.check()
    assert len(host.calls) == 2
    monkeypatch.setattr(scanner, "_today", lambda: "2099-01-01")
    host.check()
    assert len(host.calls) == 4


def test_a_vulnerability_of_which_the_scanner_learned_in_between_is_not_new(host: Host) -> None:
    """What runs is scanned again before an image is refused."""
    host.check(running=OLD)
    host.finds(OLD, OPENSSL)
    host.finds(NEW, OPENSSL)
    yard: Any = host
    scanner.Scanner(yard).scan(NEW)
    assert host.check() == "vulnerabilities: 0 fixed, 0 new, 1 left"


def test_without_anything_that_runs_nothing_is_refused(host: Host) -> None:
    """There is nothing that it could be worse than."""
    host.finds(NEW, OPENSSL, CURL)
    assert host.check(None) == "vulnerabilities: 2, 1 of severity high or worse; nothing runs yet"


def test_the_same_content_is_not_scanned(host: Host) -> None:
    """Nor is anything on a host without a scanner."""
    yard: Any = host
    assert check_vulnerabilities(yard, host.service, NEW, NEW._replace(id="c")) == ""
    host.command = ()
    assert host.check() == ""
    assert scan_candidate(yard, host.service, NEW.id, OLD.id) == ()
    assert host.calls == []


@pytest.mark.parametrize("image", [OLD, NEW])
@pytest.mark.parametrize(
    ("text", "said"), [("", "cannot be used: it is not JSON"), ("{}", "neither JSON of grype or trivy nor SARIF")]
)
def test_a_scanner_that_writes_rubbish_lets_nothing_pass(host: Host, image: Image, text: str, said: str) -> None:
    """Whichever of the two images it is about."""
    host.writes(image, text)
    with pytest.raises(DockyardError, match=said):
        host.check()


def test_a_scanner_that_fails_lets_nothing_pass(host: Host) -> None:
    """With a report, too; what it says of that is in the hint."""
    (host.place / "scanner").write_text('#!/bin/sh\necho {\\"matches\\": []}; echo no database >&2; exit 3\n')
    with pytest.raises(DockyardError, match="ended with exit code 3") as caught:
        host.check()
    assert caught.value.hint.startswith("no database\n")


def test_a_scanner_that_is_not_there_lets_nothing_pass(host: Host) -> None:
    """The error names it."""
    host.command = ("/nowhere/grype", "{image}")
    with pytest.raises(DockyardError, match="scan_command: /nowhere/grype: No such file"):
        host.check()


def test_a_scanner_that_does_not_end_is_ended(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """After SCAN_SECONDS."""
    (host.place / "scanner").write_text("#!/bin/sh\nexec sleep 600\n")
    monkeypatch.setattr(scanner, "SCAN_SECONDS", 0.1)
    with pytest.raises(DockyardError, match=r"timed out after 0\.1 s"):
        host.check()


def test_a_command_that_names_no_image_is_refused(host: Host) -> None:
    """It would find the same in each."""
    host.command = (str(host.place / "scanner"), "r/web:live")
    with pytest.raises(DockyardError, match="scan_command names no image"):
        host.check()


def test_a_tag_that_moved_during_the_scan_is_an_error(host: Host) -> None:
    """Then another image may have been scanned."""
    host.there["r/web:latest"] = OLD
    with pytest.raises(DockyardError, match="r/web:latest was re-tagged while"):
        host.check()


def test_words_of_the_command_reach_no_shell(host: Host) -> None:
    """Each is one argument, whatever is in it."""
    host.command = (*host.command, "$(reboot)", "--name={image}", "a b; c")
    host.check()
    assert host.calls[0] == "r/web:latest -q $(reboot) --name=r/web:latest a b; c"


def test_force_promotes_and_says_so(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user has named the service, and has seen the error."""
    monkeypatch.setattr("dockyard.replace.production", lambda *_: None)
    host.finds(NEW, OPENSSL)
    yard: Any = host
    with pytest.raises(DockyardError):
        scan_candidate(yard, host.service, NEW.id, OLD.id)
    (line,) = scan_candidate(yard, host.service, NEW.id, OLD.id, is_forced=True)
    assert line.startswith("promoted with --force, although web: bbbbbbbbbbbb has vulnerabilities")


def test_production_decides_what_runs(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is live may not have been launched yet."""
    monkeypatch.setattr("dockyard.replace.production", lambda *_: SimpleNamespace(image_id=OLD.id))
    yard: Any = host
    assert scan_candidate(yard, host.service, NEW.id, NEW.id) == ("vulnerabilities: 0 fixed, 0 new, 0 left",)


def test_results_are_private_and_removed_after_a_week(host: Host) -> None:
    """They say where a host can be attacked."""
    host.check()
    results = sorted((host.place.parent / "state/scans").iterdir())
    assert [path.stat().st_mode & 0o077 for path in results] == [0, 0]
    os.utime(results[0], (1, 1))
    host.command += ("--again",)
    host.check()
    assert not results[0].exists()
    assert results[1].exists()
