"""What a new file is to hold, read from where a service has it."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path, PurePath

from dockyard import process
from dockyard.errors import DockyardError
from dockyard.plan.values import Contents, MakeFile

_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def contents_of(step: MakeFile) -> bytes:
    """Return what a file is to hold; a command is run for it. Raises DockyardError."""
    contents = step.contents
    if not contents:
        return b""
    if contents.kind == "command":
        return _output(step.path, contents.placed(step.path, step.uid, step.gid))
    if contents.kind == "file":
        return _bytes_of(step.path, contents)
    return contents.value.encode("utf-8", "surrogateescape")


def stale_files(steps: Iterable[object]) -> list[str]:
    """Return what to report of files that were created from a file of the service that has been changed since.

    They stay as they are: a launch creates only what is missing.
    """
    files = ((step.contents, step) for step in steps if isinstance(step, MakeFile))
    return [
        f"{contents.value} has changed, but {step.path} already exists and is not updated"
        for contents, step in files
        if contents and contents.kind == "file" and _is_stale(contents, step)
    ]


def _is_stale(contents: Contents, step: MakeFile) -> bool:
    source, target = Path(contents.directory, contents.value), Path(step.path)
    try:
        is_newer = source.stat().st_mtime > target.lstat().st_mtime
        return is_newer and target.is_file() and target.read_bytes() != contents_of(step)
    except (OSError, DockyardError):
        return False


def _output(path: str, contents: Contents) -> bytes:
    try:
        done = process.capture(contents.argv())
    except OSError as error:
        raise DockyardError(f"{path}: the command for its contents cannot be started: {error.strerror}") from None
    if done.exit_code:
        message = f"{path}: the command for its contents failed with exit code {done.exit_code}"
        raise DockyardError(f"{message}: {done.stderr.strip()}", hint=f"run in {contents.directory}: {contents.value}")
    return done.stdout.encode("utf-8", "surrogateescape")


def _bytes_of(path: str, contents: Contents) -> bytes:
    """Return what is in a file of the service. Links may lead to another place in the service's directory."""
    top = os.path.realpath(contents.directory)
    real = os.path.realpath(os.path.join(top, contents.value))  # noqa: PTH118 - keeps `..`, which is refused
    parts = PurePath(contents.value).parts
    if ".." in parts or contents.value.startswith("/") or not real.startswith(f"{top.rstrip('/')}/"):
        message = f"{path}: the file for its contents, `{contents.value}`, is not in {contents.directory}"
        raise DockyardError(message, hint="name a file of the service by its path relative to that directory")
    try:
        return _read(top, real[len(top.rstrip("/")) + 1 :])
    except OSError as error:
        where = f"{contents.directory}/{contents.value}"
        raise DockyardError(f"{path}: the file for its contents cannot be read: {where}: {error.strerror}") from None


def _read(top: str, inside: str) -> bytes:
    """Read a file below a directory without following symlinks, so that a concurrent change cannot redirect it."""
    current = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for number, part in enumerate(parts := inside.split("/"), start=1):
        above = current
        try:
            current = os.open(part, _READ | (os.O_DIRECTORY if number < len(parts) else 0), dir_fd=above)
        finally:
            os.close(above)
    if not stat.S_ISREG(os.fstat(current).st_mode):
        os.close(current)
        raise OSError(0, "it is not a regular file")
    with os.fdopen(current, "rb") as file:
        return file.read()
