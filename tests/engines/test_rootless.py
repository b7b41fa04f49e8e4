"""Rootless podman: files of containers are created and read from within the user's namespace."""

import os
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.engines.corpus import Corpus, attackable, end_children, lacking
from tests.engines.world import (
    BASE,
    LABEL,
    OURS,
    PODMAN_CONFIGURATION,
    REPOSITORY,
    Done,
    Record,
    World,
    tree_hash,
    wait_for,
    write,
)
from tests.missing import missing

USER, UID = f"{OURS}sailor", 61999
FIRST, SIZE = 3000000000, 65536
"""The user's subordinate ids: far above those that hosts usually assign."""

PROGRAM = """#!{python}
import sys
sys.path[:0] = ["{home}/lib"]
sys.dont_write_bytecode = True
from dockyard.cli.{module} import main
main()
"""


class Rootless(World):
    """A user's podman, in a mount namespace in which the user exists."""

    is_users = True

    def __init__(self, root: Path, python: str) -> None:
        self.python = python
        super().__init__("podman", root)

    def _environment(self) -> dict[str, str]:
        home = self.root / "home"
        return {
            **super()._environment(),
            "PATH": f"{home}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "XDG_CACHE_HOME": f"{home}/.cache",
            "XDG_RUNTIME_DIR": str(self.root / "run"),
            "CONTAINERS_CONF": f"{home}/containers.conf",
        }

    def run(self, *argv: str | Path, **how: Any) -> Done:  # noqa: ANN401 - as World has them
        """Run a program as the user."""
        words = [f'exec setpriv --reuid {UID} --regid {UID} --clear-groups "$@"']
        if (self.root / "fuse").exists():
            words[:0] = ["mount --bind $0/fuse /dev/fuse"]
        words[:0] = ["mount --bind $0/etc /etc", *([f"echo $$ >{GROUP}/cgroup.procs"] if GROUP.exists() else [])]
        entering = ("unshare", "--mount", "--propagation=private", "sh", "-ec", "; ".join(words), self.root)
        return super().run(*entering, *argv, **how)

    def program(self, name: str, *arguments: str, **how: Any) -> Done:  # noqa: ANN401
        """Run one of dockyard's programs."""
        return self.run(self.root / "home/bin" / name, *arguments, **how)

    def prepare(self) -> None:
        """Create the user, the programs and an image."""
        home = self.root / "home"
        for directory in (home / "bin", self.source, self.volumes, self.root / "run"):
            directory.mkdir(parents=True, exist_ok=True)
        self.host_file.touch()
        if Path("/dev/fuse").exists() and not Path("/dev/fuse").stat().st_mode & 0o006:  # udev gives all users access
            os.mknod(self.root / "fuse", stat.S_IFCHR, Path("/dev/fuse").stat().st_rdev)
            (self.root / "fuse").chmod(0o666)
        subprocess.run(("cp", "-a", "/etc", self.root), check=True)  # noqa: S607
        for name, line in {
            "passwd": f"{USER}:x:{UID}:{UID}::{home}:/bin/sh",
            "group": f"{USER}:x:{UID}:",
            "subuid": f"{USER}:{FIRST}:{SIZE}",
            "subgid": f"{USER}:{FIRST}:{SIZE}",
        }.items():
            with (self.root / "etc" / name).open("a") as file:
                file.write(f"{line}\n")
        packages = Path(sysconfig.get_path("purelib"))
        shutil.copytree(REPOSITORY / "src/dockyard", home / "lib/dockyard")
        shutil.copytree(packages / "ruamel", home / "lib/ruamel")
        # The kernel allows a user 200 keys, and removes those of a container late.
        configuration = PODMAN_CONFIGURATION.read_text(encoding="utf-8").replace(
            "[containers]\n", "[containers]\nkeyring = false\n"
        )
        write(home / "containers.conf", configuration)
        for program in ("d", "d-run", "d-cowscan"):
            text = PROGRAM.format(python=self.python, home=home, module=program.replace("-", "_"))
            write(home / "bin" / program, text, mode=0o755)
        self._write_image(self.root / "image")
        subprocess.run(("chown", "-R", f"{UID}:{UID}", *(self.root / name for name in NAMES)), check=True)  # noqa: S607
        self.root.chmod(0o711)
        tags = [word for tag in ("live", "latest") for word in ("--tag", f"dytest/dyt-tiny:{tag}")]
        self.call("build", *tags, str(self.root / "image"))

    def delegate(self) -> None:
        """Delegate a v2 cgroup to the user, as systemd does at a login."""
        if Path("/sys/fs/cgroup/cgroup.controllers").exists():
            GROUP.mkdir(exist_ok=True)
            for place in (GROUP, *GROUP.glob("cgroup.*")):
                os.chown(place, UID, UID)

    def store_by(self, program: str) -> None:
        """Let a program of the user mount the store; without one, the kernel mounts it."""
        options = f'[storage.options.overlay]\nmount_program = "{program}"\n' if program else ""
        place = self.root / "home/.config/containers/storage.conf"
        write(place, f'[storage]\ndriver = "overlay"\n{options}')
        subprocess.run(("chown", "-R", f"{UID}:{UID}", self.root / "home/.config"), check=True)  # noqa: S607

    def build_base(self) -> None:
        """Build the base image of the corpus: the user cannot read root's images."""
        install = '["/usr/bin/busybox", "sh", "-c", "busybox mkdir -p /bin && busybox --install -s /bin"]'
        lines = ("FROM scratch", f"LABEL {LABEL}", "COPY busybox /usr/bin/busybox", "COPY passwd group /etc/")
        write(self.root / "image/group", "root:x:0:\n")
        write(self.root / "image/Base", "\n".join((*lines, f"RUN {install}", "CMD /bin/sh")) + "\n")
        self.call("build", "-t", BASE, "-f", str(self.root / "image/Base"), str(self.root / "image"))

    @staticmethod
    def _write_image(place: Path) -> None:
        place.mkdir()
        fetch = (REPOSITORY / "examples/from-debian", "busybox-static", "--", "busybox")
        subprocess.run(fetch, cwd=place, check=True, capture_output=True)
        (place / "rootfs/usr/bin/busybox").rename(place / "busybox")
        dockerfile = f"FROM scratch\nLABEL {LABEL}\nCOPY busybox /bin/busybox\nCOPY busybox /bin/sh\n"
        write(place / "Dockerfile", f"{dockerfile}COPY passwd /etc/passwd\n")
        write(place / "passwd", PASSWD["etc/passwd"])

    def end(self) -> None:
        """Remove everything of the user, which only the user can."""
        self.run("podman", "rm", "-fa", "-t", "0", expect=None)
        self.run("podman", "system", "reset", "--force", expect=None)
        self.run("podman", "unshare", "rm", "-rf", str(self.volumes), expect=None)
        for pid in _processes_of(UID):
            with suppress(ProcessLookupError):
                os.kill(pid, 9)  # podman's pause process, which holds the namespace
        if GROUP.exists():
            wait_for(lambda: "populated 0" in (GROUP / "cgroup.events").read_text(), "the end of the user's processes")
            for place in sorted((one for one in GROUP.rglob("*") if one.is_dir()), reverse=True):
                place.rmdir()
            GROUP.rmdir()


