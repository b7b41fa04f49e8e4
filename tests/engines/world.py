"""A world on a real engine: services, data and images that are used only by the tests."""

import hashlib
import http.client
import itertools
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pytest

T = TypeVar("T")

Record = Callable[[str, object], None]
"""The type of `record_property`."""

REPOSITORY = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
PODMAN_CONFIGURATION = Path(os.environ.get("CONTAINERS_CONF", REPOSITORY / "tests/podman-containers.conf"))
STATE = Path("/var/lib/dockyard")

REPO, OURS, BASE = "dytest", "dyt-", "dytest/dyt-base:latest"
LABEL = "dytest=1"  # on every image and network of the tests
PATIENCE = 20.0  # seconds until a wait fails

OCTETS = {"docker": "10.213", "podman": "10.214"}
FIRST_NUMBERS = {"docker": 1, "podman": 501}
"""Addresses of networks and numbers of services of the tests: both engines are tested concurrently."""

PASSED_ON = ("DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG", "http_proxy", "https_proxy", "no_proxy")
# podman would wait ten seconds for each container to end
FORCED_REMOVAL = {"docker": ("rm", "-f", "-v"), "podman": ("rm", "-f", "-v", "-t", "0")}

IDLE = ["sh", "-c", "trap 'exit 0' TERM INT; sleep 600 & wait"]
"""A command that waits, and ends on SIGTERM, for which process 1 has no default handler."""


class Done(NamedTuple):
    """The result of a program: exit code and output."""

    exit_code: int
    stdout: str
    stderr: str

    @property
    def text(self) -> str:
        """Its whole output."""
        return self.stdout + self.stderr


LOCKS = Path("/run/dockyard")


