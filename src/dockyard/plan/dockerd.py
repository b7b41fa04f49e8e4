"""The engine's daemon: how it was started, and how to restart it."""

import shlex
from collections.abc import Mapping
from typing import NamedTuple

CONFIG = "/etc/docker/daemon.json"
"""The daemon's default configuration file."""
PID_FILE = "/var/run/docker.pid"


class Daemon(NamedTuple):
    """A dockerd, and how it was started.

    `pid` is 0 if it does not run, `unit` empty where systemd did not start it, `output` where its stdout is no file.
    """

    pid: int
    argv: tuple[str, ...]
    unit: str = ""
    cwd: str = "/"
    environment: Mapping[str, str] = {}
    output: str = ""

    def flag(self, name: str, short: str = "") -> str:
        """Return the value of a flag that has one; empty if it is not given. The last one counts."""
        found = ""
        for number, word in enumerate(self.argv[1:], start=1):
            if word in {name, short} - {""}:
                found = self.argv[number + 1] if number + 1 < len(self.argv) else ""
            elif word.startswith(f"{name}="):
                found = word.partition("=")[2]
        return found

    def validation(self, config: str) -> tuple[str, ...]:
        """Return what asks the daemon's own program whether it would start with a configuration."""
        others: list[str] = []
        words = iter(self.argv[1:])
        for word in words:
            if word == "--config-file":
                next(words, "")
            elif not word.startswith("--config-file="):
                others.append(word)
        return (self.argv[0], *others, "--validate", "--config-file", config)

    def restart(self) -> tuple[str, ...]:
        """Return the commands that restart it."""
        if self.unit:
            return (shlex.join(("systemctl", "restart", self.unit)),)
        if not self.pid:
            return (self.start(),)
        return (f"kill {self.pid} && tail --pid={self.pid} -f /dev/null", self.start())

    def start(self) -> str:
        """Return what one types to have it started, once it has ended."""
        if self.unit:
            return shlex.join(("systemctl", "restart", self.unit))
        output = shlex.quote(self.output or "/dev/null")
        return f"cd {shlex.quote(self.cwd)} && setsid {shlex.join(self.argv)} </dev/null >>{output} 2>&1 &"
