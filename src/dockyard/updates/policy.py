"""What may be applied, and when: the update policy of a service, and what of it is in the way of an update."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from dockyard.plan.order import plain_reference
from dockyard.settings.keys import UPDATES
from dockyard.settings.resolve import Settings
from dockyard.settings.update_type import ALWAYS, Updates
from dockyard.updates.track import Limit, Track, parse_track
from dockyard.updates.version import Version
from dockyard.updates.window import Window, next_opening, parse_window

HOUR_SECONDS = 3600
DAY_SECONDS = 24 * HOUR_SECONDS
_UNIT_SECONDS: Mapping[str, int] = {"h": HOUR_SECONDS, "d": DAY_SECONDS, "w": 7 * DAY_SECONDS}

MAJOR, ALL, NONE = "major", "all", "none"


class Hold(NamedTuple):
    """What is not applied: `major` changes, `all` updates, nothing (`none`), or versions from `since` on."""

    text: str = NONE
    since: tuple[int, ...] = ()

    def covers(self, kind: str, version: Version | None) -> bool:
        """Return whether an update is held; `kind` is that of the change."""
        if self.since:
            return version is not None and Limit(">=", self.since).allows(version.numbers)
        return self.text == ALL or (self.text == MAJOR and kind == MAJOR)


class Policy(NamedTuple):
    """What a service's settings say of the updates of one image; times in seconds. No windows: any time."""

    track: Track = Track()
    hold: Hold = Hold()
    cooldown: int = 3 * DAY_SECONDS
    windows: tuple[Window, ...] = ()
    notes: str = ""
    remind: int = 14 * DAY_SECONDS
    rebuild: int = 7 * DAY_SECONDS

    def notes_of(self, version: str) -> str:
        """Return the address of the release notes of a version; empty if the settings name none."""
        return self.notes.replace("{version}", version)


class Blocker(NamedTuple):
    """Why an update is not applied now: `cooldown`, `held` or `window`; `until` when, None if that has no end."""

    kind: str
    text: str
    until: float | None = None


def load_policy(settings: Settings, image: str = "") -> Policy:
    """Return the policy of a service for one of the images that it builds on; without one, what holds for all."""
    updates = settings[UPDATES]
    names = {plain_reference(name): own for name, own in reversed(updates.images)}
    said = updates._replace(images=tuple(names.items())).of_image(plain_reference(image))
    return _read_policy(said)


def _read_policy(said: Updates) -> Policy:
    """Return a policy with the defaults of what is not said."""
    windows = said.window or (ALWAYS,)
    default = Policy()
    return Policy(
        parse_track(said.track or ""),
        _read_hold(said.hold or NONE),
        default.cooldown if said.cooldown is None else _seconds(said.cooldown),
        () if ALWAYS in windows else tuple(map(parse_window, windows)),
        said.notes or "",
        default.remind if said.remind is None else _seconds(said.remind),
        default.rebuild if said.rebuild is None else _seconds(said.rebuild),
    )


def _read_hold(text: str) -> Hold:
    if text in {MAJOR, ALL, NONE}:
        return Hold(text)
    return Hold(text, tuple(int(part) for part in text.removeprefix("v").split(".")))


def _seconds(text: str) -> int:
    """Return how long `3d` or `0` is."""
    return int(text[:-1]) * _UNIT_SECONDS[text[-1]] if re.fullmatch(r"\d+[hdw]", text, re.ASCII) else 0


def find_blockers(
    policy: Policy, *, now: datetime, first_seen: float, kind: str, version: Version | None = None
) -> tuple[Blocker, ...]:
    """Return what of a policy is in the way of an update, in the order in which it matters.

    `now` has the host's time zone. `first_seen` is when this host first saw the update, in seconds of the epoch: what
    is in the registry may have any date. `kind` is `major`, `minor`, `patch`, `digest` or `packages`.
    """
    found = [
        _held_blocker(policy.hold, kind, version),
        _cooldown_blocker(policy.cooldown, first_seen, now),
        _window_blocker(policy.windows, now),
    ]
    return tuple(blocker for blocker in found if blocker)


def _held_blocker(hold: Hold, kind: str, version: Version | None) -> Blocker | None:
    if not hold.covers(kind, version):
        return None
    return Blocker("held", f"held: {f'{hold.text} and later' if hold.since else hold.text}")


def _cooldown_blocker(cooldown: int, first_seen: float, now: datetime) -> Blocker | None:
    """Return the cooldown if it is not over; one that was first seen in the future, by a wrong clock, begins now."""
    until = min(first_seen, now.timestamp()) + cooldown
    if until <= now.timestamp():
        return None
    return Blocker("cooldown", f"in cooldown until {_shown(until, now)}", until)


def _window_blocker(windows: tuple[Window, ...], now: datetime) -> Blocker | None:
    opening = next_opening(windows, now)
    if opening <= now:
        return None
    return Blocker(
        "window",
        f"outside its window, which opens {opening:%a} {_shown(opening.timestamp(), now)}",
        opening.timestamp(),
    )


def _shown(moment: float, now: datetime) -> str:
    return f"{datetime.fromtimestamp(moment, UTC).astimezone(now.tzinfo):%Y-%m-%d %H:%M}"