class World:
    """One engine, with the resources of the tests; `is_users`: it runs as an unprivileged user."""

    is_users = False

    def __init__(self, engine: str, root: Path) -> None:
        self.engine = engine
        self.root = root
        self.source = root / "src"
        self.volumes = root / "vol"
        self.host_file = root / "host.yaml"
        self.locks = LOCKS
        self.octets = OCTETS[engine]
        self.numbers = itertools.count(FIRST_NUMBERS[engine])
        self.kept: set[str] = set()
        self._removal: subprocess.Popen[bytes] | None = None
        self.environment = self._environment()

    def _environment(self) -> dict[str, str]:
        engine = str(Path(shutil.which(self.engine) or "/").parent)
        cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        return {
            **{name: os.environ[name] for name in PASSED_ON if name in os.environ},
            "PATH": f"{PROGRAMS}:{engine}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.root / "home"),
            "XDG_CACHE_HOME": cache,  # apt downloads each package once
            "LANG": "C.UTF-8",
            "D_SRC_DIR": str(self.source),
            "DOCKER_VOL_BASE": str(self.volumes),
            "DOCKER_EXEC": self.engine,
            "DOCKYARD_HOST": str(self.host_file),
            "DOCKYARD_OFFLINE": "true",  # no test depends on an external registry
            "KTOOLS_DRUN_REPO": REPO,
            "DBUILD_PARAMS": f"--label {LABEL}",
            "CONTAINERS_CONF": str(PODMAN_CONFIGURATION),
        }

    def pid(self) -> int:
        """Return the process id of a separate engine of the tests; 0 for the host's, which is never killed."""
        return 0

    def revive(self) -> None:
        """Restart an engine that a test has killed; the host's is never killed."""

    def restart(self) -> None:
        """Restart a separate engine of the tests."""

    # ------------------------------------------------------------------------------------------------ programs
    def run(
        self,
        *argv: str | Path,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: str = "",
        expect: int | None = 0,
        timeout: float = 120,
    ) -> Done:
        """Run a program to its end, and expect its exit code; None: any."""
        done = subprocess.run(
            [str(word) for word in argv],
            cwd=cwd or self.root,
            env={**self.environment, **(env or {})},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        outcome = Done(done.returncode, done.stdout, done.stderr)
        told = f"{' '.join(map(str, argv))}: exit code {done.returncode}, not {expect}\n{outcome.text}"
        assert expect is None or done.returncode == expect, told
        return outcome

    def start(self, *argv: str | Path, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Start a program in a new process group, as a terminal does."""
        return subprocess.Popen(
            [str(word) for word in argv],
            cwd=cwd or self.root,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def d(self, *arguments: str, **how: Any) -> Done:  # noqa: ANN401 - as `run` has them
        """Run d."""
        return self.run(PROGRAMS / "d", *arguments, **how)

    def d_run(self, service: Path | str, *arguments: str, **how: Any) -> Done:  # noqa: ANN401
        """Run d-run on a service."""
        return self.run(PROGRAMS / "d-run", "--cd", str(service), *arguments, **how)

    def d_build(self, service: Path | str, *arguments: str, **how: Any) -> Done:  # noqa: ANN401
        """Run d-build on a service."""
        return self.run(PROGRAMS / "d-build", "--cd", str(service), *arguments, **how)

    # -------------------------------------------------------------------------------------------------- engine
    def call(self, *argv: str, expect: int | None = 0) -> str:
        """Run a command of the engine and return its stdout."""
        return self.run(self.engine, *argv, expect=expect).stdout

    def inspect(self, container: str) -> dict[str, Any]:
        """Return the inspect answer of a container; empty if there is none."""
        done = self.run(self.engine, "container", "inspect", container, expect=None)
        found: list[dict[str, Any]] = json.loads(done.stdout or "[]") or [{}]
        return found[0]

    def container_id(self, name: str) -> str:
        """Return a container's id; empty if there is none."""
        return str(self.inspect(name).get("Id", ""))

    def image_id(self, reference: str) -> str:
        """Return an image's id; empty if there is none."""
        done = self.run(self.engine, "image", "inspect", "--format", "{{.Id}}", reference, expect=None)
        return done.stdout.strip().removeprefix("sha256:") if not done.exit_code else ""

    def tags(self, name: str) -> dict[str, str]:
        """Return the image ids of a service's `latest`, `live` and `prev`, empty if there is none."""
        references = {tag: f"{REPO}/{name}:{tag}" for tag in ("latest", "live", "prev")}
        done = self.run(self.engine, "image", "inspect", *references.values(), expect=None)
        answers = json.loads(done.stdout or "[]") or []

        def identifier(reference: str) -> str:
            found = (answer["Id"] for answer in answers for tag in answer["RepoTags"] if tag.endswith(reference))
            return str(next(found, "")).removeprefix("sha256:")

        return {tag: identifier(reference) for tag, reference in references.items()}

    def containers(self, part: str = OURS) -> list[str]:
        """Return the names of all containers, running or not, that contain a text."""
        return [name for name in self.call("ps", "-a", "--format", "{{.Names}}").split() if part in name]

    def is_up(self, name: str) -> bool:
        """Return whether a container runs."""
        return bool(self.inspect(name).get("State", {}).get("Running"))

    def inside(self, container: str, script: str) -> str:
        """Run a shell script inside, as the container's user, and return its output."""
        return self.call("exec", container, "sh", "-c", script)

    def in_image(self, reference: str, script: str) -> str:
        """Run a shell script in a throw-away container of an image, and return its output."""
        name = f"{OURS}look"
        return self.call(
            "run", "--rm", "--network", "none", "--name", name, "--entrypoint", "sh", reference, "-c", script
        )

    def listing(self) -> list[str]:
        """Return all resources of the engine."""
        self.settle()
        questions = (
            ("ps", "-a", "--no-trunc", "--format", "container {{.ID}} {{.Names}} {{.Image}}"),
            ("images", "-a", "--no-trunc", "--format", "image {{.ID}} {{.Repository}}:{{.Tag}}"),
            ("network", "ls", "--format", "network {{.ID}} {{.Name}} {{.Driver}}"),
            ("volume", "ls", "--format", "volume {{.Name}}"),
        )
        return sorted(row for question in questions for row in self.call(*question).splitlines())

    # ------------------------------------------------------------------------------------------------ services
    def service(
        self,
        settings: str | Mapping[str, Any] = "",
        *,
        name: str = "",
        dockerfile: str = "",
        scripts: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
    ) -> Path:
        """Create a service; `files` are below files/, `scripts` executable. Returns its directory."""
        directory = self.source / (name or f"{OURS}{next(self.numbers):03}")
        text = settings if isinstance(settings, str) else json.dumps(settings, indent=1)
        write(directory / "settings.yaml", text)
        if dockerfile:
            write(directory / "Dockerfile", dockerfile)
        for script, body in (scripts or {}).items():
            write(directory / script, body, mode=0o755)
        for path, body in (files or {}).items():
            write(directory / "files" / path, body, mode=0o755 if "/bin/" in path else 0o644)
        return directory

    def idle(self, **settings: Any) -> Path:  # noqa: ANN401 - settings
        """Create a service that needs no build: the base image, waiting."""
        return self.service({"image": BASE, "cmd": IDLE, **settings})

    def plain(self, content: str = "1", *, name: str = "", **scripts: str) -> Path:
        """Create a service that builds quickly, with one file in the image; it is not launched automatically."""
        return self.service("", name=name, dockerfile=FROM_SCRATCH, files={"version": content}, scripts=scripts)

    def tested(self, test: str, **settings: Any) -> Path:  # noqa: ANN401 - settings
        """Create a web server that needs no build, and its Test; `service_port` returns its port."""
        serve = "mkdir -p /www; echo It works >/www/index.html; echo ready to serve; httpd -f -p 8080 -h /www & wait"
        command = ["sh", "-c", f"trap 'exit 0' TERM; {serve}"]
        everything = {"image": BASE, "cmd": command, "ports": [f"{free_port()}:8080"], **settings}
        return self.service(everything, scripts={"Test": test})

    def web(self, page: str = "It works", **settings: Any) -> Path:  # noqa: ANN401 - settings
        """Create a copy of the example's web server, on a free port; `service_port` returns it."""
        name = f"{OURS}{next(self.numbers):03}"
        directory = self.source / name
        copy_example("web", directory)
        dockerfile = (directory / "Dockerfile").read_text().replace("ktools/base:latest", BASE)
        write(directory / "Dockerfile", dockerfile.replace("FROM ${BASE}\n", f"FROM ${{BASE}}\nLABEL {LABEL}\n"))
        limits = possible_limits(memory="32m")
        defaults = {"ports": [f"{free_port()}:8080"], "read_only": True, "cap_drop": "ALL", **limits}
        write(directory / "settings.yaml", json.dumps({**defaults, **settings}))
        set_page(directory, page)
        return directory

    # ------------------------------------------------------------------------------------------------- cleaning
    def make(self) -> None:
        """Create the directories, and build the base image from the example with its ./Build."""
        for directory in (self.root / "home", self.volumes):
            directory.mkdir(parents=True)
        self.host_file.touch()
        shutil.copytree(REPOSITORY / "examples", self.source, ignore=shutil.ignore_patterns("web", "redis"))
        shutil.rmtree(self.source / "base")
        copy_example("base", self.source / f"{OURS}base")
        self.kept.add(f"{OURS}base")
        self.d_build(f"{OURS}base")

    def begin_removal(self) -> None:
        """Begin to remove the tests' containers, except those in `kept`."""
        self.settle()
        if left := [name for name in self.containers() if name not in self.kept]:
            argv = [self.engine, *FORCED_REMOVAL[self.engine], *left]
            quiet = subprocess.DEVNULL
            self._removal = subprocess.Popen(argv, env=self.environment, stdin=quiet, stdout=quiet, stderr=quiet)

    def settle(self) -> None:
        """Wait until the removals are done."""
        if self._removal:
            self._removal.wait()
            self._removal = None

    def tidy(self) -> None:
        """Remove everything of a test except images: the next test uses other names, and need not wait."""
        self.begin_removal()
        for point in reversed(mounted_below(self.root)):
            self.run("umount", "-l", point)
        for place in (self.source, self.volumes, self.volumes / "TMP"):
            for entry in place.iterdir() if place.is_dir() else ():
                if entry.name.startswith(OURS) and entry.name not in self.kept:
                    shutil.rmtree(entry)

    def remove(self) -> None:
        """Remove everything of the tests, including leftovers of other runs."""
        self.kept.clear()
        self.begin_removal()
        self.settle()
        forget()
        self.d("images", expect=None)  # repairs podman's images after a kill during a build
        labelled = self.call("images", "-q", "--no-trunc", "--filter", f"label={LABEL}").split()
        named = [
            row for row in self.call("images", "--format", "{{.Repository}}:{{.Tag}}").split() if f"{REPO}/" in row
        ]
        if labelled or named:
            self.call("rmi", "-f", *dict.fromkeys(named + labelled), expect=None)
        if steps := self.call("images", "-aq", "--no-trunc", "--filter", f"label={LABEL}").split():
            self.call("rmi", "-f", *dict.fromkeys(steps), expect=None)  # of the legacy builder, in the containerd store
        for network in self.call("network", "ls", "-q", "--filter", f"label={LABEL}").split():
            self.call("network", "rm", network)

    def left_over(self) -> list[str]:
        """Return resources of the tests that still exist."""
        images = self.call("images", "-a", "--format", "{{.Repository}}:{{.Tag}}").split()
        labelled = self.call("images", "-aq", "--filter", f"label={LABEL}").split()
        networks = self.call("network", "ls", "-q", "--filter", f"label={LABEL}").split()
        return [*self.containers(), *(row for row in images if f"{REPO}/" in row), *labelled, *networks]


FROM_SCRATCH = f"FROM scratch\nLABEL {LABEL}\nCOPY files /\n"
FROM_BASE = f"FROM {BASE}\nLABEL {LABEL}\nCOPY files /\n"


def controllers() -> set[str]:
    """Return the cgroup controllers, by which containers can be limited here."""
    unified = Path("/sys/fs/cgroup/cgroup.controllers")
    if unified.exists():
        return set(unified.read_text(encoding="ascii").split())
    return {name for place in Path("/sys/fs/cgroup").iterdir() for name in place.name.split(",")}


CONTROLLERS = {"memory": "memory", "cpus": "cpu", "pids_limit": "pids"}


def possible_limits(**limits: object) -> dict[str, object]:
    """Return the limits that are available here; an engine may refuse the others."""
    return {name: value for name, value in limits.items() if CONTROLLERS[name] in controllers()}


def copy_example(name: str, directory: Path) -> None:
    """Copy a service of examples/, without the limits that are not available here."""
    shutil.copytree(REPOSITORY / "examples" / name, directory)
    settings = directory / "settings.yaml"
    impossible = CONTROLLERS.keys() - possible_limits(**dict.fromkeys(CONTROLLERS)).keys()
    lines = settings.read_text(encoding="utf-8").splitlines(keepends=True)
    settings.write_text("".join(line for line in lines if line.partition(":")[0] not in impossible), encoding="utf-8")


def need_limits(*names: str) -> None:
    """Skip a test of limits that are not available here."""
    if lacking := [CONTROLLERS[name] for name in names if CONTROLLERS[name] not in controllers()]:
        pytest.skip(f"the control groups of this machine lack controllers: {', '.join(lacking)}")


def forget() -> None:
    """Remove dockyard's state of the tests' services, and their history."""
    for place in (STATE / "services").glob(f"{OURS}*"):
        shutil.rmtree(place)
    if (STATE / "history.db").exists():
        with closing(sqlite3.connect(STATE / "history.db", timeout=30)) as database, database:
            database.execute("DELETE FROM events WHERE service LIKE ?", (f"{OURS}%",))
    if (STATE / "alerts.db").exists():
        with closing(sqlite3.connect(STATE / "alerts.db", timeout=30)) as database, database:
            tables = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
            for (table,) in tables:  # each table has a column for the container
                database.execute(f"DELETE FROM {table} WHERE container LIKE ?", (f"{OURS}%",))  # noqa: S608 - ours
    _forget_reports()


def _forget_reports() -> None:
    """Remove alerts about the tests' services: another run uses the same names."""
    if (bases := STATE / "bases.json").exists():
        choices = json.loads(bases.read_text(encoding="utf-8"))
        bases.write_text(json.dumps({name: one for name, one in choices.items() if not name.startswith(OURS)}))
    if (last := STATE / "last-upgrade.json").exists():
        outcomes = json.loads(last.read_text(encoding="utf-8"))
        last.write_text(json.dumps({name: one for name, one in outcomes.items() if not name.startswith(OURS)}))
    if (notified := STATE / "notified.json").exists():
        rows = json.loads(notified.read_text(encoding="utf-8"))
        notified.write_text(json.dumps([row for row in rows if not row["problem"]["subject"].startswith(OURS)]))


def write(path: Path, text: str, mode: int = 0o644) -> Path:
    """Write a file, and create its directories."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def set_page(web: Path, page: str) -> None:
    """Change the page of a web service."""
    write(web / "files/srv/www/index.html", f"{page}\n")


def service_port(web: Path) -> int:
    """Return the host port of a web service."""
    return int(json.loads((web / "settings.yaml").read_text())["ports"][0].split(":")[0])


def free_port() -> int:
    """Return an unused port whose test port, 10000 above, is unused as well."""
    while True:
        with socket.socket() as probe, socket.socket() as twin:
            probe.bind(("", 0))
            port: int = probe.getsockname()[1]
            # Below the kernel's range of ephemeral ports
            candidate = 10100 + port % 10000
            try:
                with socket.socket() as first:
                    first.bind(("", candidate))
                twin.bind(("", candidate + 10000))
            except OSError:
                continue
            return candidate


def wait_for(check: Callable[[], T], what: str, seconds: float = PATIENCE) -> T:
    """Repeat a call until its result is true; returns it."""
    deadline = time.monotonic() + seconds
    while not (answer := check()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        time.sleep(0.02)
    return answer


def fetch(port: int, path: str = "/", timeout: float = 5) -> str:
    """Return a page of this host; empty if nothing answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read().decode() if response.status == 200 else ""
    except (OSError, http.client.HTTPException):  # the connection may end within an answer
        return ""
    finally:
        connection.close()


def await_page(port: int, text: str) -> None:
    """Wait until a page contains a text."""
    wait_for(lambda: text in fetch(port), f"`{text}` on port {port}")


class Client:
    """A client that fetches a page every 20 ms, and counts the results.

    No request waits longer than a second: if a network drops packets to a missing container, that may take long.
    """

    def __init__(self, port: int) -> None:
        self.answered = 0
        self.failures: list[float] = []
        self._port = port
        self._over = threading.Event()

    def poll(self) -> None:
        """Fetch until it is stopped."""
        while not self._over.wait(0.02):
            if fetch(self._port, timeout=1):
                self.answered += 1
            else:
                self.failures.append(time.monotonic())

    def end(self) -> None:
        """Stop fetching."""
        self._over.set()


@contextmanager
def client_of(port: int) -> Iterator[Client]:
    """Poll a port during the block."""
    client = Client(port)
    thread = threading.Thread(target=client.poll, daemon=True)
    thread.start()
    try:
        wait_for(lambda: client.answered > 2, f"answers on port {port}")
        yield client
    finally:
        client.end()
        thread.join()


def mounted_below(place: Path) -> list[str]:
    """Return the mounts in a directory, in the order of mounting."""
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    points = (line.split()[4].encode().decode("unicode_escape") for line in lines)
    return [point for point in points if point.startswith(f"{place}/")]


def disk(*places: Path) -> list[tuple[str, int, int, int, int, int]]:
    """Return path, mode, owner, group, time of change and size of directories and everything in them."""
    return [
        (str(path), status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_size)
        for place in places
        for path in sorted([place, *place.rglob("*")])
        if os.path.lexists(path)
        for status in [path.lstat()]
    ]


def tree_hash(place: Path) -> str:
    """Return a hash of every name, owner, mode, time and byte below a directory."""
    found = hashlib.sha256()
    for row in disk(place):
        found.update(repr(row).encode())
        path = Path(row[0])
        if path.is_file() and not path.is_symlink():
            found.update(path.read_bytes())
    return found.hexdigest()
