"""The host's time zone with its rules, so that times to come are right when the clock is put forward or back."""

import os
from contextlib import suppress
from datetime import datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

LOCALTIME = Path("/etc/localtime")


def host_zone() -> tzinfo:
    """Return the time zone of `TZ`, else of /etc/localtime, else the offset that the clock has now."""
    name = os.environ.get("TZ", "").removeprefix(":")
    with suppress(OSError, ValueError, KeyError):
        return ZoneInfo(name)
    if not name:
        with suppress(OSError, ValueError), LOCALTIME.open("rb") as file:
            return ZoneInfo.from_file(file)
    return datetime.now().astimezone().tzinfo or ZoneInfo("UTC")


def host_now() -> datetime:
    """Return the time now, in the host's time zone."""
    return datetime.now(host_zone())
