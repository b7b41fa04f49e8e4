"""Which services start by themselves on a host, and in which wave."""

from collections.abc import Mapping

from dockyard.settings.keys import AUTOSTART
from dockyard.settings.resolve import Settings


def starts_here(settings: Settings, host: str) -> bool:
    """Return whether a service starts by itself on the host of that name."""
    wave = settings[AUTOSTART]
    return wave is not None and wave.host in {"", host}


def autostarting(services: Mapping[str, Settings], host: str) -> list[tuple[int, str]]:
    """Return wave and name of each service that starts by itself on a host, in the order of starting."""
    return sorted(
        (settings[AUTOSTART].number, name)  # type: ignore[union-attr]
        for name, settings in services.items()
        if starts_here(settings, host)
    )
