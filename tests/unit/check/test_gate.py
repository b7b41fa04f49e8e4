"""What an upgrade refuses at its start: errors of `d check` with which it cannot succeed."""

from pathlib import Path

import pytest

from dockyard import upgrade
from dockyard.check.gate import refusals
from dockyard.check.registry import CHECKS
from dockyard.errors import SettingsError
from tests.unit.check.conftest import Making


def services(top: Path, **texts: str) -> None:
    for name, text in texts.items():
        (top / "src" / name).mkdir(parents=True)
        (top / "src" / name / "settings.yaml").write_text(text)


def test_a_taken_port_is_refused_in_the_words_of_check(host: Making, tmp_path: Path) -> None:
    """With the line of either service, for both; others are not refused."""
    yard = host()
    services(
        tmp_path, one="image: good:1\nports: [80:80]\n", two="image: good:1\nports: [80:1]\n", three="image: good:1\n"
    )
    found = refusals(yard, ["one", "two", "three"])
    assert set(found) == {"one", "two"}
    line = (
        "host port `0.0.0.0:80:80` (there `0.0.0.0:80:1`) is also used by `two`, src/two/settings.yaml:2 [port-taken]"
    )
    hint = "  hint: give one of them another port"
    assert found["one"].lines() == [f"src/one/settings.yaml:2: {line}", hint]


def test_what_is_accepted_is_not_refused(host: Making, tmp_path: Path) -> None:
    """Two services of which only one is ever up may have one port."""
    yard = host()
    accepted = "check: [{id: port-taken, reason: only one of them is up}]\n"
    services(tmp_path, one=f"image: good:1\nports: [80:80]\n{accepted}", two="image: good:1\nports: [80:1]\n")
    assert set(refusals(yard, ["one", "two"])) == {"two"}


def test_a_warning_or_an_error_with_which_a_service_works_is_not_refused(host: Making, tmp_path: Path) -> None:
    """That a container is privileged is an error, and keeps no upgrade from succeeding."""
    yard = host()
    services(tmp_path, one="image: good:1\nprivileged: true\nnetwork: host\n")
    assert refusals(yard, ["one"]) == {}
    assert {check.id for check in CHECKS.values() if check.stops} == {
        *("name-taken", "port-taken", "address-taken", "mount-source-missing", "network-missing")
    }


def test_nothing_is_built_of_what_is_refused(host: Making, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal comes before everything else."""
    yard = host()
    services(tmp_path, one="image: good:1\nnetwork: nowhere\n")
    monkeypatch.setattr(upgrade, "prepare", None)
    monkeypatch.setattr("dockyard.recovery.settle", lambda *_: None)
    with pytest.raises(SettingsError, match=r"the network `nowhere` does not exist \[network-missing\]"):
        upgrade.upgrade(yard, yard.named("one"), upgrade.Wanted(), print)