GROUP = Path("/sys/fs/cgroup", f"{OURS}rootless")
NAMES = ("home", "src", "vol", "run", "image")


def _processes_of(uid: int) -> list[int]:
    """Return a user's processes, except those in other PID namespaces, which may belong to other runs of the tests."""
    ours = Path("/proc/self/ns/pid").readlink()
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == uid and (entry / "ns/pid").readlink() == ours:
                found.append(int(entry.name))
    return found


def _python() -> str:
    """Return an interpreter that any user may run; empty if there is none."""
    for candidate in (os.path.realpath(sys.executable), "/usr/bin/python3"):
        path = Path(candidate)
        if path.exists() and all(above.stat().st_mode & 1 for above in (path, *path.parents)):
            version = subprocess.run((candidate, "-c", "import sys; print(sys.version_info >= (3, 11))"),
                                     capture_output=True, text=True, check=False)  # fmt: skip
            if version.stdout.strip() == "True":
                return candidate
    return ""


def _why_not() -> str:
    missing = [name for name in ("podman", "newuidmap", "setpriv", "unshare") if not shutil.which(name)]
    if os.geteuid():
        return "making a user takes root"
    if not _python():
        return "no Python 3.11 that every user may run"
    return f"a user's podman takes {', '.join(missing)}" if missing else ""


