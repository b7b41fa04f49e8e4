"""The heartbeat: an address that is called after each good run, so that its owner notices when no run comes."""

import time
from collections.abc import Callable
from http import HTTPStatus
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from dockyard.telling import warn

PATIENCE = 10.0  # seconds for an answer
TRIES = 3
PAUSE = 2.0  # seconds between two tries


def call(address: str, pause: Callable[[float], None] = time.sleep) -> bool:
    """Call an address, and return whether it answered. The address may be a secret: a warning names only its host."""
    request = Request(address, headers={"User-Agent": "dockyard"})  # noqa: S310 - the key takes http and https alone
    reason = ""
    for number in range(TRIES):
        if number:
            pause(PAUSE)
        try:
            with urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310
                if answer.status < HTTPStatus.MULTIPLE_CHOICES:
                    return True
                reason = f"it answered {answer.status}"
        except (URLError, OSError, ValueError) as error:
            reason = _reason(error)
    warn(f"heartbeat: {urlsplit(address).hostname} could not be reached: {reason}")
    return False


def _reason(error: Exception) -> str:
    code = getattr(error, "code", None)
    return f"it answered {code}" if code else str(getattr(error, "reason", None) or type(error).__name__)
