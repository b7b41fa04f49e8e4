"""Which digest a service builds on, if that is not the one that the host's tag names.

`FROM debian:12` names one image for all services of a host, but not all of them take a newer one at the same time: one
waits, another is held, the Test of a third has failed with it. So the tag stays where it is until they agree; what a
service has taken before is stored here, and its builds name that digest.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from dockyard.errors import DockyardError
from dockyard.secrets import state_directory
from dockyard.state_file import locked_file, write_file

Choices = Mapping[str, str]
"""From what a Dockerfile says to the reference that a build takes for it: the same with a digest."""


def path() -> Path:
    """Return where they are stored."""
    return state_directory() / "bases.json"


def load_choices() -> dict[str, dict[str, str]]:
    """Return the choices of all services. Raises DockyardError for a file that cannot be read."""
    try:
        found = json.loads(path().read_text(encoding="utf-8"))
        return {str(service): {str(k): str(v) for k, v in chosen.items()} for service, chosen in found.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError) as error:
        raise DockyardError(
            f"{path()}: it cannot be read: {error}",
            hint="remove it: services are then built on the images that this host's tags name",
        ) from None


def choices_of(service: str) -> Choices:
    """Return the choices of one service. Raises DockyardError as `load_choices` does."""
    return load_choices().get(service, {})


def set_choices(service: str, chosen: Choices) -> None:
    """Replace the choices of a service. Raises DockyardError."""
    change_choices(lambda known: {**known, service: chosen})


def change_choices(change: Callable[[Mapping[str, Choices]], Mapping[str, Choices]]) -> None:
    """Change the choices of all services, with no other command in between. Raises DockyardError."""
    try:
        with locked_file(path().with_suffix(".lock")):
            changed = {service: dict(chosen) for service, chosen in change(load_choices()).items() if chosen}
            write_file(path(), json.dumps(changed, indent=1))
    except OSError as error:
        raise DockyardError(
            f"{path()}: {error.strerror}",
            hint="dockyard stores the base images of services there; check its permissions",
        ) from None
