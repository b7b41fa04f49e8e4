"""Which services start by themselves on this host, and in which wave."""

from dockyard.host import host_facts
from dockyard.settings.keys import AUTOSTART
from dockyard.settings.resolve import Settings
from dockyard.yard import Yard


def starts_here(settings: Settings) -> bool:
    """Return whether a service starts by itself on this host."""
    wave = settings[AUTOSTART]
    return wave is not None and wave.host in {"", host_facts().name}


def autostarting(yard: Yard) -> list[tuple[int, str]]:
    """Return wave and name of each service that starts by itself on this host, in the order of starting."""
    found = ((yard.load(service), service.name) for service in yard.services)
    return sorted(
        (settings[AUTOSTART].number, name)  # type: ignore[union-attr]
        for settings, name in found
        if starts_here(settings)
    )
