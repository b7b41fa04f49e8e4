"""Which services start by themselves on this host, and in which wave."""

from collections.abc import Mapping

from dockyard.host import host_facts
from dockyard.settings.keys import AUTOSTART
from dockyard.settings.resolve import Settings


def starts_here(settings: Settings) -> bool:
    """Return whether a service starts by itself on this host."""
    wave = settings[AUTOSTART]
    return wave is not None and wave.host in {"", host_facts().name}


def autostarting(services: Mapping[str, Settings]) -> list[tuple[int, str]]:
    """Return wave and name of each service that starts by itself on this host, in the order of starting."""
    return sorted(
        (settings[AUTOSTART].number, name)  # type: ignore[union-attr]
        for name, settings in services.items()
        if starts_here(settings)
    )
