"""A separate engine for a bench, in its own network and process namespaces, with its own data.

If a Docker Engine does not answer, its goroutines are dumped (SIGUSR1), it is killed with its child processes, and
started again without containers.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

INSIDE = "BENCH_HAS_OWN_ENGINE"
START_SECONDS = 60
END_SECONDS = 20
DUMP_SECONDS = 5
WORDS = ("dockerd", "containerd", "docker-proxy", "docker", "busybox", "runc")


def enter_namespaces() -> None:
    """Run this program again in new namespaces, in which it is process 1: all its child processes end with it."""
    if os.environ.get(INSIDE):
        subprocess.run(("ip", "link", "set", "lo", "up"), check=True)  # noqa: S607
        subprocess.run(("mount", "-t", "tmpfs", "none", "/dev/shm"), check=True)  # noqa: S108, S607 - podman's locks
        return
    words = ("unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
    os.execvpe(words[0], [*words, sys.executable, *sys.argv], {**os.environ, INSIDE: "1"})  # noqa: S606


class Docker:
    """A separate dockerd; `argv` begins a command of its client."""

    name, bridge = "docker", "bridge"
    probes = (("info", "--format", "{{.ServerVersion}}"), ("network", "inspect", "dybench"))
    removal = ("rm", "--force")

    def __init__(self, root: Path) -> None:
        self.root = root
        self.log = root / "dockerd.log"
        self.argv = ("docker", "--host", f"unix://{root}/docker.sock")
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._daemon = subprocess.Popen(self._daemon_argv, stdout=self.log.open("ab"), stderr=subprocess.STDOUT)
        deadline = time.monotonic() + START_SECONDS
        while run(*self.argv, *self.probes[0]).returncode:
            if time.monotonic() > deadline:
                sys.exit(f"the engine does not answer; the end of its output:\n{self.log.read_text()[-2000:]}")
            time.sleep(0.2)

    @property
    def _daemon_argv(self) -> tuple[str, ...]:
        return (
            "dockerd",
            f"--data-root={self.root}/data",
            f"--exec-root={self.root}/exec",
            f"--pidfile={self.root}/dockerd.pid",
            f"--host=unix://{self.root}/docker.sock",
            "--cgroup-parent=/dybench",
        )

    def stop(self) -> None:
        """Stop it, or kill it if it does not end."""
        if self._daemon:
            self._daemon.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._daemon.wait(END_SECONDS)
        self._kill_all()

    def dump(self, target: Path) -> Path | None:
        """Save the stacks of its goroutines, and return the file."""
        assert self._daemon  # noqa: S101 - it was started
        self._daemon.send_signal(signal.SIGUSR1)
        time.sleep(DUMP_SECONDS)
        found = sorted((*self.root.glob("exec/goroutine-stacks-*"), *self.root.glob("data/goroutine-stacks-*")))
        return Path(shutil.copy(found[-1], target)) if found else None

    def begin_again(self) -> None:
        """Kill it with its child processes, and start it without containers and networks."""
        self._kill_all()
        with suppress(FileNotFoundError):
            (self.root / "dockerd.pid").unlink()
        for path in (self.root / "exec", self.root / "data/containers", self.root / "data/network"):
            for place in sorted(_mounts_below(path), reverse=True):
                subprocess.run(("umount", "--lazy", place), check=False)  # noqa: S607
            shutil.rmtree(path, ignore_errors=True)
        self.start()

    def _kill_all(self) -> None:
        deadline = time.monotonic() + END_SECONDS
        while (found := list(_engine_processes())) and time.monotonic() < deadline:
            for pid in found:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            _reap()
            time.sleep(0.1)
        if self._daemon:
            self._daemon.wait()


class Podman:
    """Podman with separate storage."""

    name, bridge = "podman", "podman"
    probes = (("info", "--format", "{{.Version.Version}}"), ("network", "inspect", "dybench"))
    removal = ("rm", "--force", "--time", "0")

    def __init__(self, root: Path) -> None:
        places = ("--root", f"{root}/data", "--runroot", f"{root}/run", "--network-config-dir", f"{root}/networks")
        self.argv = ("podman", *places, "--cgroup-manager", "cgroupfs")

    def start(self) -> None:
        """There is no daemon."""

    def stop(self) -> None:
        """There is no daemon."""

    def dump(self, _target: Path) -> Path | None:
        """Return nothing: a client cannot dump its stacks."""
        return None

    def begin_again(self) -> None:
        """Remove all containers."""
        for name in run(*self.argv, "ps", "--all", "--quiet").stdout.split():
            run(*self.argv, *self.removal, name)
        _reap()


Engine = Docker | Podman
ENGINES: dict[str, type[Engine]] = {"docker": Docker, "podman": Podman}


def run(*argv: str, seconds: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command to its end. Raises subprocess.TimeoutExpired."""
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=seconds)


def _engine_processes() -> Iterator[int]:
    """Yield the engine's processes in our process namespace, which contains no others."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            name = (entry / "comm").read_text().strip()
            if entry.name.isdigit() and state != "Z" and name.startswith(WORDS):
                yield int(entry.name)


def _reap() -> None:
    """Reap orphans, as process 1; our own children are reaped by the code that started them."""
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            name = (entry / "comm").read_text().strip()
            if fields[0] == "Z" and fields[1] == str(os.getpid()) and name.startswith(("containerd-shim", "conmon")):
                os.waitpid(int(entry.name), os.WNOHANG)


def _mounts_below(path: Path) -> list[str]:
    mounts = (line.split()[1] for line in Path("/proc/mounts").read_text(encoding="utf-8").splitlines())
    return [place for place in mounts if place == str(path) or place.startswith(f"{path}/")]
