"""Whether two images have the same content, under whatever ids: read once, and remembered by content."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.errors import DockyardError
from dockyard.packages.compare import has_same_files
from dockyard.secrets import state_directory
from dockyard.state_file import write_file
from dockyard.surface.residue import RESIDUE
from dockyard.telling import warn

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine
    from dockyard.engine.models import Image

MAX_REMEMBERED = 1000
Answers = dict[str, bool]


def have_same_content(engine: "Engine", one: "Image", other: "Image") -> bool:
    """Return whether two images differ in nothing that counts; that they cannot be read is reported, and a no."""
    if one.equals(other):
        return True
    if not one.configuration or one.configuration != other.configuration:
        return False
    key = _key(one, other)
    answers = _load()
    if key not in answers:
        try:
            answers = _remember(key, answer=has_same_files(engine, one, other))
        except DockyardError as error:
            warn(f"{one.id[:12]} was not compared with {other.id[:12]}: {error}")
            return False
    return answers[key]


def _key(one: "Image", other: "Image") -> str:
    """Return a name for two images and the rules by which they are compared."""
    rules = hashlib.sha256("\n".join(RESIDUE).encode()).hexdigest()
    return hashlib.sha256(" ".join((rules, *sorted((one.content, other.content)))).encode()).hexdigest()


def _path() -> Path:
    return state_directory() / "comparisons.json"


def _load() -> Answers:
    try:
        found = json.loads(_path().read_text(encoding="utf-8"))
        return {str(key): bool(answer) for key, answer in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _remember(key: str, *, answer: bool) -> Answers:
    """Save an answer, beside the newest ones, and return them; that they cannot be saved is reported."""
    answers = dict(list(_load().items())[1 - MAX_REMEMBERED :]) | {key: answer}
    try:
        write_file(_path(), json.dumps(answers))
    except OSError as error:
        warn(f"{_path()}: the comparison of two images was not saved: {error.strerror}")
    return answers