@pytest.fixture(scope="module")
def rootless() -> Iterator[Rootless]:
    """Rootless podman with a tiny image, in which 999 is `app`."""
    if reason := _why_not():
        missing(reason)
    with user_podman("") as world:
        yield world


@contextmanager
def user_podman(mounting: str) -> Iterator[Rootless]:
    """Create rootless podman whose store is mounted by a program, or by the kernel."""
    with tempfile.TemporaryDirectory(prefix="dytest-rootless-", ignore_cleanup_errors=True) as root:
        world = Rootless(Path(root), _python())
        try:
            (world.root / "home").mkdir()
            world.store_by(mounting)
            world.delegate()
            world.prepare()
            yield world
        finally:
            world.end()


PASSWD = {"etc/passwd": "app:x:999:999::/:/bin/sh\n"}
IDLE: Mapping[str, Any] = {
    "image": "dytest/dyt-tiny:live",
    "cmd": ["/bin/sh", "-c", "trap 'exit 0' TERM; /bin/busybox sleep 600 & wait"],
    "network": "none",
    "user": "app",
    "stop_timeout": 0,
}


@pytest.mark.matrix
def test_what_a_container_owns_is_made_and_copied_for_it(rootless: Rootless) -> None:
    """A volume belongs to the mapped user, who can write there; a test works on a copy; production is not affected."""
    service = rootless.service({**IDLE, "mount_persistent_test_copy_files": ["data: /data"]}, files=PASSWD)
    data = rootless.volumes / service.name / "data"
    rootless.program("d-run", "--cd", str(service))
    assert (data.stat().st_uid, data.stat().st_gid) == (FIRST + 998, FIRST + 998)  # 0 is the user himself, 1 the first
    rootless.inside(service.name, "echo production >/data/a")
    before = tree_hash(data)
    rootless.program("d-run", "--cd", str(service), "-DT", "--no-fg")
    name = f"test-{service.name}"
    assert rootless.inside(name, "/bin/busybox cat /data/a; echo test >/data/a; /bin/busybox rm -rf /data/*") == (
        "production\n"
    )
    assert tree_hash(data) == before
    rootless.program("d", "down", name)
    assert not (rootless.volumes / "TMP" / service.name).exists()


def test_the_doctor_tells_the_users_own_command(rootless: Rootless) -> None:
    """A mount that the container's user cannot write to is reported, and the reported command fixes it."""
    service = rootless.service({**IDLE, "mount_rw": ["data: /data"]}, files=PASSWD)
    rootless.run("podman", "unshare", "mkdir", "-p", str(rootless.volumes / service.name / "data"))
    told = rootless.program("d", "check", service.name, expect=1).stdout
    assert "user `app` (999) cannot write to it" in told
    mend = told.partition("hint: ")[2].splitlines()[0]
    assert mend.startswith("podman unshare chown")
    rootless.run("sh", "-c", mend)
    assert "cannot" not in rootless.program("d", "check", service.name).stdout


@pytest.mark.matrix
def test_ids_are_told_as_the_host_has_them(rootless: Rootless) -> None:
    """`d userns map` translates a user inside to an id in the user's range."""
    told = rootless.program("d", "userns", "map", "999").stdout
    assert str(FIRST + 998) in told


@pytest.mark.parametrize("mounting", ["", "fuse-overlayfs"], ids=["kernel", "fuse-overlayfs"])
def test_corpus_of_a_users_podman(mounting: str, record_property: Record) -> None:
    """d-cowscan, run by the user, finds every attack in the user's containers, and reports nothing benign."""
    if reason := _why_not():
        missing(reason)
    program = shutil.which(mounting) if mounting else ""
    if program is None:
        missing(f"{mounting} is not installed")
    case = f"rootless, mounted by {mounting or 'the kernel'}"
    with user_podman(program) as world:
        world.build_base()
        with attackable(world) as image:
            parent = ("--cgroup-parent", f"/{GROUP.name}") if GROUP.exists() else ()
            names = ("names of marks",) if program else ()
            groups = () if GROUP.exists() else ("control groups",)
            found = Corpus(
                world, image, {*lacking(world), "capabilities", "trusted attributes", *groups, *names}, options=parent
            )
            try:
                found.judge(f"running, {case}", record_property, unwatched=not GROUP.exists())
                found.stop()
                found.judge(f"stopped, {case}", record_property, "--all")
            finally:
                end_children()
