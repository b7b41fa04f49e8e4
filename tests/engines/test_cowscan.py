r"""d-cowscan on real containers: what root in a container can do is found, what is no change is quiet."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import pytest

from dockyard.engine.engine import find_engine
from dockyard.scan.freeze import Freezer, group_of
from dockyard.scan.report import Scanned
from dockyard.scan.scan import Options, scan
from tests.engines.world import BASE, FORCED_REMOVAL, FROM_BASE, IDLE, LABEL, PROGRAMS, Record, World, wait_for, write

pytest_plugins = ["tests.engines.remapped"]

IMAGE = f"""FROM {BASE}
LABEL {LABEL}
RUN mkdir -p /app/conf /app/data/deep/deeper && echo one >/app/conf/one && echo two >/app/conf/two \
 && echo three >/app/data/deep/deeper/three && ln -s one /app/conf/link && chmod 755 /app/conf/one \
 && touch -d 2024-01-01 /app/conf/* && cp /bin/sh /app/tool && mkdir -p /usr/share/doc/tool \
 && for i in a b c d; do echo $i >/usr/share/doc/tool/$i; done
"""


class Attack(NamedTuple):
    """What is done: a script inside as root, or something outside, with the container's root and a process of it.

    `found` has paths that have to be among the findings, `kind` limits that to findings of one kind. `options` are the
    engine's, and `needs` is what an engine has to let happen.
    """

    script: str
    found: tuple[str, ...]
    outside: Callable[[Path, int], None] | None = None
    options: tuple[str, ...] = ()
    needs: str = ""
    kind: str = ""


def extended(name: str, value: bytes, path: str = "app/tool") -> Callable[[Path, int], None]:
    """Return what sets an extended attribute."""
    return lambda root, _: os.setxattr(root / path, name, value)


def bound(root: Path, _: int) -> None:
    """Make a socket."""
    here = os.open(root / "app", os.O_RDONLY)
    try:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(f"/proc/self/fd/{here}/socket")
    finally:
        os.close(here)


def in_memory(root: Path, pid: int) -> None:
    """Run a program that is in no file, in the container's control group."""
    group = group_of_process(pid)
    program = (
        "import os, sys; memory = os.memfd_create('payload'); os.write(memory, open(sys.argv[1], 'rb').read()); "
        "open(sys.argv[2], 'w').write(str(os.getpid())); os.execve(memory, ['sleep', '1000'], {})"
    )
    child = subprocess.Popen((sys.executable, "-c", program, str(root / "usr/bin/busybox"), f"{group}/cgroup.procs"))
    wait_for(lambda: str(Path(f"/proc/{child.pid}/exe").readlink()).startswith("/memfd:"), "a program in memory")
    CHILDREN.append(child)


def group_of_process(pid: int) -> str:
    """Return the directory of a process's control group: of version 2, or that of version 1 which freezes."""
    rows = Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii").splitlines()
    top, part = ("/sys/fs/cgroup", "0::") if Path("/sys/fs/cgroup/cgroup.controllers").exists() else V1_FREEZER
    return top + next(row for row in rows if part in row).split(":", 2)[2]


V1_FREEZER = "/sys/fs/cgroup/freezer", ":freezer:"


def process_ids(engine: World, names: Iterable[str]) -> dict[str, int]:
    """Return the process id of each container, by its name."""
    told = engine.call("container", "inspect", "--format", "{{.Name}} {{.State.Pid}}", *names)
    return {name.removeprefix("/"): int(pid) for name, pid in (row.split() for row in told.splitlines())}


def upper_directory(pid: int) -> str:
    """Return where a running container's changes are, as the kernel has it mounted: not every store tells it."""
    rows = Path(f"/proc/{pid}/mountinfo").read_text(encoding="utf-8").splitlines()
    root = next(row for row in rows if row.split()[4] == "/")
    upper = next(one for one in root.split()[-1].split(",") if one.startswith("upperdir="))
    return upper.removeprefix("upperdir=")


CHILDREN: list[subprocess.Popen[bytes]] = []

CAPABLE = bytes.fromhex("0100000200000000000000000000000000000000")
WITH_ACL = bytes.fromhex("0200000001000700ffffffff020007002100000004000500ffffffff10000700ffffffff20000500ffffffff")
ADMIN = ("--cap-add", "SYS_ADMIN", "--security-opt", "apparmor=unconfined")
SAME_TIME = "touch -r /app/tool /dev/shm/t; {}; touch -r /dev/shm/t /app/tool"

ATTACKS: dict[str, Attack] = {
    "a new file": Attack("echo x >/app/new", ("/app/new",)),
    "a new program": Attack("cp /bin/sh /app/nc", ("/app/nc",)),
    "an edited program, size and time kept": Attack(
        SAME_TIME.format("printf X | dd of=/app/tool bs=1 seek=99 conv=notrunc"),
        ("/app/tool",),
    ),
    "a replaced file, size and time kept": Attack(
        "cd /app/conf; cp -p one n; echo eno >n; touch -r one n; mv n one",
        ("/app/conf/one",),
    ),
    "appended": Attack("echo x >>/app/conf/two", ("/app/conf/two",)),
    "emptied": Attack(": >/app/conf/two", ("/app/conf/two",)),
    "setuid": Attack("chmod 4755 /app/tool", ("/app/tool",)),
    "setgid": Attack("chmod 2755 /app/tool", ("/app/tool",)),
    "executable": Attack("chmod +x /app/conf/two", ("/app/conf/two",)),
    "another owner": Attack("chown 33:33 /app/conf/two", ("/app/conf/two",)),
    "a directory for all": Attack("chmod 777 /app/conf", ("/app/conf",)),
    "a directory of another": Attack("chown 33 /app/conf", ("/app/conf",)),
    "deleted": Attack("rm /app/conf/two", ("/app/conf/two",)),
    "a directory deleted": Attack("rm -r /app/data", ("/app/data",)),
    "a directory made anew": Attack("rm -r /app/data; mkdir /app/data", ("/app/data/deep",)),
    "a directory made anew, with a file": Attack(
        "rm -r /app/data; mkdir -p /app/data; touch /app/data/x", ("/app/data/deep", "/app/data/x")
    ),
    "a file in a directory's place": Attack("rm -r /app/data; echo x >/app/data", ("/app/data", "/app/data/deep")),
    "a directory in a file's place": Attack(
        "rm /app/conf/two; mkdir /app/conf/two; touch /app/conf/two/x", ("/app/conf/two", "/app/conf/two/x")
    ),
    "a link in a file's place": Attack("rm /app/conf/two; ln -s /etc/shadow /app/conf/two", ("/app/conf/two",)),
    "a link in a directory's place": Attack("rm -r /app/data; ln -s /etc /app/data", ("/app/data", "/app/data/deep")),
    "a file in a link's place": Attack("rm /app/conf/link; echo x >/app/conf/link", ("/app/conf/link",)),
    "a link that leads elsewhere": Attack("ln -sfn two /app/conf/link", ("/app/conf/link",)),
    "a new link": Attack("ln -s /etc/passwd /app/l", ("/app/l",)),
    "a new link to a directory": Attack("ln -s / /app/l", ("/app/l",)),
    "a new hard link": Attack("ln /app/conf/two /app/hard", ("/app/hard",)),
    "an empty directory": Attack("mkdir /app/empty", ("/app/empty",)),
    "a pipe": Attack("mkfifo /app/pipe", ("/app/pipe",)),
    "a device": Attack("mknod /app/null c 1 3", ("/app/null",), needs="devices"),
    "a hidden name": Attack("echo x >/app/.hidden", ("/app/.hidden",)),
    "a name like a whiteout": Attack("echo x >/app/.wh.x", ("/app/.wh.x",)),
    "a name with a line break": Attack("echo x >'/app/a\nall ok'", ("/app/a\nall ok",)),
    "a name with an escape": Attack("echo x >\"$(printf '/app/\\033[2J')\"", ("/app/\x1b[2J",)),
    "a name that is no text": Attack("echo x >\"$(printf '/app/\\377')\"", ("/app/\udcff",)),
    "renamed": Attack("mv /app/conf/two /app/conf/other", ("/app/conf/other", "/app/conf/two")),
    "swapped": Attack(
        "mv /app/conf/one /t; mv /app/conf/two /app/conf/one; mv /t /app/conf/two", ("/app/conf/one", "/app/conf/two")
    ),
    "deep": Attack("mkdir -p /app/a/b/c/d/e; echo x >/app/a/b/c/d/e/f", ("/app/a/b/c/d/e/f",)),
    "past the longest path": Attack(
        "cd /app; n=$(printf %0200d 0); for i in $(seq 20); do mkdir $n; cd $n; done; echo x >payload",
        (f"/app/{'/'.join(['0' * 200] * 20)}/payload",),
    ),
    "in an executable's directory": Attack("echo x >/usr/bin/x", ("/usr/bin/x",)),
    "users": Attack("echo evil::0:0::/:/bin/sh >>/etc/passwd", ("/etc/passwd",)),
    "the root directory": Attack("echo x >/x", ("/x",)),
    "in /tmp": Attack("mkdir -p /tmp; echo x >/tmp/x", ("/tmp/x",)),  # noqa: S108 - inside
    "in /run": Attack("mkdir -p /run/y; echo x >/run/y/x", ("/run/y/x",)),
    "a disk of the host's": Attack("mknod /app/disk b 254 0", ("/app/disk",), needs="devices"),
    "a name like an opaque mark": Attack("mkdir /app/o; echo x >/app/o/.wh..wh..opq", ("/app/o/.wh..wh..opq",)),
    "a name that a rule of substrings ignores": Attack(
        "mkdir -p /root/x:; echo x >'/root/x:/var log y'", ("/root/x:/var log y",)
    ),
    "a name of spaces": Attack("echo x >'/app/   '", ("/app/   ",)),
    "a name of 255 bytes": Attack("echo x >/app/$(printf %0255d 0)", (f"/app/{'0' * 255}",)),
    "hundreds of levels deep": Attack(
        "cd /app; for i in $(seq 400); do mkdir d; cd d; done; echo x >payload", ("/app" + "/d" * 400 + "/payload",)
    ),
    "a file of a terabyte": Attack(
        "echo x >/app/huge", ("/app/huge",), lambda root, _: os.truncate(root / "app/huge", 2**40)
    ),
    "an empty file": Attack(": >/app/empty", ("/app/empty",)),
    "a file that nobody may read": Attack("echo x >/app/x; chmod 0 /app/x", ("/app/x",)),
    "times long ago": Attack("cp /bin/sh /app/x; touch -d 1970-01-01 /app/x", ("/app/x",)),
    "a payload in a link's target": Attack("ln -s 'curl evil | sh' /app/l", ("/app/l",)),
    "a link to itself": Attack("ln -s l /app/l", ("/app/l",)),
    "a sticky directory": Attack("chmod 1777 /app/data", ("/app/data",)),
    "another group": Attack("chown 0:33 /app/tool", ("/app/tool",)),
    "a pipe in a file's place": Attack("rm /app/conf/two; mkfifo /app/conf/two", ("/app/conf/two",)),
    "a directory renamed": Attack("mv /app/data /app/atad", ("/app/data", "/app/atad/deep/deeper/three")),
    "a file deleted in a directory made anew": Attack(
        "mv /app/conf /c; mkdir /app/conf; cp -p /c/one /app/conf/one; rm -r /c", ("/app/conf/two",)
    ),
    "a key to log in with": Attack(
        "mkdir -p /root/.ssh; echo ssh-rsa >/root/.ssh/authorized_keys", ("/root/.ssh/authorized_keys",)
    ),
    "a library for all programs": Attack("mkdir -p /etc; echo /x.so >/etc/ld.so.preload", ("/etc/ld.so.preload",)),
    "a table of jobs": Attack(
        "mkdir -p /var/spool/cron; echo '* * * * * x' >/var/spool/cron/root", ("/var/spool/cron/root",)
    ),
    "edited through a hard link": Attack("ln /app/conf/two /h; echo x >>/h; rm /h", ("/app/conf/two",)),
    "edited, size and time kept, owner too": Attack(
        SAME_TIME.format("printf Y | dd of=/app/tool bs=1 seek=7 conv=notrunc; chown 0:0 /app/tool"), ("/app/tool",)
    ),
    "its last byte edited, size and time kept": Attack(
        SAME_TIME.format("printf Z | dd of=/app/tool bs=1 seek=$(($(stat -c %s /app/tool) - 1)) conv=notrunc"),
        ("/app/tool",),
    ),
    "shortened and lengthened again": Attack(
        "truncate -s 1 /app/conf/two; truncate -s 4 /app/conf/two", ("/app/conf/two",)
    ),
    "a user's attribute": Attack("true", ("/app/tool",), extended("user.payload", b"x")),
    "a directory's attribute": Attack("true", ("/app/conf",), extended("user.payload", b"x", "app/conf")),
    "a capability": Attack("true", ("/app/tool",), extended("security.capability", CAPABLE), needs="capabilities"),
    "rights for one more user": Attack("true", ("/app/tool",), extended("system.posix_acl_access", WITH_ACL)),
    "rights for all that will be in a directory": Attack(
        "true", ("/app/conf",), extended("system.posix_acl_default", WITH_ACL, "app/conf")
    ),
    "a forged mark of the overlay": Attack(
        "echo x >/app/x", ("/app/x",), extended("trusted.overlay.opaque", b"y", "app/x")
    ),
    "a socket": Attack("true", ("/app/socket",), bound),
    "a program that is deleted and runs": Attack(
        "cp /usr/bin/busybox /app/sleep; /app/sleep 1000 & sleep 1; rm /app/sleep", ("/app/sleep",), kind="process"
    ),
    "a program that runs from a volume": Attack(
        "cp /usr/bin/busybox /volume/sleep; /volume/sleep 1000 & sleep 1", ("/volume/sleep",), kind="process"
    ),
    "a program that runs from a tmpfs": Attack(
        "cp /usr/bin/busybox /passing/sleep; /passing/sleep 1000 & sleep 1",
        ("/passing/sleep",),
        options=("--tmpfs", "/passing:exec"),
        kind="process",
    ),
    "a new program that runs": Attack(
        "cp /usr/bin/busybox /app/sleep; /app/sleep 1000 & sleep 1", ("/app/sleep",), kind="process"
    ),
    "a program by the name of an engine's init": Attack(
        "cp /usr/bin/busybox /run/podman-init; exec -a sleep /run/podman-init 1000 & sleep 1",
        ("/run/podman-init",),
        options=("--tmpfs", "/run:exec"),
        kind="process",
    ),
    "a program in memory alone": Attack("true", ("/memfd:payload",), in_memory, kind="process"),
    "something mounted over a directory": Attack(
        "echo x >/app/conf/evil; mount -t tmpfs none /app/conf",
        ("/app/conf", "/app/conf/evil"),
        options=ADMIN,
        needs="mounts",
    ),
    "a directory mounted elsewhere": Attack(
        "mkdir /app/m; mount -o bind /app/conf /app/m", ("/app/m",), options=ADMIN, needs="mounts", kind="mount"
    ),
}


BENIGN: dict[str, str] = {
    "nothing": "true",
    "read": "cat /app/conf/* >/dev/null",
    "times alone": "touch /app/conf/two",
    "times of a directory": "touch /app/conf",
    "copied up, unchanged": ": >>/app/conf/two",
    "the same mode": "chmod 755 /app/conf/one",
    "the same owner": "chown 0:0 /app/conf/two",
    "came and went": "echo x >/app/x; rm /app/x",
    "edited and restored": "cp /app/conf/two /dev/shm/t; echo x >>/app/conf/two; cat /dev/shm/t >/app/conf/two",
    "a directory made anew as it was": "cp -rp /app/data /dev/shm/d; rm -r /app/data; cp -rp /dev/shm/d /app/data",
    "renamed and back": "mv /app/conf/two /app/conf/x; mv /app/conf/x /app/conf/two",
    "a directory came and went": "mkdir /app/x; rmdir /app/x",
    "a link came and went": "ln /app/conf/two /app/x; rm /app/x",
    "a mode and back": "chmod 700 /app/conf/two; chmod 644 /app/conf/two",
    "a directory's mode and back": "chmod 700 /app/conf; chmod 755 /app/conf",
    "an owner and back": "chown 33 /app/conf/two; chown 0 /app/conf/two",
    "swapped and back": "cd /app/conf; for i in 1 2; do mv one /t; mv two one; mv /t two; done",
    "another target and back": "ln -sfn two /app/conf/link; ln -sfn one /app/conf/link",
    "emptied and filled again": "cp -p /app/conf/two /dev/shm/t; : >/app/conf/two; cat /dev/shm/t >/app/conf/two",
    "deleted and put back": "cp -p /app/conf/two /dev/shm/t; rm /app/conf/two; cp -p /dev/shm/t /app/conf/two",
    "a program of the image's runs": "cp /app/tool /dev/shm/t; /usr/bin/busybox sleep 1000 &",
    "in a volume": "echo x >/volume/x; mkdir /volume/deep/er",
    "in a tmpfs": "cp /bin/sh /dev/shm/x",
}


def scanned(engine: World, *words: str, expect: int | None = None) -> dict[str, Any]:
    """Return what d-cowscan tells of each container, by name."""
    rules = ("-i", expecting(engine, "undeclared.yaml"))
    told = json.loads(engine.run("d-cowscan", "--json", *rules, *words, expect=expect).stdout)
    return {one["container"]: one for one in told["containers"]}


def paths(told: dict[str, Any], kind: str = "") -> set[str]:
    """Return the exact paths of the findings, or of those of one kind."""
    return {
        os.fsdecode(base64.b64decode(finding["path_base64"])) if "path_base64" in finding else finding["path"]
        for finding in told["findings"]
        if kind in {"", finding["kind"]}
    }


@pytest.fixture
def image(engine: World) -> Iterator[str]:
    """An image with something to attack; all containers of it go at the end."""
    with attackable(engine) as name:
        yield name


@contextmanager
def attackable(engine: World) -> Iterator[str]:
    """Have such an image."""
    directory = engine.root / "cowscan-image"
    write(directory / "Dockerfile", IMAGE)
    engine.call("build", "-t", "dytest/dyt-cow:latest", str(directory))
    try:
        yield "dytest/dyt-cow:latest"
    finally:
        if left := engine.containers("dyt-cow"):
            engine.call(*FORCED_REMOVAL[engine.engine], *left)


def attacked(engine: World, image: str, name: str, script: str, *options: str) -> None:
    """Have a container in which a script has run, and that goes on."""
    volume = engine.root / f"volume-{name}"
    for place in (volume, volume / "deep"):
        place.mkdir(exist_ok=True)
        place.chmod(0o777)
    mounts = ("-v", f"{volume}:/volume", "-v", f"{volume}:/mnt/one/two")
    done = "touch /volume/done"
    engine.call(
        *("run", "-d", "--name", name, "--label", LABEL, "--network", "none", "--cap-add", "MKNOD", *mounts, *options),
        *(image, "sh", "-c", f"( {script}\n) >/volume/log 2>&1\n{done}\nsleep 1000"),
    )


def settled(engine: World, names: Iterable[str]) -> None:
    """Wait until all scripts have run."""
    for name in names:
        wait_for((engine.root / f"volume-{name}/done").exists, f"the end of {name}'s script", 60)


@pytest.fixture(autouse=True)
def children() -> Iterator[None]:
    """End what a test has started."""
    yield
    while CHILDREN:
        child = CHILDREN.pop()
        child.kill()
        child.wait()


@pytest.mark.matrix
def test_corpus(engine: World, image: str, record_property: Record) -> None:
    """Every attack is found, as what it is done to, and nothing benign is told; a container each."""
    impossible = ("devices",) if engine.engine == "podman" else ()
    for figure in corpus(engine, image, *impossible, what="running", record=record_property):
        record_property("figure", f"{engine.engine}, {figure}")


@pytest.mark.matrix
def test_corpus_with_mapped_users(remapped: World, record_property: Record) -> None:
    """The same where root in a container is nobody on the host; owners are told as the container sees them."""
    with attackable(remapped) as image:
        impossible = ("devices", "capabilities")
        for figure in corpus(remapped, image, *impossible, what="running, with mapped users", record=record_property):
            record_property("figure", f"docker with mapped users, {figure}")
        attacked(remapped, image, "dyt-cow-owner", "chown 33:34 /app/conf/two")
        settled(remapped, ["dyt-cow-owner"])
        told = scanned(remapped)["dyt-cow-owner"]["findings"][0]
    assert told["owner"] == [33, 34]
    assert told["detail"] == ["owner 0:0 → 33:34"]


def corpus(engine: World, image: str, *impossible: str, what: str, record: Record) -> Iterator[str]:
    """Attack, but for what the engine does not let happen, scan, and yield the figures, beside those of others.

    The counts are recorded as `corpus`, before anything is asserted.
    """
    attacks = {name: one for name, one in ATTACKS.items() if one.needs not in impossible or not one.needs}
    names = {attack: f"dyt-cow-a{number}" for number, attack in enumerate(attacks)}
    quiet = {benign: f"dyt-cow-b{number}" for number, benign in enumerate(BENIGN)}
    wanted = [(names[attack], one.script, one.options) for attack, one in attacks.items()]
    wanted += [(quiet[benign], script, ()) for benign, script in BENIGN.items()]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: attacked(engine, image, one[0], one[1], *one[2]), wanted))
    settled(engine, [*names.values(), *quiet.values()])
    pids = process_ids(engine, [*names.values(), *quiet.values()])
    for attack, one in attacks.items():
        if one.outside:
            pid = pids[names[attack]]
            one.outside(Path(f"/proc/{pid}/root"), pid)
    told = scanned(engine, expect=1)
    found = {attack: paths(told[names[attack]], one.kind) for attack, one in attacks.items()}
    missed = {attack: sorted(found[attack]) for attack, one in attacks.items() if not set(one.found) <= found[attack]}
    alarms = {benign: told[name]["findings"] for benign, name in quiet.items() if told[name]["verdict"] != "ok"}
    counts = {
        "attacks": len(attacks),
        "found": len(attacks) - len(missed),
        "benign": len(BENIGN),
        "alarms": len(alarms),
    }
    record("corpus", {"what": what, **counts})
    assert missed == {}
    assert alarms == {}
    assert {name: one["incomplete"] for name, one in told.items() if one["incomplete"]} == {}
    yield f"d-cowscan: {len(attacks)} of {len(attacks)} attacks found, 0 of {len(BENIGN)} benign told"
    for other, look in (
        ("diff", lambda name: told_by_diff(engine, name)),
        ("a walk with os.walk", lambda name: told_by_walk(pids[name])),
    ):
        seen = {attack: look(names[attack]) for attack in attacks}
        caught = [attack for attack, one in attacks.items() if one.kind == "" and set(one.found) <= seen[attack]]
        loud = [benign for benign, name in quiet.items() if look(name)]
        yield f"{other}: {len(caught)} of {len(attacks)} attacks found, {len(loud)} of {len(BENIGN)} benign told"
        assert len(caught) < len(attacks)


def expecting(engine: World, name: str, *rules: str) -> Path:
    """Return a file of rules, by which containers of no service are expected too, as most of these are."""
    ours = "path: /dyt-*\n  containers: dyt-*\n  what: undeclared\n  kinds: container\n  reason: tests\n"
    write(engine.root / name, "".join(f"- {rule}\n" for rule in (ours, *rules)))
    return engine.root / name


def told_by_diff(engine: World, name: str) -> set[str]:
    """Return what the engine's own diff tells, directories that are only on the way apart; nothing where it fails."""
    argv = (engine.engine, "diff", name)
    done = subprocess.run(
        argv, env=engine.environment, capture_output=True, check=False
    )  # it may fail, and not in UTF-8
    told = [row.partition(" ")[::2] for row in done.stdout.decode("utf-8", "surrogateescape").splitlines()]
    above = {path for _, path in told}
    stubs = {"/mnt", "/mnt/one", "/mnt/one/two", "/volume", "/passing", "/run", "/run/.containerenv", "/dev", "/etc"}
    return {
        path
        for what, path in told
        if path not in stubs and not (what == "C" and any(other.startswith(f"{path}/") for other in above))
    }


def told_by_walk(pid: int) -> set[str]:
    """Return what a plain walk of the upper directory finds: its files."""
    upper = upper_directory(pid)
    found = (os.path.join(place, file) for place, _, files in os.walk(upper) for file in files)  # noqa: PTH118
    return {path.removeprefix(upper) for path in found} - {"/run/.containerenv", "/etc/mtab"}


def test_text_for_people(engine: World, image: str) -> None:
    """No control byte is printed; `all ok` alone where nothing is to be told; rules say what is expected."""
    attacked(engine, image, "dyt-cow-text", "echo x >\"$(printf '/app/a\\033[2J\\nall ok')\"; chmod 4755 /app/tool")
    settled(engine, ["dyt-cow-text"])
    told = engine.run("d-cowscan", "dyt-cow-text", expect=1)
    assert r"/app/a\x1b[2J\x0aall ok" in told.stdout
    assert "it gives rights to whoever runs it" in told.stdout
    assert "all ok" not in told.stdout.splitlines()
    engine.run("d-cowscan", "--ack", "dyt-cow-text", "--reason", "a test")
    rules = expecting(engine, "rules.yaml", "path: /app/**\n  reason: a test\n  containers: dyt-cow*")
    engine.call("exec", "dyt-cow-text", "chmod", "2755", "/app/tool")
    covered = engine.run("d-cowscan", "-i", rules, "dyt-cow-text", expect=1).stdout
    assert r"\x1b" not in covered
    assert "/app/tool" in covered


@pytest.mark.matrix
def test_all_ok(engine: World, image: str) -> None:
    """Where nothing has changed but what a rule expects, that is all it says; a program is not what it expects."""
    attacked(engine, image, "dyt-cow-ok", "echo x >/app/x")
    settled(engine, ["dyt-cow-ok"])
    rules = expecting(engine, "rules.yaml", "path: /app/x\n  reason: a test")
    assert engine.run("d-cowscan", "-i", rules, "dyt-cow-ok").stdout == "all ok\n"
    engine.call("exec", "dyt-cow-ok", "chmod", "+x", "/app/x")
    assert "/app/x" in engine.run("d-cowscan", "-i", rules, "dyt-cow-ok", expect=1).stdout
    late = expecting(engine, "late.yaml", "path: /app/x\n  reason: a test\n  executable: true\n  until: 2020-01-01")
    assert "/app/x" in engine.run("d-cowscan", "-i", late, "dyt-cow-ok", expect=1).stdout


def test_rule_covers_no_other_name_of_a_file(engine: World, image: str) -> None:
    """A hard link of an expected name is told, under both names."""
    attacked(engine, image, "dyt-cow-link", "echo x >/app/x; ln /app/x /etc/y")
    settled(engine, ["dyt-cow-link"])
    rules = expecting(engine, "rules.yaml", "path: /app/x\n  reason: a test")
    assert paths(scanned(engine, "-i", str(rules), expect=1)["dyt-cow-link"]) == {"/app/x", "/etc/y"}


def test_alert_stays_until_acknowledged(engine: World, image: str) -> None:
    """What was undone is still told, until somebody accepts it with a reason; if it comes back, it is told again."""
    attacked(engine, image, "dyt-cow-alert", "echo x >/app/x")
    settled(engine, ["dyt-cow-alert"])
    rules = expecting(engine, "rules.yaml")

    def told(expect: int) -> str:
        return engine.run("d-cowscan", "-i", rules, "dyt-cow-alert", expect=expect).stdout

    assert "/app/x" in told(1)
    engine.call("exec", "dyt-cow-alert", "rm", "/app/x")
    assert "still raised" in told(1)
    engine.run("d-cowscan", "--ack", "dyt-cow-alert", expect=2)
    engine.run("d-cowscan", "--ack", "dyt-cow-alert", "--reason", "a test")
    assert told(0) == "all ok\n"
    engine.call("exec", "dyt-cow-alert", "sh", "-c", "echo y >/app/x")
    assert "/app/x" in told(1)


@pytest.mark.matrix
def test_removal_is_effective_and_can_be_undone(engine: World, image: str) -> None:
    """-R has the container see its image's files again, while it runs; --restore puts back what was taken."""
    script = "cd /app; echo x >new; echo evil >>conf/two; rm -r data; chmod 4755 tool; mkdir d; touch d/x"
    attacked(engine, image, "dyt-cow-rm", script)
    settled(engine, ["dyt-cow-rm"])
    rules = expecting(engine, "rules.yaml")
    told = json.loads(engine.run("d-cowscan", "-R", "--json", "-i", rules, "dyt-cow-rm", expect=1).stdout)
    (removed,) = told["removed"]
    assert removed["refused"] == []
    look = "cat /app/conf/two /app/data/deep/deeper/three; ls /app; stat -c %a /app/tool"
    assert engine.call("exec", "dyt-cow-rm", "sh", "-c", look).split() == [
        "two",
        "three",
        "conf",
        "data",
        "tool",
        "755",
    ]
    assert scanned(engine, "dyt-cow-rm")["dyt-cow-rm"]["findings"] == []
    assert any(
        row["tar"] == removed["tar"] for row in json.loads(engine.run("d-cowscan", "--quarantined", "--json").stdout)
    )
    engine.run("d-cowscan", "--restore", removed["tar"])
    changed = {"/app/new", "/app/conf/two", "/app/data", "/app/tool", "/app/d", "/app/d/x"}
    assert paths(scanned(engine, "dyt-cow-rm")["dyt-cow-rm"]) == changed
    assert engine.call("exec", "dyt-cow-rm", "cat", "/app/conf/two") == "two\nevil\n"
    Path(removed["tar"]).unlink()


def test_tokens_prove_that_it_sees(engine: World, image: str) -> None:
    """With --prove each kind of change is made, found and undone; a token that cannot be made is INCOMPLETE."""
    attacked(engine, image, "dyt-cow-token", "true")
    settled(engine, ["dyt-cow-token"])
    one = scanned(engine, "--prove", "dyt-cow-token", expect=0)["dyt-cow-token"]
    assert one["proven"] == ["new", "edited", "deleted", "metadata"]
    assert scanned(engine, "--no-token", "dyt-cow-token", expect=0)["dyt-cow-token"]["proven"] == []
    assert engine.call("exec", "dyt-cow-token", "sh", "-c", "cat /usr/share/doc/tool/*").split() == ["a", "b", "c", "d"]
    assert "token" not in engine.call("exec", "dyt-cow-token", "find", "/", "-xdev", "-name", "*token*")
    forged = ("--token_container", "dyt-cow-token", "--token_file", "/app/conf/one")
    one = scanned(engine, *forged, "dyt-cow-token", expect=5)["dyt-cow-token"]
    assert "no token could be put" in one["incomplete"][0]["reason"]
    placed = ("--token_container", "dyt-cow-token", "--token_file", "/app/conf/new")
    assert scanned(engine, *placed, "dyt-cow-token", expect=0)["dyt-cow-token"]["proven"] == ["new"]


def test_token_is_made_through_no_link(engine: World, image: str) -> None:
    """A link in the way of a token's file leads nowhere: nothing is made on the host, and the scan says so."""
    attacked(engine, image, "dyt-cow-leak", f"ln -s {engine.root} /app/l; ln -s {engine.root}/leak /app/m")
    settled(engine, ["dyt-cow-leak"])
    for file in ("/app/l/leak", "/app/m"):
        words = ("--token_container", "dyt-cow-leak", "--token_file", file, "dyt-cow-leak")
        assert "no token" in scanned(engine, *words, expect=1)["dyt-cow-leak"]["incomplete"][0]["reason"]
    assert not (engine.root / "leak").exists()


@pytest.mark.matrix
def test_moving_file_is_never_missed(engine: World, image: str, record_property: Record) -> None:
    """A file that is moved around while a container is read is found in each of 300 scans, frozen or followed."""
    script = "for i in $(seq 60); do mkdir -p /app/d$i; for j in 1 2 3; do touch /app/d$i/$j; done; done"
    move = "echo x >/app/d1/moving; while :; do for i in $(seq 2 60) 1; do mv /app/d*/moving /app/d$i/; done; done &"
    attacked(engine, image, "dyt-cow-move", f"{script}; {move}")
    settled(engine, ["dyt-cow-move"])
    for how, count in (("frozen", 300), ("watched", 50)):
        missed = paused = 0.0
        for one in scans(engine, "dyt-cow-move", count, freeze=how == "frozen"):
            paused = max(paused, one.paused)
            assert one.how == how
            is_told = any(finding.change.path.endswith("/moving") for finding in one.findings)
            missed += not is_told and one.verdict != "INCOMPLETE" and not one.unjudged
        assert missed == 0
        told = f", {paused * 1000:.1f} ms frozen at the most" if how == "frozen" else ""
        record_property("figure", f"{engine.engine}: a moving file missed in 0 of {count} scans, {how}{told}")


