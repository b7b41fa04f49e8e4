"""Whether what an image is made from has changed: one hash of it all, which the image carries as a label."""

import hashlib
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dockyard.context import entries_of
from dockyard.dockerfile import may_take
from dockyard.service import Service

CONTROL = ("settings.yaml", "Test", "Test-prod", "autostart", "Makefile")
"""Files of a service that say how it is run and tested, and are in no image unless a Dockerfile takes them by name."""

VERSION = "2"  # of what is hashed: with another one everything is built again


def source_hash(service: Service, parameters: Sequence[str], bases: Mapping[str, str]) -> str:
    """Return a hash of the Dockerfile, the context, the build parameters, and the contents of the images below.

    Raises DockyardError as the build itself would.
    """
    dockerfile = service.file("Dockerfile")
    text = dockerfile.read_text(encoding="utf-8", errors="replace") if dockerfile else ""
    takes_all = may_take(text, CONTROL)
    found = hashlib.sha256()
    _add(found, VERSION, *parameters, "", *(f"{name}={bases[name]}" for name in sorted(bases)))
    for relative, path in entries_of(service.directory):
        if takes_all or not _is_control(relative):
            _add(found, relative, *_state(path))
    return found.hexdigest()


def recorded_bases(text: str) -> dict[str, str]:
    """Return the contents of the images that an image was built on, by name, from its record of them."""
    words = (word.rpartition("=") for word in text.split())
    return {name: content for name, _, content in words}


def what_changed(
    source: str, then: Mapping[str, str], now: Mapping[str, str], hash_on: Callable[[Mapping[str, str]], str]
) -> str:
    """Return what has changed since an image of a source hash was built: its source, or what it was built on.

    `then` and `now` are the contents of the images below by name; `hash_on` is the source's hash now on some of those.
    """
    if not then and now:
        return "the source or a base image has changed"
    bases = sorted(name for name, content in now.items() if name in then and then[name] != content)
    if not bases:
        return "the source has changed"
    changed = f"the base image {' and '.join(bases)}"
    return f"{changed} has changed" if hash_on(then) == source else f"the source and {changed} have changed"


def trimming_hash(test: Path | None, keep: tuple[str, ...]) -> str:
    """Return a hash of the inputs of trimming, other than the image itself."""
    found = hashlib.sha256()
    _add(found, VERSION, *(_state(test) if test else ()), "", *keep)
    return found.hexdigest()


def _is_control(relative: str) -> bool:
    return relative in CONTROL or relative.partition("/")[0] == ".git" or relative.startswith("settings-")


def _state(path: Path) -> tuple[str, ...]:
    """Return kind, mode and contents of what is in the context."""
    try:
        status = path.stat()
    except OSError:  # a link that leads nowhere stays a link
        return ("link", str(path.readlink()))
    if stat.S_ISDIR(status.st_mode):
        return ("directory", oct(status.st_mode))
    with path.open("rb") as file:
        return ("file", oct(status.st_mode), hashlib.file_digest(file, "sha256").hexdigest())


def _add(found: "hashlib._Hash", *words: str) -> None:
    for word in words:
        data = word.encode("utf-8", "surrogateescape")
        found.update(f"{len(data)}:".encode())
        found.update(data)
