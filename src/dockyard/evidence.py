"""What explains the end of a Test: state, log and health checks of its instance, taken before that is removed.

They are saved by what removes the instance: the Test itself, the program that runs the Test, or the reaper.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dockyard.errors import DockyardError
from dockyard.masking import known

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine

SHOWN = 20  # lines of a log
NO_CONTAINER = "there is no container: it was not launched yet, or it was removed"


def save(engine: "Engine", containers: list[str], directory: str) -> None:
    """Save what explains containers, the instance under test first, as files of a failure report.

    Of several processes the first wins: it has seen the containers before any of them was removed.
    """
    for name, text in collect(engine, containers).items():
        draft = Path(directory, f".{name}.{os.getpid()}")
        with suppress(OSError):  # its reader has given up
            draft.write_text(known.hide(text), encoding="utf-8", errors="surrogateescape")
            with suppress(FileExistsError):
                os.link(draft, Path(directory, name))
            draft.unlink()


def collect(engine: "Engine", containers: list[str]) -> dict[str, str]:
    """Return what explains containers, by file name; the oldest one is `new`, others go by their names."""
    from dockyard.dossier import files_of

    try:
        answers = sorted(engine.inspect("container", *containers), key=lambda one: str(one.get("Created", "")))
        found: dict[str, str] = {}
        for answer in answers:
            name = str(answer.get("Name", "")).removeprefix("/")
            found |= files_of(engine, name if found else "new", answer)
    except DockyardError as error:
        return {"state-new.txt": f"the engine does not report how the instance ended: {error}"}
    return found or {"state-new.txt": NO_CONTAINER}


def load(directory: Path) -> dict[str, str]:
    """Return what was saved."""
    files = (path for path in sorted(directory.iterdir()) if not path.name.startswith("."))
    return {path.name: path.read_text(encoding="utf-8", errors="surrogateescape") for path in files}


def lines(files: Mapping[str, str]) -> list[str]:
    """Return what a person reads of it: how the instance ended, what its health check said, the end of its log."""
    import json

    if "state-new.txt" not in files:
        return []
    checks = json.loads(files.get("health-new.json") or "{}").get("Log") or [{}]
    output = str(checks[-1].get("Output", "")).strip()
    code = checks[-1].get("ExitCode", 0)
    log = files.get("log-new.txt", "").splitlines()[-SHOWN:]
    return [
        files["state-new.txt"].strip(),
        *([f"its last health check, exit code {code}: {output}"] if output or code else []),
        *(["its log:", *log] if log else ["its log is empty"] if "log-new.txt" in files else []),
    ]
