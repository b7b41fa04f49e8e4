"""What enabling did, written before the first change: whatever happens then, it can be undone."""

import json
import os
from pathlib import Path
from typing import Any, NamedTuple

from dockyard.errors import DockyardError
from dockyard.plan.dockerd import Daemon
from dockyard.plan.userns import FileChange
from dockyard.secrets import state_directory
from dockyard.userns import files

_FORM = 1  # of the file; another one is another dockyard's


class Record(NamedTuple):
    """What each file was and became; `directory` was made for daemon.json, `complete`: all of it was done."""

    user: str
    config: str
    changes: tuple[FileChange, ...]
    directory: str = ""
    daemon: Daemon | None = None
    complete: bool = False

    def of(self, path: str) -> FileChange | None:
        """Return what was done to a file; None where nothing was."""
        return next((change for change in self.changes if change.path == path), None)


def path() -> Path:
    """Return where the record is."""
    return state_directory() / "userns.json"


def load() -> Record | None:
    """Return the record; None where there is none. Raises DockyardError for one that others may have written."""
    text = files.read(str(path()))
    if text is None:
        return None
    status = path().stat()
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise DockyardError(f"{path()}: others may read or write it", hint="see that it is what you left there")
    try:
        return _from_json(json.loads(text))
    except (ValueError, KeyError, TypeError):
        raise DockyardError(f"{path()}: no record of ours", hint="see that it is what you left there") from None


def save(record: Record) -> None:
    """Write the record, whole or not at all. Raises DockyardError."""
    fields = {**record._asdict(), "form": _FORM, "changes": [change._asdict() for change in record.changes]}
    fields["daemon"] = record.daemon._asdict() if record.daemon else None
    try:
        path().parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        files.write(str(path()), json.dumps(fields, indent=1), mode=0o600)
    except OSError as error:
        raise DockyardError(f"{path()}: cannot be written: {error.strerror}") from None


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
