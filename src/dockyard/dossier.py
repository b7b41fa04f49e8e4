"""What a failure leaves: why, the logs, what the engine knew of both containers, what the tests wrote, the times."""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockyard.errors import DockyardError
from dockyard.secrets import state_directory
from dockyard.telling import warn

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine

KEPT = 10  # dossiers of a service
LARGEST = 1024 * 1024  # bytes of one file, its last ones


def keep(  # noqa: PLR0913
    engine: "Engine",
    service: str,
    reason: str,
    *,
    hint: str = "",
    containers: Mapping[str, str] | None = None,
    transcript: str = "",
    timings: Mapping[str, float] | None = None,
) -> Path | None:
    """Keep what tells why something failed, and return the directory; what could not be kept is told.

    `containers` are ids or names by role, `new` and `old`; `transcript` is what the build or the tests wrote; `timings`
    are the steps' seconds.
    """
    import json

    files = {"reason.txt": "\n".join(filter(None, [reason, hint])), "transcript.txt": transcript}
    if timings:
        files["timings.json"] = json.dumps(timings, indent=2)
    try:
        for role, container in (containers or {}).items():
            files |= _of_container(engine, role, container)
    except DockyardError as error:
        warn(f"{service}: its dossier is not complete: {error}")
    try:
        return write_report(service, files)
    except (OSError, DockyardError) as error:
        warn(f"{service}: no dossier could be kept: {error}")
        return None


def write_report(service: str, files: Mapping[str, str]) -> Path:
    """Write texts by file name into a new dossier, and return it; the oldest ones are removed.

    Raises OSError and DockyardError.
    """
    directory = _new_directory(service)
    for name, text in files.items():
        if text:
            _write(directory / name, text)
    _prune(service)
    return directory


def place(service: str) -> Path:
    """Return the directory of what is kept of a service, made where it is missing. Raises DockyardError."""
    directory = state_directory() / "services" / service
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise DockyardError(f"{directory}: {error.strerror}", hint="what is kept of a service lies there") from None
    return directory


def dossiers(service: str) -> list[Path]:
    """Return the dossiers of a service, the newest first."""
    directory = state_directory() / "services" / service / "dossiers"
    try:
        return sorted(
            (entry for entry in directory.iterdir() if entry.is_dir() and not entry.is_symlink()), reverse=True
        )
    except FileNotFoundError:
        return []


def read(dossier: Path) -> dict[str, str]:
    """Return the texts of a dossier, by file name."""
    return {
        entry.name: entry.read_text(encoding="utf-8", errors="replace")
        for entry in sorted(dossier.iterdir())
        if entry.is_file() and not entry.is_symlink()
    }


def masked(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an inspect answer with the values hidden of the variables that dockyard passed as secrets."""
    from dockyard.engine.models import SECRETS_LABEL

    config = dict(answer.get("Config") or {})
    names = set(((config.get("Labels") or {}).get(SECRETS_LABEL) or "").split(","))
    pairs = (variable.partition("=") for variable in config.get("Env") or ())
    config["Env"] = [f"{name}={'***' if name in names else value}" for name, _, value in pairs]
    return {**answer, "Config": config}


def _of_container(engine: "Engine", role: str, container: str) -> dict[str, str]:
    """Return what is known of a container, by file name; nothing where it is gone."""
    import json

    answers = engine.inspect("container", container) if container else []
    if not answers:
        return {}
    state = answers[0].get("State") or {}
    health = state.get("Health") or state.get("Healthcheck") or {}
    return {
        f"log-{role}.txt": "\n".join(engine.last_words(container, lines=10**6)),
        f"inspect-{role}.json": json.dumps(masked(answers[0]), indent=2),
        f"health-{role}.json": json.dumps(health, indent=2) if health.get("Log") else "",
    }


def _new_directory(service: str) -> Path:
    above = place(service) / "dossiers"
    above.mkdir(exist_ok=True, mode=0o700)
    stamp = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
    for name in _names(stamp):
        try:
            (above / name).mkdir(mode=0o700)
        except FileExistsError:
            continue
        return above / name
    raise AssertionError  # the names never end


def _names(stamp: str) -> Iterator[str]:
    yield stamp
    number = 1
    while True:
        number += 1
        yield f"{stamp}-{number:02}"


def _write(path: Path, text: str) -> None:
    """Write the end of a text where only its owner can read it."""
    data = text.encode("utf-8", "surrogateescape")[-LARGEST:]
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _prune(service: str) -> None:
    import shutil

    for old in dossiers(service)[KEPT:]:
        shutil.rmtree(old)  # by descriptors: it follows no link