def scans(engine: World, name: str, count: int, *, freeze: bool) -> Iterator[Scanned]:
    """Scan a container again and again, within this process."""
    client = find_engine(engine.engine)
    with mock.patch.dict(os.environ, engine.environment), Freezer() as freezer:
        container = client.containers([name])[0]
        for _ in range(count):
            yield scan(container, lambda: client.id_map, Options(), freezer=freezer if freeze else None)


@pytest.mark.matrix
def test_frozen_container_goes_on_when_the_scan_is_killed(engine: World, image: str) -> None:
    """Whoever kills the scan while a container stands still: its guard lets it go on."""
    attacked(engine, image, "dyt-cow-freeze", "true")
    settled(engine, ["dyt-cow-freeze"])
    container = engine.inspect("dyt-cow-freeze")
    group = group_of(container["Id"], container["State"]["Pid"])
    killed = os.fork()
    if not killed:
        with Freezer(cap=30).frozen(group):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(killed, 0)
    wait_for(lambda: not group.is_still(), "the end of the freeze")


@pytest.mark.matrix
def test_what_no_source_declares(engine: World) -> None:
    """An image that is not live, one with layers of nobody's, a mount that settings lack, a container of no service."""
    settings = {"cmd": IDLE, "stop_timeout": 1, "autostart": 1}
    scripts = {"Test": "#!/bin/sh\n"}
    service = engine.service(settings, dockerfile=FROM_BASE, files={"version": "1"}, scripts=scripts)
    engine.d("upgrade", service.name)
    assert scanned(engine, service.name, expect=0)[service.name]["findings"] == []

    def undeclared() -> set[tuple[str, str]]:
        told = scanned(engine, service.name, expect=1)[service.name]["findings"]
        return {(finding["kind"], finding["detail"][0]) for finding in told if finding["group"] == "undeclared"}

    engine.call("exec", service.name, "sh", "-c", "echo evil >/evil")
    live = engine.tags(service.name)["live"]
    engine.call("commit", service.name, f"dytest/{service.name}:live")
    assert ("image", f"{service.name} is to run {engine.tags(service.name)['live'][:12]}") in undeclared()
    engine.d("restart", service.name)
    assert ("image", "it has more layers than its source has built") in undeclared()
    engine.call("tag", live, f"dytest/{service.name}:live")
    write(service / "settings.yaml", json.dumps({**settings, "tmpfs": "/passing"}))
    engine.d("restart", service.name)
    write(service / "settings.yaml", json.dumps(settings))
    assert ("mount", f"the settings of {service.name} do not declare it") in undeclared()
    engine.call("run", "-d", "--name", "dyt-cow-alien", "--label", LABEL, "--network", "none", BASE, "sleep", "1000")
    told = json.loads(engine.run("d-cowscan", "--json", "dyt-cow-alien", expect=1).stdout)["containers"][0]
    assert [(one["kind"], one["reason"]) for one in told["findings"]] == [
        ("container", "nobody's source says that it is to run")
    ]


