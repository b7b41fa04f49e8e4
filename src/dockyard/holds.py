"""Services that stay at the version that they run, until they are released or a date comes."""

import json
import time
from contextlib import suppress
from datetime import date, datetime
from pathlib import Path
from typing import NamedTuple

from dockyard import dossier
from dockyard.errors import DockyardError, UsageError
from dockyard.lock import user_name
from dockyard.secrets import state_directory
from dockyard.state_file import write_file
from dockyard.telling import warn

FILE = "hold.json"


class Hold(NamedTuple):
    """That a service is held: `since` and `until` are local times in ISO format, `until` empty if it has no end."""

    service: str
    since: str
    until: str = ""
    reason: str = ""
    user: str = ""

    def is_over(self, now: float) -> bool:
        """Return whether it has ended by itself; `now` is in seconds of the epoch."""
        return bool(self.until) and datetime.fromisoformat(self.until).timestamp() <= now

    def __str__(self) -> str:
        """Return its description."""
        end = f" until {self.until}" if self.until else ""
        reason = f": {self.reason}" if self.reason else ""
        return f"held{end}{reason}"


def hold(service: str, until: str = "", reason: str = "") -> Hold:
    """Hold a service; a hold that it has is replaced. Raises UsageError for a date that is none, or is over."""
    since = datetime.now().astimezone().isoformat(timespec="seconds")
    wanted = Hold(service, since, _date(until), " ".join(reason.split()), user_name())
    if wanted.is_over(time.time()):
        raise UsageError(f"--until {until} is in the past", hint="give a future date, such as 2027-03-31")
    place = dossier.place(service)
    try:
        write_file(place / FILE, json.dumps(wanted._asdict()))
    except OSError as error:
        raise DockyardError(
            f"{place / FILE}: {error.strerror}", hint="dockyard stores holds there; check its permissions"
        ) from None
    return wanted


def unhold(service: str) -> bool:
    """Release a service; returns whether it was held. Raises DockyardError."""
    try:
        _path(service).unlink()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise DockyardError(f"{_path(service)}: {error.strerror}", hint="remove the file as its owner") from None
    return True


def hold_of(service: str) -> Hold | None:
    """Return the hold of a service; None if it has none, or that has ended. Raises DockyardError."""
    path = _path(service)
    try:
        found = Hold(**json.loads(path.read_text(encoding="utf-8")))
        return None if found.is_over(time.time()) else found
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError):
        hint = f"remove the hold with `d unhold {service}`, or write it again with `d hold {service}`"
        raise DockyardError(f"{path}: the hold of {service} cannot be read", hint) from None


def all_holds() -> dict[str, Hold]:
    """Return all holds that have not ended, by service; a warning reports one that cannot be read."""
    found: dict[str, Hold] = {}
    for place in sorted((state_directory() / "services").glob(f"*/{FILE}")):
        try:
            if one := hold_of(place.parent.name):
                found[one.service] = one
        except DockyardError as error:
            warn(str(error))
    return found


def notices() -> dict[str, str]:
    """Return why nothing automatic upgrades services, by service: they are held, or were rolled back."""
    from dockyard.history import rolled_back

    found = {name: f"{event.image[:12]} was rolled back on {event.when}" for name, event in rolled_back().items()}
    for name, one in all_holds().items():
        found[name] = ", ".join(filter(None, [str(one), found.get(name)]))
    return found


def _path(service: str) -> Path:
    return state_directory() / "services" / service / FILE


def _date(text: str) -> str:
    """Return the beginning of a day, or a time, as written: `2027-03-31` or `2027-03-31T08:00`."""
    if not text:
        return ""
    with suppress(ValueError):
        date.fromisoformat(text)
        return text
    with suppress(ValueError):
        return datetime.fromisoformat(text).isoformat()
    raise UsageError(f"--until: `{text}` is not a date", hint="write it as 2027-03-31, or 2027-03-31T08:00")
