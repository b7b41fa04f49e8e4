"""The host's time zone, with its rules."""

from datetime import datetime
from pathlib import Path
from zoneinfo import TZPATH

import pytest

from dockyard.updates import zone

SUMMER, WINTER = datetime(2026, 7, 1), datetime(2026, 12, 1)  # noqa: DTZ001 - local times


def _hours() -> list[float]:
    """Return the offsets of the host's zone in summer and winter."""
    moments = (moment.replace(tzinfo=zone.host_zone()).utcoffset() for moment in (SUMMER, WINTER))
    return [offset.total_seconds() / 3600 for offset in moments if offset is not None]


@pytest.mark.parametrize("text", ["Europe/Vienna", ":Europe/Vienna"])
def test_the_variable_wins(monkeypatch: pytest.MonkeyPatch, text: str):
    monkeypatch.setenv("TZ", text)
    assert _hours() == [2, 1]


def test_the_file_of_the_host_counts_without_a_variable(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("TZ", raising=False)
    files = (Path(place, "America/New_York") for place in TZPATH)
    monkeypatch.setattr(zone, "LOCALTIME", next(file for file in files if file.exists()))
    assert _hours() == [-4, -5]


def test_without_either_the_offset_of_now_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.delenv("TZ", raising=False)
    monkeypatch.setattr(zone, "LOCALTIME", tmp_path / "localtime")
    assert len(_hours()) == 2


@pytest.mark.parametrize("text", ["No/Such", "../etc/passwd", "/etc/passwd", "UTC0"])
def test_a_variable_that_names_no_zone_stops_nothing(monkeypatch: pytest.MonkeyPatch, text: str):
    monkeypatch.setenv("TZ", text)
    assert zone.host_now().utcoffset() is not None
