"""A second Docker Engine, in a mount namespace with a separate /etc: its users can be mapped, not the host's.

Test modules get the fixtures by `pytest_plugins = ["tests.engines.remapped"]`:

- `remapped`: an engine that maps users, with the base image, for the whole session;
- `second`: one that maps none, for the module; what a test changes in its /etc is put back after it.
"""

import fcntl
import json
import os
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.engines.world import LOCKS, OURS, STATE, Done, World, wait_for
from tests.missing import missing

FILES = ("passwd", "group", "subuid", "subgid", "docker/daemon.json")
"""The files below /etc that enabling changes."""

# linux/sockios.h, linux/if.h
SIOCGIFFLAGS, SIOCSIFFLAGS, SIOCSIFADDR, SIOCSIFNETMASK = 0x8913, 0x8914, 0x8916, 0x891C
SIOCBRADDBR, SIOCBRDELBR = 0x89A0, 0x89A1
IFF_UP = 1


class SecondEngine(World):
    """A separate dockerd, with its data; programs run in its mount namespace."""

    def __init__(self, root: Path, bridge: str) -> None:
        super().__init__("docker", root)
        self.bridge = bridge
        self.etc = root / "etc"
        self.state = root / "state"
        self.locks = root / "run"
        self.log = root / "dockerd.log"
        self._holder: subprocess.Popen[bytes] | None = None

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), "DOCKER_HOST": f"unix://{self.root}/docker.sock"}

    @property
    def daemon_argv(self) -> list[str]:
        """The command that starts the daemon."""
        places = {"data-root": "data/docker", "exec-root": "exec", "pidfile": "dockerd.pid"}
        options = [f"--{option}={self.root}/{place}" for option, place in places.items()]
        return [
            "dockerd",
            *options,
            f"--host=unix://{self.root}/docker.sock",
            f"--bridge={self.bridge}",
            "--iptables=false",
        ]

    # ------------------------------------------------------------------------------------------------ programs
    def entering(self, cwd: Path | None = None) -> list[str]:
        """Return the beginning of a command that runs in the namespace."""
        assert self._holder
        return ["nsenter", f"--mount=/proc/{self._holder.pid}/ns/mnt", "env", f"--chdir={cwd or self.root}"]

    def run(self, *argv: str | Path, cwd: Path | None = None, **how: Any) -> Done:  # noqa: ANN401 - as World has them
        """Run a program in the namespace to its end, and expect its exit code."""
        return super().run(*self.entering(cwd), *argv, **how)

    def start(self, *argv: str | Path, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Start a program in the namespace; the process id is that of the program."""
        return super().start(*self.entering(cwd), *argv)

    # ------------------------------------------------------------------------------------------------ the engine
    def prepare(self) -> None:
        """Create the directories and the namespace."""
        self.root.chmod(0o711)  # mapped users need access
        for directory in ("home", "src", "vol", "data", "state", "run"):
            (self.root / directory).mkdir()
        self.host_file.touch()
        subprocess.run(("cp", "-a", "/etc", self.etc), check=True)  # noqa: S607
        (self.etc / "docker").mkdir(exist_ok=True)
        (self.etc / "docker/daemon.json").unlink(missing_ok=True)
        mounts = {self.etc: Path("/etc"), self.state: STATE, self.locks: LOCKS}
        for place in (STATE, LOCKS):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
        script = [f"mount --bind {source} {target}" for source, target in mounts.items()]
        # The process that holds the namespace ends with us, when its input ends
        argv = ("unshare", "--mount", "--propagation=private", "sh", "-ec", "; ".join([*script, "echo", "exec cat"]))
        self._holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._holder.stdout
        assert self._holder.stdout.readline() == b"\n", "no mount namespace"

    def start_daemon(self) -> None:
        """Start the daemon, and wait until it answers."""
        script = f'setsid "$@" >>{self.log} 2>&1 </dev/null &'
        self.run("sh", "-c", script, "sh", *self.daemon_argv)
        self.await_daemon()

    def stop_daemon(self) -> None:
        """Stop the daemon, and wait for it."""
        if pid := self.pid():
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not self.processes(), "the end of the second engine", 60)

    def revive(self) -> None:
        """Start the daemon if it does not run; its shims may be left."""
        if self.pid():
            return
        for pid in (pid for pid, name in self.processes() if name == "containerd"):
            os.kill(pid, signal.SIGKILL)
        for file in ("dockerd.pid", "exec/containerd/containerd.pid"):  # an unreaped zombie has its process id
            (self.root / file).unlink(missing_ok=True)
        self.start_daemon()

    def restart(self) -> None:
        """Restart the daemon gracefully."""
        if pid := self.pid():
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda: not self.pid(), "the end of the second engine", 60)
        self.revive()

    def await_daemon(self) -> None:
        """Wait until the daemon answers."""
        try:
            wait_for(self.answers, "an answer of the second engine", 60)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log.read_text(errors='replace')[-2000:]}") from None

    def answers(self) -> bool:
        """Return whether the daemon answers."""
        return not self.run("docker", "version", expect=None).exit_code

    def pid(self) -> int:
        """Return the daemon's process id; 0 if it does not run."""
        return next((pid for pid, name in self.processes() if name == "dockerd"), 0)

    def pids(self) -> list[int]:
        """Return the process ids of the daemon and its containerd."""
        return [pid for pid, name in self.processes() if name in {"dockerd", "containerd"}]

    def processes(self) -> list[tuple[int, str]]:
        """Return the engine's processes, daemon first: those with its directory on their command line."""
        names = ("dockerd", "containerd", "containerd-shim", "docker-proxy")
        found = [(pid, name) for pid, name, words in _all_processes() if str(self.root).encode() in words]
        own = [(pid, name) for pid, name in found if name.startswith(names)]
        return sorted(own, key=lambda process: (process[1] != "dockerd", process))

    def end(self) -> None:
        """Kill all processes, each by its id, the namespace last."""
        with suppress(AssertionError):
            self.stop_daemon()
        for pid, _ in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not self.processes(), "the end of the second engine")
        if self._holder:
            self._holder.communicate()  # it reads the end of its input

    # ------------------------------------------------------------------------------------------------ looking at it
    def seen(self) -> dict[str, tuple[bytes, int, int, int] | None]:
        """Return content, mode and owner of every file that enabling changes, by its name below /etc."""
        return {name: _seen(self.etc / name) for name in FILES}

    def userns(self) -> dict[str, Any]:
        """Return the output of `d userns status`."""
        found: dict[str, Any] = json.loads(self.d("userns", "status", "--json", expect=None).stdout)
        return found

    def offset(self) -> int:
        """Return the host's id of root in containers."""
        return int(self.userns()["ids"]["uids"][0]["outside"])