@pytest.mark.matrix
def test_watching_tells_at_once(engine: World, image: str) -> None:
    """--watch tells what is changed while it watches, and what a container did that is removed as it ends."""
    attacked(engine, image, "dyt-cow-watch", "true")
    settled(engine, ["dyt-cow-watch"])
    rules = expecting(engine, "rules.yaml")
    log = engine.root / "watch.log"
    with log.open("w") as file:
        program = (str(PROGRAMS / "d-cowscan"), "--watch", "-i", str(rules))
        child = subprocess.Popen(program, stdout=file, stderr=file, env=dict(engine.environment), cwd=engine.root)
    CHILDREN.append(child)

    def told(text: str) -> Callable[[], bool]:
        return lambda: text in log.read_text()

    engine.call("exec", "dyt-cow-watch", "sh", "-c", "sleep 3; echo x >/app/first")
    wait_for(told("/app/first"), "the first alert", 30)
    engine.call("exec", "dyt-cow-watch", "chmod", "4755", "/app/tool")
    wait_for(told("/app/tool"), "the second alert", 30)
    engine.call("exec", "dyt-cow-watch", "sh", "-c", "cp /usr/bin/busybox /app/true; /app/true; rm /app/true")
    wait_for(told("/app/true"), "the alert of what was gone at once", 30)
    attacked(engine, image, "dyt-cow-brief", "sleep 3; echo x >/app/last", "--rm")
    settled(engine, ["dyt-cow-brief"])
    wait_for(told("/app/last"), "the third alert", 30)
    child.terminate()
    assert child.wait(30) == 0, log.read_text()


