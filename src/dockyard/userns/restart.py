"""Restarts the engine's daemon the way it was started, and waits until it maps users as intended."""

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

PATIENCE = 60  # seconds for a daemon to stop, and to start


class Restart:
    """Restarts a daemon, repeatedly if necessary."""

    def __init__(self, daemon: Daemon, engine: Engine) -> None:
        self.daemon = daemon
        self.engine = engine
        self.pid: int | None = daemon.pid or None
        self._child: process.Child | None = None
        self._failure = ""

    def carry_out(self, start: int | None) -> None:
        """Restart the daemon and wait until it maps root to `start`, or maps no users if that is None.

        Only the new daemon can answer, as the old one has ended. Raises DockyardError with its last output.
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
        """Restart the unit, even if it has just failed."""
        process.capture(("systemctl", "reset-failed", self.daemon.unit), timeout=PATIENCE)
        done = process.capture(("systemctl", "restart", self.daemon.unit), timeout=3 * PATIENCE)
        self._failure = done.stderr.strip() if done.exit_code else ""

    def _end(self) -> None:
        """Stop the daemon and wait, unless it has already ended. Raises DockyardError."""
        if self.pid is None:
            return
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            self.pid = None
            return
        try:
            if not _is_dockerd(self.pid):
                raise DockyardError(f"process {self.pid} is no longer dockerd", hint="try again")
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, signal.SIGTERM)
            if not select.select([descriptor], [], [], PATIENCE)[0]:
                message = f"the engine (process {self.pid}) did not end within {PATIENCE} s of SIGTERM"
                raise DockyardError(message, hint=f"wait until it has ended, then run: {self.daemon.start()}")
        finally:
            os.close(descriptor)
        if self._child:
            self._child.wait()
        self.pid = None

    def _start(self) -> None:
        """Start the daemon in the same way as before. Raises DockyardError."""
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
        """Return whether the engine answers, and the host's id of root inside; None if it maps no users."""
        engine = Engine(self.engine.program, self.engine.dialect)  # which remembers no answer
        try:
            engine.running()  # some clients succeed with `info` although no daemon answers
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
        return f"see its output in {self.daemon.output}" if self.daemon.output else "its output was not saved"


def start_of(ids: IdMap) -> int | None:
    """Return the host's id of root inside; None if users are not mapped."""
    return ids.uids[0].outside if ids.uids else None


def _is_dockerd(pid: int) -> bool:
    with suppress(OSError):
        return Path("/proc", str(pid), "comm").read_text(encoding="utf-8").startswith("dockerd")
    return False
