"""Where this host stores what it knows of registries: a small file in the state directory."""

import json
from collections.abc import Callable
from pathlib import Path

from dockyard.errors import DockyardError
from dockyard.secrets import state_directory
from dockyard.state_file import locked_file, write_file
from dockyard.updates.sightings import Memory, from_json, to_json


def path() -> Path:
    """Return where it is stored."""
    return state_directory() / "upstream.json"


def load_memory() -> Memory:
    """Return what is known. Raises DockyardError for a file that cannot be read.

    A new file would have every digest seen for the first time now: updates would wait once more, and none is lost.
    """
    try:
        return from_json(json.loads(path().read_text(encoding="utf-8")))
    except FileNotFoundError:
        return Memory()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise DockyardError(
            f"{path()}: it cannot be read: {error}",
            hint="remove it: registries are then asked again, and every cooldown starts again",
        ) from None


def change_memory(change: Callable[[Memory], Memory]) -> Memory:
    """Change what is known, with no other command in between, and return it. Raises DockyardError."""
    try:
        with locked_file(path().with_suffix(".lock")):
            changed = change(load_memory())
            write_file(path(), json.dumps(to_json(changed)))
            return changed
    except OSError as error:
        raise DockyardError(
            f"{path()}: {error.strerror}", hint="dockyard stores the registries' answers there; check its permissions"
        ) from None