def test_linter_and_proposals(engine: World, image: str) -> None:
    """A rule that is never used is told; a proposal, with a reason written into it, expects what was found."""
    attacked(engine, image, "dyt-cow-lint", "echo x >/app/conf/new")
    settled(engine, ["dyt-cow-lint"])
    rules = expecting(engine, "rules.yaml", "path: /app/never\n  reason: a test")
    assert "never" in engine.run("d-cowscan", "--lint", "-i", rules, "dyt-cow-lint", expect=1).stdout
    text = engine.run("d-cowscan", "--suggest", "-i", rules, "dyt-cow-lint").stdout
    assert "/app/conf/new" in text
    write(
        engine.root / "own.yaml", text.replace("reason: ''", "reason: a test").replace('reason: ""', "reason: a test")
    )
    assert engine.run("d-cowscan", "-i", rules, "-i", engine.root / "own.yaml", "dyt-cow-lint").stdout == "all ok\n"


@pytest.mark.matrix
def test_stopped_ones_are_scanned_where_asked_for(engine: World, image: str) -> None:
    """A container that was stopped keeps what it changed: --all tells it."""
    attacked(engine, image, "dyt-cow-stop", "echo x >/app/x")
    settled(engine, ["dyt-cow-stop"])
    engine.call("stop", "-t", "0", "dyt-cow-stop")
    assert "dyt-cow-stop" not in scanned(engine)
    assert paths(scanned(engine, "--all")["dyt-cow-stop"]) == {"/app/x"}


