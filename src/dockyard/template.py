"""A new service from a template: what it is to hold, and writing it all at once."""

import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dockyard.errors import DockyardError, EngineUnreachableError, UsageError
from dockyard.installation.place import schema
from dockyard.service import RESERVED, Service
from dockyard.settings.keys import BASE_IMAGE, PORTS, REPO1
from dockyard.share import TEMPLATES
from dockyard.yard import Yard

ELSEWHERE = "debian:stable-slim"
"""What is built on where the fleet has no base of its own."""

FIRST_PORT, LAST_PORT = 8080, 8999


class File(NamedTuple):
    """One file of a new service, by its path in the service's directory."""

    path: str
    text: str
    mode: int


def names() -> list[str]:
    """Return the templates that there are."""
    return sorted(entry.name for entry in TEMPLATES.iterdir() if entry.is_dir())


COMPILED = "__pycache__"  # installers compile files that end in .py


def files(template: str, words: Mapping[str, str]) -> list[File]:
    """Return what a service is to hold: the template's files, each `@WORD@` filled in."""
    found = []
    for path in sorted((TEMPLATES / template).rglob("*")):
        if path.is_file() and COMPILED not in path.parts:
            text = path.read_text(encoding="utf-8")
            for word, value in words.items():
                text = text.replace(f"@{word}@", value)
            found.append(File(str(path.relative_to(TEMPLATES / template)), text, 0o755 if text[:2] == "#!" else 0o644))
    return found


def directory_for(yard: Yard, name: str) -> Path:
    """Return where a service of that name goes. Raises UsageError for a name that cannot be, or is taken."""
    if not re.fullmatch(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*", name) or name == RESERVED:
        hint = "use lower-case letters and digits, with `-`, `_` or `.` between them"
        raise UsageError(f"`{name}` cannot be the name of a service", hint)
    source = next(filter(None, yard.source_directories), None)
    if not source:
        raise UsageError("the services directory is not set", hint="run `d init`, or set D_SRC_DIR")
    if taken := next((service for service in yard.services if service.name == name), None):
        raise UsageError(f"{taken.directory}: exists already", hint="choose another name; nothing is written over")
    place = Path(source, name)
    if os.path.lexists(place):
        raise UsageError(f"{place}: exists already", hint="choose another name; nothing is written over")
    return place


def base_image(yard: Yard) -> str:
    """Return what to build on: what the host file says, else the fleet's own base, else Debian's."""
    if configured := yard.settings[BASE_IMAGE]:
        return configured
    own = [f"{yard.settings[REPO1]}/base:{tag}" for tag in ("live", "latest")]
    try:
        there = yard.engine.images(own)
    except EngineUnreachableError:
        there = {}
    return next((reference for reference in own if reference in there), ELSEWHERE)


def free_port(yard: Yard) -> int:
    """Return the first port that no service publishes in production. Services that cannot be read are passed over."""
    taken = {port.host for settings in yard.load_all()[0].values() for port in settings[PORTS]}
    return next((port for port in range(FIRST_PORT, LAST_PORT) if port not in taken), FIRST_PORT)


def words(yard: Yard, name: str, base: str = "") -> dict[str, str]:
    """Return what is filled into a template."""
    where = schema()
    return {
        "NAME": name,
        "BASE": base or base_image(yard),
        "PORT": str(free_port(yard)),
        "SCHEMA": str(where),
    }


def write(place: Path, contents: list[File]) -> Service:
    """Make a service, as a whole or not at all. Raises DockyardError."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{place.name}.", dir=place.parent) as above:
            draft = Path(above, place.name)
            for file in contents:
                path = draft / file.path
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(file.text, encoding="utf-8")
                path.chmod(file.mode)
            if os.path.lexists(place):
                raise DockyardError(f"{place}: exists already", hint="another process created it in the meantime")
            draft.rename(place)
    except OSError as error:
        raise DockyardError(
            f"{place}: cannot be created: {error.strerror}", hint="check the permissions of the directory"
        ) from None
    return Service(place)
