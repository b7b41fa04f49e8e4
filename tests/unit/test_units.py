"""systemd units: what systemd itself says of them, and that nothing of the user's is lost."""

import shutil
import subprocess
from pathlib import Path

import pytest

from dockyard import units
from dockyard.errors import DockyardError, UsageError

NEEDS_SYSTEMD = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")


@NEEDS_SYSTEMD
def test_systemd_takes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`systemd-analyze verify` has nothing to say, whatever the places are called."""
    monkeypatch.setenv("D_SRC_DIR", '/srv/my "services" %n')
    units.install(units.units(tmp_path, "Sun *-*-* 03:30"), force=False)
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, tmp_path.iterdir())],  # noqa: S607 - as the user calls it
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@NEEDS_SYSTEMD
def test_time_that_systemd_does_not_know_is_refused(tmp_path: Path) -> None:
    """Nothing is written for a timer that would never start."""
    with pytest.raises(UsageError, match="is no time"):
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
