"""Times of the week at which updates may be applied, such as `Sun 03:00-05:00`, in local time."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAY = "(?:[Mm]on|[Tt]ue|[Ww]ed|[Tt]hu|[Ff]ri|[Ss]at|[Ss]un)"
_TIME = r"([01]?\d|2[0-4]):([0-5]\d)"
PATTERN = rf"(?:({_DAY}(?:-{_DAY})?(?:,{_DAY}(?:-{_DAY})?)*) +)?{_TIME}-{_TIME}"

_MINUTES_OF_DAY = 24 * 60
_DAYS_AHEAD = 9  # a week, and a day on each side for zones and windows past midnight


class WindowError(ValueError):
    """A text that does not say a time of the week."""


class Window(NamedTuple):
    """Days, 0 for Monday, on which a window begins, and the minutes of the day at which it begins and ends.

    One that ends before it begins lasts past midnight.
    """

    days: frozenset[int]
    begin: int
    end: int

    def is_open(self, now: datetime) -> bool:
        """Return whether it is open; `now` has the host's time zone."""
        minute = now.hour * 60 + now.minute
        today, yesterday = now.weekday() in self.days, (now.weekday() - 1) % 7 in self.days
        if self.begin < self.end:
            return today and self.begin <= minute < self.end
        return (today and minute >= self.begin) or (yesterday and minute < self.end)

    def next_opening(self, now: datetime) -> datetime:
        """Return when it is open next: `now` if it is open already.

        Clocks that are put forward or back count: a window whose hour a day does not have opens on another day, or as
        late as the clock allows.
        """
        if self.is_open(now):
            return now
        moments = (*_changes_of_clock(now), *self._beginnings(now))
        later = (moment for moment in moments if moment.timestamp() > now.timestamp() and self.is_open(moment))
        return min(later, key=datetime.timestamp, default=now + timedelta(days=_DAYS_AHEAD))

    def _beginnings(self, now: datetime) -> Iterator[datetime]:
        """Yield the moments of the next days at which it begins; an hour that is there twice begins twice."""
        hour, minute = divmod(self.begin, 60)
        for days in range(_DAYS_AHEAD):
            local = (now + timedelta(days=days)).replace(hour=hour, minute=minute, second=0, microsecond=0)
            for fold in (0, 1):
                yield local.replace(fold=fold).astimezone(UTC).astimezone(now.tzinfo)


def parse_window(text: str) -> Window:
    """Return the window that a text names. Raises WindowError."""
    found = re.fullmatch(PATTERN, text.strip(), re.ASCII)
    if not found:
        raise WindowError(f"`{text}` is not a time of the week")
    begin, end = int(found[2]) * 60 + int(found[3]), int(found[4]) * 60 + int(found[5])
    if begin >= _MINUTES_OF_DAY or end > _MINUTES_OF_DAY:
        raise WindowError(f"`{text}` is past the end of the day")
    if begin == end:
        raise WindowError(f"`{text}` begins when it ends")
    return Window(_days(found[1] or "mon-sun"), begin, end)


def next_opening(windows: Iterable[Window], now: datetime) -> datetime:
    """Return when one of the windows is open next: `now` if one is, or if there are none."""
    return min((window.next_opening(now) for window in windows), default=now, key=datetime.timestamp)


def _days(text: str) -> frozenset[int]:
    found: set[int] = set()
    for part in text.lower().split(","):
        first, _, last = part.partition("-")
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found |= {day % 7 for day in range(begin, end + 1 if begin <= end else end + 8)}
    return frozenset(found)


def _changes_of_clock(now: datetime) -> Iterator[datetime]:
    """Yield the moments of the next days at which the clock is put forward or back, to the minute."""
    begin = now.astimezone(UTC).replace(second=0, microsecond=0)
    for days in range(_DAYS_AHEAD):
        early, late = begin + timedelta(days=days), begin + timedelta(days=days + 1)
        before = early.astimezone(now.tzinfo).utcoffset()
        if late.astimezone(now.tzinfo).utcoffset() == before:
            continue
        while late - early > timedelta(minutes=1):
            middle = early + timedelta(minutes=(late - early) // timedelta(minutes=2))
            is_before = middle.astimezone(now.tzinfo).utcoffset() == before
            early, late = (middle, late) if is_before else (early, middle)
        yield late.astimezone(now.tzinfo)
