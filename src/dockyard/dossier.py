"""What a failure leaves: why, the logs, what the engine knew of both containers, what the tests wrote, the times."""

import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockyard.engine.models import UP
from dockyard.errors import DockyardError
from dockyard.masking import MASK, known
from dockyard.secrets import state_directory
from dockyard.telling import warn

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine

KEPT = 10  # failure reports of a service
LARGEST = 1024 * 1024  # bytes of one file, its last ones
MAX_LINES = 20_000  # of a log, its last ones
LOG_DELAY = 0.2  # seconds in which an engine has written the log of a container that has ended


def keep(  # noqa: PLR0913
    engine: "Engine",
    service: str,
    reason: str,
    *,
    hint: str = "",
    containers: Mapping[str, str] | None = None,
    transcript: str = "",
    timings: Mapping[str, float] | None = None,
    evidence: Mapping[str, str] | None = None,
) -> Path | None:
    """Store a failure report, and return its directory; anything that could not be stored is reported.

    `containers` are ids or names by role, `new` and `old`; `transcript` is what the build or the tests wrote; `timings`
    are the steps' seconds; `evidence` are further files.
    """
    import json

    files = {"reason.txt": "\n".join(filter(None, [reason, hint])), "transcript.txt": transcript, **(evidence or {})}
    if timings:
        files["timings.json"] = json.dumps(timings, indent=2)
    try:
        for role, container in (containers or {}).items():
            files |= _of_container(engine, role, container)
    except DockyardError as error:
        warn(f"{service}: the failure report is not complete: {error}")
    try:
        return write_report(service, files)
    except (OSError, DockyardError) as error:
        warn(f"{service}: the failure report could not be saved: {error}")
        return None


def write_report(service: str, files: Mapping[str, str]) -> Path:
    """Write texts by file name into a new failure report, and return its directory; the oldest ones are removed.

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
        raise DockyardError(
            f"{directory}: {error.strerror}", hint="dockyard stores failure reports there; check its permissions"
        ) from None
    return directory


def dossiers(service: str) -> list[Path]:
    """Return the failure reports of a service, the newest first."""
    directory = state_directory() / "services" / service / "dossiers"
    try:
        return sorted(
            (entry for entry in directory.iterdir() if entry.is_dir() and not entry.is_symlink()), reverse=True
        )
    except FileNotFoundError:
        return []


def read(dossier: Path) -> dict[str, str]:
    """Return the texts of a failure report, by file name."""
    return {
        entry.name: entry.read_text(encoding="utf-8", errors="replace")
        for entry in sorted(dossier.iterdir())
        if entry.is_file() and not entry.is_symlink()
    }


def masked(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Return an inspect answer with the values hidden of the variables that dockyard passed as secrets."""
    from dockyard.engine.models import secrets_in

    config = dict(answer.get("Config") or {})
    secrets = secrets_in(answer)
    pairs = (variable.partition("=") for variable in config.get("Env") or ())
    config["Env"] = [f"{name}={MASK if name in secrets else value}" for name, _, value in pairs]
    return {**answer, "Config": config}


def _of_container(engine: "Engine", role: str, container: str) -> dict[str, str]:
    """Return what is known of a container, by file name; nothing if it is gone."""
    answers = engine.inspect("container", container) if container else []
    return files_of(engine, role, answers[0]) if answers else {}


def files_of(engine: "Engine", role: str, answer: Mapping[str, Any]) -> dict[str, str]:
    """Return what is known of a container, by file name, from an inspect answer and its log."""
    import json

    state = answer.get("State") or {}
    health = state.get("Health") or state.get("Healthcheck") or {}
    return {
        f"state-{role}.txt": _how_it_is(str(answer.get("Name", "")).removeprefix("/"), state),
        f"log-{role}.txt": _log_of(engine, str(answer["Id"]), ended=not state.get("Running")),
        f"inspect-{role}.json": json.dumps(masked(answer), indent=2),
        f"health-{role}.json": json.dumps(health, indent=2) if health.get("Log") else "",
    }


def _how_it_is(name: str, state: Mapping[str, Any]) -> str:
    """Return a line about a container: that it is up, or how it ended."""
    status = str(state.get("Status", ""))
    if status in UP:
        health = (state.get("Health") or state.get("Healthcheck") or {}).get("Status", "")
        return f"{name} is {status}{f' and {health}' if health in {'healthy', 'unhealthy'} else ''}"
    why = ", killed because it ran out of memory" if state.get("OOMKilled") else ""
    error = f": {state['Error']}" if state.get("Error") else ""
    return f"{name} has ended with exit code {state.get('ExitCode', 0)}{why}{error}"


def _log_of(engine: "Engine", container: str, *, ended: bool) -> str:
    """Return a container's log, or why there is none; one that has just ended may be written a moment later."""
    try:
        log = engine.logs(container, MAX_LINES).strip()
        if not log and ended:
            time.sleep(LOG_DELAY)
            log = engine.logs(container, MAX_LINES).strip()
    except DockyardError as error:
        return f"the log cannot be read: {error}"
    return log


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
    """Write the end of a text, without secrets, where only its owner can read it."""
    data = known.hide(text).encode("utf-8", "surrogateescape")[-LARGEST:]
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _prune(service: str) -> None:
    import shutil

    for old in dossiers(service)[KEPT:]:
        shutil.rmtree(old)  # by descriptors: it follows no link
