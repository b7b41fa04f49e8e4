"""The record of what enabling does, written before the first change, so that it can always be undone."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from dockyard.errors import DockyardError
from dockyard.plan.dockerd import Daemon
from dockyard.plan.userns import FileChange
from dockyard.secrets import state_directory
from dockyard.userns import files

_FORM = 1  # version of the file; others are of other versions of dockyard
_CHECK = "check that its content is what you left there"


class Record(NamedTuple):
    """Each file before and after; `directory` was created for daemon.json; `complete`: all changes were made."""

    user: str
    config: str
    changes: tuple[FileChange, ...]
    directory: str = ""
    daemon: Daemon | None = None
    complete: bool = False

    def of(self, path: str) -> FileChange | None:
        """Return the change of a file; None if there was none."""
        return next((change for change in self.changes if change.path == path), None)


def path() -> Path:
    """Return the path of the record."""
    return state_directory() / "userns.json"


def load() -> Record | None:
    """Return the record; None if there is none. Raises DockyardError for one that others can write."""
    text = files.read(str(path()))
    if text is None:
        return None
    status = path().stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise DockyardError(f"{path()}: other users can read it or write to it", hint=_CHECK)
    try:
        return _from_json(json.loads(text))
    except (ValueError, KeyError, TypeError):
        raise DockyardError(f"{path()} is not a record of dockyard", hint=_CHECK) from None


def save(record: Record) -> None:
    """Write the record atomically. Raises DockyardError."""
    fields = {**record._asdict(), "form": _FORM, "changes": [change._asdict() for change in record.changes]}
    fields["daemon"] = record.daemon._asdict() if record.daemon else None
    try:
        path().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write(str(path()), json.dumps(fields, indent=1), mode=0o600)
    except OSError as error:
        raise DockyardError(f"{path()} cannot be written: {error.strerror}") from None


def discard() -> None:
    """Remove the record."""
    path().unlink(missing_ok=True)


def _from_json(fields: dict[str, Any]) -> Record:
    if fields["form"] != _FORM:
        raise ValueError(fields["form"])
    daemon = fields["daemon"]
    return Record(
        user=fields["user"],
        config=fields["config"],
        changes=tuple(FileChange(**change) for change in fields["changes"]),
        directory=fields["directory"],
        daemon=Daemon(**{**daemon, "argv": tuple(daemon["argv"])}) if daemon else None,
        complete=fields["complete"],
    )
