"""Telling people of failures, through the addresses of `notify` in the host file: those of the apprise library."""

from dockyard.masking import known
from dockyard.settings.keys import NOTIFY
from dockyard.settings.resolve import Settings
from dockyard.telling import warn

INFO, SUCCESS, WARNING, FAILURE = "info", "success", "warning", "failure"
"""How bad a message is, in the words of apprise."""


def send(settings: Settings, title: str, body: str, severity: str = FAILURE) -> bool:
    """Send a text to all addresses, and return whether it reached any of them.

    What could not be sent is told, without the address: it may hold a password.
    """
    addresses = settings[NOTIFY]
    if not addresses:
        warn("no notification was sent: `notify` is not set in the host file")
        return False
    try:
        from apprise import Apprise
    except ImportError:
        warn("no notification was sent: the library apprise is missing\n  hint: pip install 'dockyard[notify]'")
        return False
    reached = False
    for number, address in enumerate(addresses, 1):
        service = Apprise()
        if not service.add(address):
            warn(f"notify: apprise does not know the kind of address {number}, `{address.partition(':')[0]}:`")
        elif service.notify(body=known.hide(body), title=known.hide(title), notify_type=severity):
            reached = True
        else:
            warn(f"notify: address {number}, `{address.partition(':')[0]}:`, could not be reached")
    return reached
