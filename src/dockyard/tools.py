"""Bringing programs of the host into a container that has none: a static busybox, or a directory of tools."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dockyard.engine.engine import Engine
from dockyard.errors import DockyardError, EngineError
from dockyard.settings.keys import DEBUG_TOOLS
from dockyard.settings.resolve import Settings

PLACE = "/.dockyard-debug"
"""Where tools are unpacked, and what goes when the shell ends."""

_INTERPRETERS = (b"/lib64/ld-linux", b"/lib/ld-linux", b"/lib/ld-musl")


def static_busybox() -> Path:
    """Return the host's busybox that needs no library. Raises DockyardError if there is none."""
    found = shutil.which("busybox")
    if found:
        with Path(found).open("rb") as file:
            start = file.read(8192)
        if not any(name in start for name in _INTERPRETERS):
            return Path(found)
    raise DockyardError("this host has no static busybox", hint="apt-get install busybox-static")


def add_su(engine: Engine, container: str) -> None:
    """Put a `su` into a container. Raises DockyardError if there is one, or it cannot be written."""
    if not _fails(engine, container, "[ -e /bin/su ] || [ -e /usr/bin/su ]"):
        raise DockyardError(f"{container} already has a su", hint=f"d enter {container}")
    with tempfile.TemporaryDirectory(prefix="dockyard-") as scratch:
        program = Path(scratch, "su")
        shutil.copyfile(static_busybox(), program)
        program.chmod(0o4755)
        _copy(engine, str(program), f"{container}:/bin/su")


@contextmanager
def debugging_tools(engine: Engine, settings: Settings, container: str) -> Iterator[str]:
    """Have tools in a container for the block, in the directory that is yielded."""
    place = settings[DEBUG_TOOLS]
    with tempfile.TemporaryDirectory(prefix="dockyard-") as scratch:
        if not place:
            shutil.copy(static_busybox(), scratch)
            place = scratch
        busybox = (f"{PLACE}/busybox",) if Path(place, "busybox").exists() else ()
        _copy(engine, f"{place}/.", f"{container}:{PLACE}")
        try:
            if busybox:
                engine.call("exec", "--user", "0", container, *busybox, "--install", "-s", PLACE)
            yield PLACE
        finally:
            engine.call("exec", "--user", "0", container, *busybox, "rm", "-rf", PLACE)


def _copy(engine: Engine, source: str, target: str) -> None:
    try:
        engine.call("cp", source, target)
    except EngineError as error:
        hint = "no files can be added to a read-only container (`read_only`)"
        raise DockyardError(str(error), hint) from None


def _fails(engine: Engine, container: str, script: str) -> bool:
    try:
        engine.call("exec", "--user", "0", container, "sh", "-c", script)
    except EngineError:
        return True
    return False
