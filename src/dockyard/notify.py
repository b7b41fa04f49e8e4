"""Telling people of failures, through the addresses of `notify` in the host file: those of the apprise library."""

from dockyard.settings.keys import NOTIFY
from dockyard.settings.resolve import Settings
from dockyard.telling import warn


def send(settings: Settings, title: str, body: str) -> bool:
    """Send a text to all addresses, and return whether it reached any of them.

    What could not be sent is told, without the address: it may hold a password.
    """
    addresses = settings[NOTIFY]
    if not addresses:
        warn("nobody was notified: no `notify` in the host file")
        return False
    try:
        from apprise import Apprise
    except ImportError:
        warn("nobody was notified: the library apprise is missing\n  hint: pip install 'dockyard[notify]'")
        return False
    reached = False
    for number, address in enumerate(addresses, 1):
        service = Apprise()
        if not service.add(address):
            warn(f"notify: address {number} is none that apprise knows, `{address.partition(':')[0]}:`")
        elif service.notify(body=body, title=title):
            reached = True
        else:
            warn(f"notify: address {number}, `{address.partition(':')[0]}:`, could not be reached")
    return reached