def _seen(path: Path) -> tuple[bytes, int, int, int] | None:
    if not path.exists():
        return None
    status = path.lstat()
    return path.read_bytes(), stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid


def _all_processes() -> Iterator[tuple[int, str, bytes]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                yield int(entry.name), (entry / "comm").read_text().strip(), (entry / "cmdline").read_bytes()


# ------------------------------------------------------------------------------------------------------------- bridges
@contextmanager
def bridge(name: str) -> Iterator[None]:
    """Create a bridge with unused addresses: a second engine without one would take over that of the first."""
    network = _free_network()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        if Path("/sys/class/net", name).exists():  # of a run that was killed
            _remove(control, name)
        fcntl.ioctl(control, SIOCBRADDBR, f"{name}\0".encode())
        try:
            fcntl.ioctl(control, SIOCSIFADDR, _with_address(name, f"{network}.1"))
            fcntl.ioctl(control, SIOCSIFNETMASK, _with_address(name, "255.255.255.0"))
            _set_up(control, name, up=True)
            yield
        finally:
            _remove(control, name)


def _remove(control: socket.socket, name: str) -> None:
    _set_up(control, name, up=False)
    fcntl.ioctl(control, SIOCBRDELBR, f"{name}\0".encode())


def _with_address(name: str, address: str) -> bytes:
    return struct.pack("16sH2x4s8x", name.encode(), socket.AF_INET, socket.inet_aton(address))


def _set_up(control: socket.socket, name: str, *, up: bool) -> None:
    asked = fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16sH14x", name.encode(), 0))
    flags = struct.unpack("16sH14x", asked)[1]
    flags = flags | IFF_UP if up else flags & ~IFF_UP
    fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", name.encode(), flags))


def _free_network() -> str:
    """Return the first three bytes of a network that this host has no route to."""
    rows = [row.split() for row in Path("/proc/net/route").read_text().splitlines()[1:]]
    ways = [(int(row[1], 16), int(row[7], 16)) for row in rows if row[7] != "00000000"]

    def is_free(network: str) -> bool:
        number = struct.unpack("=I", socket.inet_aton(f"{network}.0"))[0]  # as the kernel writes it
        return not any(number & mask == destination for destination, mask in ways)

    return next(network for network in (f"10.213.{number}" for number in range(100, 200)) if is_free(network))


# ------------------------------------------------------------------------------------------------------------ fixtures
@contextmanager
def second_engine(bridge_name: str) -> Iterator[SecondEngine]:
    """Run a second engine during the block; only one run of the tests at a time can have it."""
    if reason := _why_not():
        missing(reason)
    with ExitStack() as stack:
        lock = stack.enter_context(Path(tempfile.gettempdir(), f"dockyard-tests-{bridge_name}.lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        _end_left_over(bridge_name)
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dytest-second-")))
        stack.enter_context(bridge(bridge_name))
        engine = SecondEngine(root, bridge_name)
        stack.callback(engine.end)
        engine.prepare()
        engine.start_daemon()
        yield engine


def _why_not() -> str:
    missing = [name for name in ("docker", "dockerd", "nsenter", "unshare") if not shutil.which(name)]
    if os.geteuid():
        return "a second engine takes root"
    return f"a second engine takes {', '.join(missing)}" if missing else ""


def _end_left_over(bridge_name: str) -> None:
    """Kill the daemon of a killed run: its bridge is on its command line."""
    for pid, name, words in _all_processes():
        if name == "dockerd" and f"--bridge={bridge_name}".encode() in words.split(b"\0"):
            os.kill(pid, signal.SIGTERM)
            wait_for(lambda pid=pid: not Path("/proc", str(pid), "exe").exists(), "the end of an older daemon", 60)


@contextmanager
def remapped_engine() -> Iterator[SecondEngine]:
    """Create an engine that maps users, by `d userns enable`, with the base image."""
    with second_engine(f"{OURS}remap0") as engine:
        engine.d("userns", "enable", "--restart")
        for directory in ("home", "src", "vol"):
            (engine.root / directory).rmdir()
        engine.host_file.unlink()
        engine.make()
        yield engine


@pytest.fixture(scope="session")
def remapped() -> Iterator[SecondEngine]:
    """That engine, for the whole session."""
    with remapped_engine() as engine:
        yield engine


@pytest.fixture(scope="module")
def second_of_module() -> Iterator[SecondEngine]:
    """An engine that maps no users."""
    with second_engine(f"{OURS}second0") as engine:
        yield engine


@pytest.fixture
def second(second_of_module: SecondEngine) -> Iterator[SecondEngine]:
    """That engine; after the test its /etc and its state are as they were, and it maps no users."""
    engine = second_of_module
    before = engine.seen()
    yield engine
    changed = engine.seen() != before
    _restore(engine.etc, before)
    for entry in engine.state.iterdir():
        entry.unlink()
    if changed or not engine.answers() or engine.userns()["maps"]:
        engine.stop_daemon()
        engine.start_daemon()


def _restore(etc: Path, before: Mapping[str, tuple[bytes, int, int, int] | None]) -> None:
    for name, known in before.items():
        path = etc / name
        if known is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(known[0])
            path.chmod(known[1])
            os.chown(path, known[2], known[3])
