"""Writes new services: all of them or none, and never over an existing one."""

import os
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from dockyard.errors import DockyardError, UsageError
from dockyard.moving.importing import NewService
from dockyard.moving.outcome import File, Secret


def refuse_existing(services: Sequence[NewService], directory: Path, others: Iterable[Path]) -> None:
    """Raise UsageError for services that exist already, in the target directory or elsewhere."""
    names = {service.name for service in services}
    there = [directory / name for name in sorted(names) if os.path.lexists(directory / name)]
    there += [path for path in others if path.name in names and path not in there]
    if there:
        listed = ", ".join(str(path) for path in there)
        raise UsageError(
            f"{listed} already exist{'s' * (len(there) == 1)}", hint="give the new ones other names with `--prefix`"
        )


def write_services(services: Sequence[NewService], directory: Path) -> None:
    """Write all services to a temporary directory, then rename them. Raises DockyardError; then nothing is left."""
    done: list[Path] = []
    with tempfile.TemporaryDirectory(prefix=".import-", dir=directory) as draft:
        for service in services:
            _write(service, Path(draft) / service.name)
        try:
            for service in services:
                _publish(Path(draft) / service.name, directory / service.name)
                done.append(directory / service.name)
        except BaseException:
            for target in done:
                shutil.rmtree(target)
            raise


def _publish(draft: Path, target: Path) -> None:
    if os.path.lexists(target):
        raise DockyardError(f"{target} already exists", hint="try again: another process has just created it")
    draft.rename(target)


def _write(service: NewService, place: Path) -> None:
    place.mkdir()
    for path, file in service.files.items():
        target = place / path
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_file(file, target)


def _write_file(file: File, target: Path) -> None:
    if file.source is None:
        target.write_text(file.text, encoding="utf-8")
        target.chmod(file.mode)
    elif file.source.is_dir():
        shutil.copytree(file.source, target, dirs_exist_ok=True)
    else:
        shutil.copy(file.source, target)


def refuse_other_secrets(secrets: Iterable[Secret], directory: Path) -> None:
    """Raise UsageError if a secret with another value is stored under the same name."""
    others = [secret.name for secret in secrets if _kept(directory / secret.name) not in {None, secret.value}]
    if others:
        raise UsageError(
            f"{directory} has other values for {', '.join(others)}", hint="store these in another directory"
        )


def _kept(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def write_secrets(secrets: Iterable[Secret], directory: Path) -> list[str]:
    """Write each secret to its own file that only its owner may read. Returns the names of the new ones."""
    written = []
    for secret in secrets:
        path = directory / secret.name
        if _kept(path) is None:
            for above in (directory, *reversed([one for one in path.parents if directory in one.parents])):
                above.mkdir(parents=above == directory, exist_ok=True, mode=0o700)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(secret.value)
            written.append(secret.name)
    return written
