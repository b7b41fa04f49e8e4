"""systemd units: what systemd itself says of them, and that nothing of the user's is lost."""

import shutil
import subprocess
from pathlib import Path

import pytest

from dockyard import units
from dockyard.errors import DockyardError, UsageError

NEEDS_SYSTEMD = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")


@pytest.mark.matrix
@NEEDS_SYSTEMD
def test_systemd_takes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`systemd-analyze verify` has nothing to say of them, whatever the places are called.

    It loads units of the host with them, and may have something to say of these: systemd 262 has of Debian's xfsprogs.
    """
    monkeypatch.setenv("D_SRC_DIR", '/srv/my "services" %n')
    units.install(units.units(tmp_path, "Sun *-*-* 03:30", units.SCANNERS), force=False)
    assert len(list(tmp_path.iterdir())) == len(units.NAMES) + 3
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, tmp_path.iterdir())],  # noqa: S607 - as the user calls it
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, [line for line in done.stderr.splitlines() if "dockyard" in line]) == (0, [])


@NEEDS_SYSTEMD
def test_time_that_systemd_does_not_know_is_refused(tmp_path: Path) -> None:
    """Nothing is written for a timer that would never start."""
    with pytest.raises(UsageError, match="does not accept the time"):
        units.units(tmp_path, "every other day")


def test_what_was_changed_stays(tmp_path: Path) -> None:
    """A unit that somebody changed is neither written over nor removed, unless forced; others are not touched first."""
    units.install(units.units(tmp_path, "04:00"), force=False)
    mine = tmp_path / units.NAMES[2]
    mine.write_text("mine")
    for act in (units.install, units.remove):
        with pytest.raises(DockyardError, match=r"upgrade\.timer"):
            act(units.units(tmp_path, "04:00"), force=False)
    assert mine.read_text() == "mine"
    units.install(units.units(tmp_path, "04:00"), force=True)
    assert mine.read_text() != "mine"
    assert {path.name for path in units.remove(units.units(tmp_path, "04:00"), force=False)} == set(units.NAMES)
    assert not list(tmp_path.iterdir())


def test_no_secret_gets_into_a_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Units are for all to read: variables that hold secrets are left out, those that name places are in."""
    monkeypatch.setenv("DOCKYARD_PUID", "hidden")
    monkeypatch.setenv("DOCKYARD_NOTIFY", "json://user:hidden@example")
    monkeypatch.setenv("DOCKYARD_ENV", "[PASSWORD=hidden]")
    monkeypatch.setenv("D_SRC_DIR", "/srv/services")
    texts = [unit.text for unit in units.units(tmp_path, "04:00")]
    assert not any("hidden" in text for text in texts)
    assert 'Environment="D_SRC_DIR=/srv/services"' in texts[0]


def test_scanner_s_units_are_there_when_they_are_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was installed is what is removed; a user's own have no limits that only root's manager can set."""
    assert units.installed_scanners(tmp_path) == []
    monkeypatch.setattr(units, "is_hosts_root", lambda: True)
    units.install(units.units(tmp_path, "04:00", units.scanners("watch")), force=False)
    assert units.installed_scanners(tmp_path) == ["watch"]
    assert "ProtectSystem=strict" in (tmp_path / "dockyard-cowscan.service").read_text()
    assert (
        f"enable --now {' '.join(units.TIMERS)} dockyard-cowscan.service"
        in units.commands(removing=False, scanners=["watch"])[-1]
    )
    units.remove(units.units(tmp_path, "04:00", ["watch"]), force=False)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(units, "is_hosts_root", lambda: False)
    assert not any("Protect" in unit.text for unit in units.units(tmp_path, "04:00", units.scanners("timer")))
    with pytest.raises(UsageError, match="only root on the host"):
        units.scanners("watch")


def test_the_path_is_the_system_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the shell that wrote the units is in them, but where the engine is."""
    engine = tmp_path / "opt/docker"
    engine.parent.mkdir()
    engine.touch(mode=0o755)
    monkeypatch.setenv("PATH", f"/root/.pyenv/shims:{engine.parent}:/root/.cargo/bin")
    unit, *_ = units.units(tmp_path, "04:00")
    (line,) = [line for line in unit.text.splitlines() if "PATH=" in line]
    assert line == f'Environment="PATH={units.HOSTS_PATH}:{engine.parent}"'


@pytest.mark.parametrize(("is_root", "way"), [(True, ["watch"]), (False, ["timer"])])
def test_cowscan_has_a_usual_way(monkeypatch: pytest.MonkeyPatch, is_root: bool, way: list[str]) -> None:
    """`--cowscan` without a value is what this user can do."""
    from dockyard.cli.parser import Parser
    from dockyard.cli.verb import VERBS
    from dockyard.cli.verbs import host

    assert host
    monkeypatch.setattr(units, "is_hosts_root", lambda: is_root)
    given = Parser("d", "", VERBS["install-units"].options).read(["--cowscan", "--force"])
    assert units.scanners(given["cowscan"]) == way
    assert units.scanners(Parser("d", "", VERBS["install-units"].options).read([])["cowscan"]) == []


def test_cleaning_has_a_timer(tmp_path: Path) -> None:
    """It is written, enabled and removed with the others."""
    texts = {unit.path.name: unit.text for unit in units.units(tmp_path, "04:00")}
    assert "clean --wait 600\n" in texts["dockyard-clean.service"]
    assert "OnCalendar=" in texts["dockyard-clean.timer"]
    assert "dockyard-clean.timer" in units.commands(removing=False)[-1]
    assert "dockyard-clean.timer" in units.commands(removing=True)[0]


def test_every_word_is_filled_in(tmp_path: Path) -> None:
    """No template's word is left in any unit."""
    assert not [unit.path.name for unit in units.units(tmp_path, "04:00", units.SCANNERS) if "@" in unit.text]
