"""The engine's daemon on this host: which process it is, and how it was started."""

import os
import socket
import stat
import struct
from contextlib import suppress
from pathlib import Path

from dockyard import process
from dockyard.engine.engine import Engine
from dockyard.errors import DockyardError, EngineUnreachableError
from dockyard.host import has_systemd
from dockyard.plan.daemon_json import settings_in
from dockyard.plan.dockerd import CONFIG, PID_FILE, Daemon
from dockyard.userns import files

PATIENCE = 60  # seconds in which systemd must answer
UNIX = "unix://"
SYSTEMD = 1  # the process that listens for a daemon that systemd starts at the first call


def find(engine: Engine) -> Daemon:
    """Return the dockerd that answers. Raises DockyardError if it is not on this host, or there is none."""
    endpoint = os.environ.get("DOCKER_HOST") or engine.call(
        "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"
    )
    if not endpoint.startswith(UNIX):
        raise DockyardError(
            f"the engine is not on this host: {endpoint.strip()}", hint="run `d userns` on the engine's host"
        )
    path = endpoint.strip().removeprefix(UNIX)
    pid = _listener(path)
    return describe(_from_pid_file() if pid == SYSTEMD else pid, path)


def _listener(path: str) -> int:
    """Return the process that listens on a socket, according to the kernel. Raises EngineUnreachableError."""
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
            credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    except OSError as error:
        message = f"no engine answers at {path}: {error.strerror}"
        raise EngineUnreachableError(message, hint="check whether the engine runs") from None
    return int(struct.unpack("3i", credentials)[0])


def _from_pid_file() -> int:
    """Return the pid that the daemon of systemd's unit wrote. Raises DockyardError."""
    name = str(settings_in(files.read(CONFIG), CONFIG).get("pidfile") or PID_FILE)
    with suppress(OSError, ValueError):
        return int(Path(name).read_text(encoding="ascii"))
    raise DockyardError(f"{name} contains no process id of a daemon", hint="check whether the engine runs")


def describe(pid: int, socket_path: str) -> Daemon:
    """Return how a dockerd was started. Raises DockyardError for another process, or if its /etc is not ours."""
    place = Path("/proc", str(pid))
    try:
        name = (place / "comm").read_text(encoding="utf-8", errors="replace").strip()
        words = (place / "cmdline").read_bytes().decode("utf-8", "surrogateescape").split("\0")[:-1]
    except OSError:
        raise DockyardError(f"{socket_path}: the process that listens on it is not on this host") from None
    if not name.startswith("dockerd"):
        raise DockyardError(f"{socket_path}: process {pid} listens on it, which is `{name}` and not dockerd")
    if os.geteuid():
        return Daemon(pid, tuple(words))
    if owner := place.stat().st_uid:
        raise DockyardError(f"{socket_path}: its dockerd runs as uid {owner} and maps users by itself")
    if not (place / "root/etc/passwd").samefile("/etc/passwd"):
        raise DockyardError(f"{socket_path}: its dockerd (process {pid}) has a different /etc than this command")
    pairs = (place / "environ").read_bytes().decode("utf-8", "surrogateescape").split("\0")
    environment = {name: value for name, equals, value in (pair.partition("=") for pair in pairs) if equals}
    return Daemon(pid, tuple(words), _unit(place, pid), str((place / "cwd").readlink()), environment, _output(place))


def _unit(place: Path, pid: int) -> str:
    """Return the systemd unit whose main process this is; empty if there is none."""
    if not has_systemd():
        return ""
    names = {line.rpartition("/")[2] for line in (place / "cgroup").read_text(encoding="utf-8").splitlines()}
    for unit in sorted(name for name in names if name.endswith(".service")):
        with suppress(OSError):
            done = process.capture(("systemctl", "show", "--property", "MainPID", "--value", unit), timeout=PATIENCE)
            if done.stdout.strip() == str(pid):
                return unit
    return ""


def _output(place: Path) -> str:
    """Return the file that is a process's stdout; empty if it is not a file, or was removed."""
    descriptor = place / "fd/1"
    with suppress(OSError):
        path = descriptor.readlink()
        if stat.S_ISREG(descriptor.stat().st_mode) and path.samefile(descriptor):
            return str(path)
    return ""


def running_as(daemon: Daemon) -> int | None:
    """Return the process of a daemon that was started in the same way, whether it answers or not."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(DockyardError, OSError):
                if describe(int(entry.name), "").argv == daemon.argv:
                    return int(entry.name)
    return None
