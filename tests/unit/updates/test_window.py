"""Windows: when one is open, and when it opens next, also where the clock is put forward or back."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.updates.window import DAYS, WindowError, next_opening, parse_window

VIENNA = ZoneInfo("Europe/Vienna")
# 2026-03-29: 02:00 becomes 03:00; 2026-10-25: 03:00 becomes 02:00; both are Sundays.


def _at(text: str, zone: ZoneInfo = VIENNA, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)


@pytest.mark.parametrize(
    ("window", "now", "is_open"),
    [
        ("Sun 03:00-05:00", "2026-11-29 03:00", True),
        ("Sun 03:00-05:00", "2026-11-29 04:59", True),
        ("Sun 03:00-05:00", "2026-11-29 05:00", False),
        ("Sun 03:00-05:00", "2026-11-30 03:30", False),
        ("03:00-05:00", "2026-11-30 03:30", True),
        ("Mon-Fri 22:00-02:00", "2026-11-27 23:00", True),
        ("Mon-Fri 22:00-02:00", "2026-11-28 01:59", True),
        ("Mon-Fri 22:00-02:00", "2026-11-28 02:00", False),
        ("Mon-Fri 22:00-02:00", "2026-11-28 23:00", False),
        ("Mon-Fri 22:00-02:00", "2026-11-30 01:00", False),
        ("Fri-Mon 10:00-11:00", "2026-11-29 10:30", True),
        ("Fri-Mon 10:00-11:00", "2026-12-01 10:30", False),
        ("mon,wed,sat-sun 10:00-11:00", "2026-12-02 10:30", True),
        ("mon,wed,sat-sun 10:00-11:00", "2026-12-03 10:30", False),
        ("00:00-24:00", "2026-12-03 23:59", True),
        ("23:00-24:00", "2026-12-04 00:00", False),
        ("Sun 02:30-03:30", "2026-03-29 03:10", True),
        ("Sun 02:30-02:45", "2026-10-25 02:40", True),
    ],
)
def test_a_window_is_open_by_the_clock_on_the_wall(window: str, now: str, is_open: bool):
    assert parse_window(window).is_open(_at(now)) is is_open


@pytest.mark.parametrize(
    ("window", "now", "opening"),
    [
        ("Sun 03:00-05:00", "2026-11-26 10:14", "2026-11-29 03:00"),
        ("Sun 03:00-05:00", "2026-11-29 04:14", "2026-11-29 04:14"),
        ("Sun 03:00-05:00", "2026-11-29 05:00", "2026-12-06 03:00"),
        ("Mon-Fri 22:00-02:00", "2026-11-28 03:00", "2026-11-30 22:00"),
        ("02:30-03:30", "2026-03-29 01:00", "2026-03-29 03:00"),
        ("02:10-02:50", "2026-03-29 01:00", "2026-03-30 02:10"),
        ("Sun 02:10-02:50", "2026-03-29 01:00", "2026-04-05 02:10"),
        ("Sun 03:00-05:00", "2026-03-28 12:00", "2026-03-29 03:00"),
        ("Sun 02:30-02:45", "2026-10-25 01:00", "2026-10-25 02:30"),
    ],
)
def test_the_next_opening_is_found(window: str, now: str, opening: str):
    assert parse_window(window).next_opening(_at(now)) == _at(opening)


def test_an_hour_that_is_there_twice_opens_twice():
    window = parse_window("Sun 02:30-02:45")
    again = window.next_opening(_at("2026-10-25 02:50"))
    assert again.timestamp() == _at("2026-10-25 02:30", fold=1).timestamp()
    put_back = parse_window("01:30-02:30").next_opening(_at("2026-10-25 02:45"))
    assert put_back.timestamp() == _at("2026-10-25 02:00", fold=1).timestamp()


def test_the_first_of_several_windows_counts():
    windows = [parse_window("Sun 03:00-05:00"), parse_window("Wed 03:00-05:00")]
    assert next_opening(windows, _at("2026-11-30 10:00")) == _at("2026-12-02 03:00")
    assert next_opening([], _at("2026-11-30 10:00")) == _at("2026-11-30 10:00")


@pytest.mark.parametrize(
    "text", ["", "Sun", "03:00", "3-5", "Sunday 03:00-05:00", "03:00-25:00", "24:00-01:00", "03:00-24:30"]
)
def test_what_is_no_window_is_refused(text: str):
    with pytest.raises(WindowError):
        parse_window(text)


_TIMES = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 15, 30, 59]))
_DAYS = st.lists(st.sampled_from(DAYS), min_size=1, max_size=2).map("-".join)
_ZONES = st.sampled_from(["Europe/Vienna", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Africa/Cairo"])
_YEAR = datetime(2026, 1, 1, tzinfo=UTC)
_MINUTES = st.integers(0, 365 * 24 * 60) | st.sampled_from([86, 296, 93, 65]).map(lambda day: day * 24 * 60)


@given(_DAYS, _TIMES, _TIMES, _ZONES, _MINUTES)
def test_nothing_is_open_before_the_next_opening(days: str, begin: str, end: str, zone: str, minutes: int):
    if begin == end:
        return
    window, now = parse_window(f"{days} {begin}-{end}"), (_YEAR + timedelta(minutes=minutes)).astimezone(ZoneInfo(zone))
    opening = window.next_opening(now)
    assert window.is_open(opening)
    length = opening.timestamp() - now.timestamp()
    moments = [opening.timestamp() - 60, *(now.timestamp() + length * part / 97 for part in range(97))]
    before = [
        datetime.fromtimestamp(one, now.tzinfo) for one in moments if now.timestamp() <= one < opening.timestamp()
    ]
    assert not any(map(window.is_open, before))