@pytest.mark.matrix
def test_scan_leaves_no_trace(engine: World, image: str) -> None:
    """Not even a time of access is another in the upper directory; but for links, which no call reads without."""
    attacked(engine, image, "dyt-cow-trace", "echo x >>/app/conf/two; cp /bin/sh /app/nc; mkdir /app/d")
    settled(engine, ["dyt-cow-trace"])
    upper = Path(upper_directory(process_ids(engine, ["dyt-cow-trace"])["dyt-cow-trace"]))
    entries = [upper, *(entry for entry in upper.rglob("*") if not entry.is_symlink())]

    def times() -> list[tuple[str, int, int, int]]:
        found = [(str(one), one.lstat()) for one in entries]
        return [(name, one.st_atime_ns, one.st_mtime_ns, one.st_ctime_ns) for name, one in found]

    for entry in entries:
        os.utime(entry, ns=(1, entry.lstat().st_mtime_ns), follow_symlinks=False)  # older than relatime leaves alone
    before = times()
    assert len(paths(scanned(engine, "--no-token")["dyt-cow-trace"])) == 3
    assert times() == before


def test_wrong_rules(engine: World) -> None:
    """A rule that covers everything, a word that nobody knows, no reason: each is told with its place."""
    wrong = {
        "- path: '/**'\n  reason: x": "covers everything",
        "- path: log\n  reason: x": "does not begin with `/`",
        "- path: /x": "no `reason`",
        "- path: /x\n  reason: x\n  whot: new": "unknown key `whot`",
        "- path: /x\n  reason: x\n  what: gone": "not `gone`",
        "- path: /x\n  reason: x\n  until: soon": "must be a day",
        "path: /x": "not a list",
        "- [": "not valid YAML",
    }
    rules = engine.root / "wrong.yaml"
    for text, reason in wrong.items():
        write(rules, text)
        told = engine.run("d-cowscan", "-i", rules, expect=2).stderr
        assert reason in told, text
        assert str(rules) in told


def test_sources_that_cannot_be_read(engine: World, image: str) -> None:
    """Containers are scanned all the same, and told as not compared with their sources: no ok."""
    attacked(engine, image, "dyt-cow-lost", "true")
    settled(engine, ["dyt-cow-lost"])
    told = engine.run("d-cowscan", "dyt-cow-lost", env={"D_SRC_DIR": "/nowhere"}, expect=5).stdout
    assert "INCOMPLETE: not compared with its source: /nowhere: No such file or directory" in told
