"""Starting the engine's daemon anew, the way it was started, and waiting until it does what it is to do."""

import os
import select
import signal
import time
from contextlib import suppress
from pathlib import Path

from dockyard import process
from dockyard.engine.engine import Engine
from dockyard.engine.models import IdMap
from dockyard.errors import DockyardError, EngineError, EngineUnreachableError
from dockyard.plan.dockerd import Daemon

PATIENCE = 60  # seconds in which a daemon ends, and in which one comes up


class Restart:
    """Starting a daemon anew, again and again if it has to be."""

    def __init__(self, daemon: Daemon, engine: Engine) -> None:
        self.daemon = daemon
        self.engine = engine
        self.pid: int | None = daemon.pid or None
        self._child: process.Child | None = None
        self._failure = ""

    def carry_out(self, start: int | None) -> None:
        """Restart the daemon and wait until it maps root to `start`, or nobody where that is None.

        What answers is the new daemon, as the old one has ended by then. Raises DockyardError with its last words.
        """
        if self.daemon.unit:
            self._systemctl()
        else:
            self._end()
            self._start()
        deadline = time.monotonic() + PATIENCE
        while (answer := self._maps_root_to()) != (True, start):
            if answer[0] or self._has_ended() or time.monotonic() > deadline:
                raise DockyardError(self._why(answer), hint=self._where_to_look())
            time.sleep(0.2)

    def _systemctl(self) -> None:
        """Restart the unit; that it failed a moment ago does not keep systemd from it."""
        process.capture(("systemctl", "reset-failed", self.daemon.unit), timeout=PATIENCE)
        done = process.capture(("systemctl", "restart", self.daemon.unit), timeout=3 * PATIENCE)
        self._failure = done.stderr.strip() if done.exit_code else ""

    def _end(self) -> None:
        """Ask the daemon to end, and wait; one that has ended already is as good. Raises DockyardError."""
        if self.pid is None:
            return
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            self.pid = None
            return
        try:
            if not _is_dockerd(self.pid):
                raise DockyardError(f"process {self.pid} is no dockerd any more", hint="try again")
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGTERM)
            if not select.select([descriptor], [], [], PATIENCE)[0]:
                message = f"the engine (process {self.pid}) did not end within {PATIENCE} s of SIGTERM"
                raise DockyardError(message, hint=f"when it has ended: {self.daemon.start()}")
        finally:
            os.close(descriptor)
        if self._child:
            self._child.wait()
        self.pid = None

    def _start(self) -> None:
        """Start the daemon as it was started before. Raises DockyardError."""
        daemon = self.daemon
        try:
            self._child = process.start_detached(
                daemon.argv, environment=daemon.environment, cwd=daemon.cwd, output=daemon.output
            )
        except OSError as error:
            raise DockyardError(f"{daemon.argv[0]}: {error.strerror}", hint=daemon.start()) from None
        self.pid = self._child.pid

    def _has_ended(self) -> bool:
        return bool(self._failure) or (self._child is not None and self._child.poll() is not None)

    def _maps_root_to(self) -> tuple[bool, int | None]:
        """Return whether the engine answers, and the host's id of root inside; None where it maps nobody."""
        engine = Engine(self.engine.program, self.engine.dialect)  # which remembers no answer
        try:
            engine.running()  # some clients take `info` for answered where nobody did
            return True, start_of(engine.id_map)
        except (EngineUnreachableError, EngineError):
            return False, None

    def _why(self, answer: tuple[bool, int | None]) -> str:
        answers, start = answer
        if answers:
            return f"the engine came up with {'no users mapped' if start is None else f'root mapped to {start}'}"
        reason = self._failure or self._last_words()
        return f"the engine did not come up{f': {reason}' if reason else ''}"

    def _last_words(self) -> str:
        with suppress(OSError):
            text = Path(self.daemon.output).read_bytes()[-4000:].decode("utf-8", "replace")
            return text.strip().rpartition("\n")[2] if self._child and self._child.poll() is not None else ""
        return ""

    def _where_to_look(self) -> str:
        if self.daemon.unit:
            return f"journalctl -u {self.daemon.unit}"
        return f"its output is in {self.daemon.output}" if self.daemon.output else "its output went nowhere"


def start_of(ids: IdMap) -> int | None:
    """Return the host's id of root inside; None where nobody is mapped."""
    return ids.uids[0].outside if ids.uids else None


def _is_dockerd(pid: int) -> bool:
    with suppress(OSError):
        return Path("/proc", str(pid), "comm").read_text(encoding="utf-8").startswith("dockerd")
    return False
