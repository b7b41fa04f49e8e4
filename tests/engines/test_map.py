"""d-map, which anybody may run under sudo: what a caller can prepare changes nothing, what is not root's is refused."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import dockyard
from dockyard.standalone import d_map
from tests.engines.world import Record, World, write
from tests.missing import missing

SCRIPT = Path(d_map.__file__)
SUDOERS = Path(dockyard.__file__).parent / "share/sudoers/dockyard-d-map"

TRAP = """#!/bin/sh
echo "$0 $*" >>{mark}
"""
PYTHON_TRAP = """import os
open({mark!r}, "a").write(__file__)
"""
IDENTIFIER = "0123456789abcdef" * 4

SERVER = """
import os, socket, sys, time
path, answer, how, uid = sys.argv[1], sys.argv[2].encode(), sys.argv[3], int(sys.argv[4])
listening = socket.socket(socket.AF_UNIX)
os.makedirs(os.path.dirname(path), exist_ok=True)
listening.bind(path)
if how == "socket of nobody":
    os.chown(path, 65534, 65534)
if uid:
    os.setresuid(uid, uid, uid)
listening.listen(5)
print("ready", flush=True)
while True:
    connection, _ = listening.accept()
    connection.recv(4096)
    try:
        if how == "silent":
            time.sleep(60)
        while how == "endless":
            connection.sendall(answer * 1000)
        connection.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + answer if how != "raw" else answer)
    except OSError:
        pass
    connection.close()
"""


def needed(program: str) -> str:
    """Return a program's path; where it is not there, the test is skipped, or fails where it must not be."""
    found = shutil.which(program)
    if not found:
        missing(f"{program} is not installed")
    return str(found)


def d_map_alone(*argv: str, **how: object) -> subprocess.CompletedProcess[bytes]:
    """Run the script as it is installed: by its own first line."""
    return subprocess.run((str(SCRIPT), *argv), capture_output=True, check=False, timeout=30, **how)  # type: ignore[call-overload]


EMPTY = "mount -t tmpfs -o mode=755 tmpfs /run; mount -t tmpfs tmpfs /var/lib; "
"""No engine is there; podman itself must not be run then: it would take that for a new boot."""


def in_namespace(setup: str, *argv: str) -> subprocess.CompletedProcess[str]:
    """Run commands as root with mounts of one's own, and then a program."""
    words = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation=private", "sh", "-ec")
    return subprocess.run(
        (*words, f'{setup}\n"$@"', "sh", *argv), capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def up(engine: World) -> Iterator[str]:
    """A container that is up."""
    service = engine.idle()
    engine.d("up", service.name)
    yield service.name
    engine.d("down", service.name, expect=None)


@pytest.mark.matrix
# ------------------------------------------------------------------------------------------------------ what it tells
def test_it_lists_what_the_engines_list(engine: World, up: str) -> None:
    """It lists ID and NAME of the running containers, sorted by name, and says where podman's are from."""
    done = d_map_alone()
    rows = done.stdout.decode().splitlines()
    listed = engine.call("ps", "--format", "{{.ID}} {{.Names}}").splitlines()
    assert set(listed) <= set(rows)
    assert f"{engine.container_id(up)[:12]} {up}" in rows
    assert [row.split()[1] for row in rows] == sorted(row.split()[1] for row in rows)
    assert engine.engine != "podman" or b"from its state" in done.stderr
    assert done.returncode == 0

    def ours(words: str) -> list[str]:
        return [row for row in words.splitlines() if row in listed]  # other tests start and stop theirs in the meantime

    assert ours(engine.run("d-map").stdout) == ours("\n".join(rows))


def test_stopped_ones_are_not_listed(engine: World, up: str) -> None:
    """A container that was stopped is gone from the list, with any way of knowing."""
    engine.d("down", up)
    assert f" {up}\n" not in d_map_alone().stdout.decode()


@pytest.mark.matrix
def test_podman_by_its_socket(engine: World, up: str) -> None:
    """Where podman has a socket, that is asked, with the same answer as from its state."""
    if engine.engine != "podman":
        return
    state = d_map_alone()
    Path("/run/podman").mkdir(mode=0o755, exist_ok=True)
    service = (
        "mount -t tmpfs -o mode=755 tmpfs /run/podman; "
        "podman system service --time 30 unix:///run/podman/podman.sock >/dev/null 2>&1 & "
        "until [ -S /run/podman/podman.sock ]; do sleep 0.1; done"
    )
    done = in_namespace(service, str(SCRIPT))
    listed = engine.call("ps", "--format", "{{.ID}} {{.Names}}").splitlines()

    def of_podman(words: str) -> list[str]:
        return [row for row in words.splitlines() if row in listed]  # Docker's tests start and stop theirs

    assert sorted(of_podman(done.stdout)) == sorted(of_podman(state.stdout.decode())) == sorted(listed)
    assert up in done.stdout
    assert done.stderr == ""


# -------------------------------------------------------------------------------------------------- what a caller does
@pytest.fixture
def traps(tmp_path: Path) -> dict[str, str]:
    """An environment in which every variable is a trap; what falls into one writes to a file."""
    mark = tmp_path / "mark"
    for name in ("docker", "podman", "python3", "sh", "env"):
        write(tmp_path / "bin" / name, TRAP.format(mark=mark), mode=0o755)
    for name in ("json", "sitecustomize", "usercustomize", "socket", "contextlib", "stat"):
        write(tmp_path / f"{name}.py", PYTHON_TRAP.format(mark=str(mark)))
    write(tmp_path / "config.json", json.dumps({"psFormat": "{{.Command}}", "currentContext": "evil"}))
    here = str(tmp_path)
    return {
        "PATH": f"{here}/bin",
        **dict.fromkeys(
            ("PYTHONPATH", "PYTHONHOME", "PYTHONUSERBASE", "HOME", "DOCKER_CONFIG", "XDG_CONFIG_HOME"), here
        ),
        **dict.fromkeys(("PYTHONSTARTUP", "BASH_ENV", "ENV"), f"{here}/json.py"),
        **dict.fromkeys(("DOCKER_HOST", "CONTAINER_HOST", "PODMAN_HOST"), f"unix://{here}/evil.sock"),
        **dict.fromkeys(("CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "STORAGE_OPTS"), f"{here}/config.json"),
        "PYTHONIOENCODING": "utf-16",
        "PYTHONINSPECT": "1",
        "PYTHONWARNINGS": "error",
        "PYTHONBREAKPOINT": "json.x",
        "PYTHONMALLOC": "debug",
        "LC_ALL": "tr_TR.UTF-9",
        "LANG": "\udcff",
        "SUDO_UID": "0; id",
        "DOCKYARD_HOST": f"{here}/config.json",
        "D_SRC_DIR": here,
        "TMPDIR": here,
        "IFS": "/",
    }


def rows_of(output: bytes, name: str) -> list[bytes]:
    """Return the rows of a container. All others must be rows, too: other tests start and stop their containers."""
    rows = output.splitlines()
    assert all(re.fullmatch(rb"[0-9a-f]{12} \S+", row) for row in rows), rows
    return [row for row in rows if row.endswith(f" {name}".encode())]


def test_traps_of_the_environment(up: str, traps: dict[str, str], tmp_path: Path) -> None:
    """No variable, and no file in the directory that it is called from, changes a byte of the output or runs."""
    plain = d_map_alone(env={})
    rows = rows_of(plain.stdout, up)
    assert len(rows) == 1
    trapped = d_map_alone(env=traps, cwd=tmp_path)
    assert (rows_of(trapped.stdout, up), trapped.stderr, trapped.returncode) == (rows, plain.stderr, 0)
    for name, value in traps.items():
        assert rows_of(d_map_alone(env={name: value}, cwd=tmp_path).stdout, up) == rows, name
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)])
def test_closed_descriptors(up: str, closed: tuple[int, ...], tmp_path: Path) -> None:
    """With closed descriptors it writes the same to those that are open, and into no file that it opened."""
    out = tmp_path / "out"
    shell = " ".join(f"{number}{'<' if not number else '>'}&-" for number in closed)
    where = "" if 1 in closed else f">{out}"
    done = subprocess.run(("/bin/sh", "-c", f'"$0" {where} {shell}', SCRIPT), check=False, timeout=30)
    assert done.returncode == 0
    if 1 not in closed:
        assert up in out.read_text()


def test_directories_and_signals(up: str, tmp_path: Path) -> None:
    """A directory that is gone or that may not be entered, blocked or ignored signals, low limits: the same output."""
    rows = rows_of(d_map_alone(env={}).stdout, up)
    gone = tmp_path / "gone"
    ways = (
        f"mkdir {gone}; cd {gone}; rmdir {gone}; exec {SCRIPT}",
        f"trap '' PIPE HUP INT TERM ALRM; exec {SCRIPT}",
        f"ulimit -f 0; exec {SCRIPT}",
        f"umask 0777; exec {SCRIPT}",
        f"ulimit -c 0; ulimit -n 16; exec {SCRIPT}",
    )
    for way in ways:
        done = subprocess.run(("/bin/sh", "-c", way), capture_output=True, check=False, timeout=30)
        assert rows_of(done.stdout, up) == rows, way
    assert len(rows) == 1


def test_arguments_are_refused() -> None:
    """It takes none: it tells that, and lists nothing."""
    for words in (("-h",), ("--help",), ("x",), ("",)):
        done = d_map_alone(*words)
        assert (done.stdout, done.returncode) == (b"", 2)


@pytest.mark.matrix
def test_what_it_opens(up: str, record_property: Record) -> None:
    """It opens what the interpreter and libc open, itself, /dev/null and podman's state, and starts nothing."""
    strace = needed("strace")
    words = (strace, "-f", "-qq", "-e", "trace=open,openat,openat2,execve,connect", SCRIPT)
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60, env={"HOME": "/root"})
    assert up in done.stdout
    calls = [line for line in done.stderr.splitlines() if "ENOENT" not in line and '"' in line]
    opened = {re.findall(r'"([^"]*)"', line)[0] for line in calls if line.startswith("open")}
    library = (
        *("/usr/lib/python3", "/etc/ld.so.cache", "/etc/localtime", "/usr/lib/locale/", "/usr/share/locale/"),
        *("/lib/x86_64-linux-gnu/", "/usr/lib/x86_64-linux-gnu/"),
        *("/lib/aarch64-linux-gnu/", "/usr/lib/aarch64-linux-gnu/"),
    )
    podman = ("/var/lib/containers/storage/overlay-containers", "/run/containers/storage/overlay-containers", "/proc/")
    rest = {path for path in opened if not path.startswith(library)} - {str(SCRIPT), "/dev/null"}
    assert {path for path in rest if not path.startswith(podman)} == set()
    assert sum("execve" in line for line in calls) == 1
    assert all("/run/" in line for line in calls if line.startswith("connect"))
    record_property("figure", f"d-map opens {len(opened)} files: Python's, its own, /dev/null, podman's state")


# --------------------------------------------------------------------------------------------------- what is not root's
def served(answer: str, how: str = "", uid: int = 0, path: str = "/run/docker.sock") -> str:
    """Return what has a server answer at a socket."""
    from shlex import quote

    python = "/usr/bin/python3"
    server = f"{python} -c {quote(SERVER)} {path} {quote(answer)} {quote(how)} {uid} >/run/ready 2>&1 &"
    return f"{server} until grep -qs ready /run/ready; do sleep 0.05; done"


def one(name: object = "/web", identifier: object = IDENTIFIER) -> str:
    """Return an answer of an engine."""
    return json.dumps([{"Id": identifier, "Names": [name]}])


def test_answers_of_an_engine() -> None:
    """A good answer is listed; a link's name is not."""
    answer = json.dumps(
        [{"Id": IDENTIFIER, "Names": ["/other/alias", "/web"]}, {"Id": "f" * 64, "Names": ["/a-b.c_d"]}]
    )
    done = in_namespace(EMPTY + served(answer), str(SCRIPT))
    assert (done.stdout, done.stderr) == ("ffffffffffff a-b.c_d\n0123456789ab web\n", "")


@pytest.mark.parametrize(
    ("setup", "reason"),
    [
        (served(one(), uid=65534), "process that answers is not root's"),
        (served(one(), "socket of nobody"), "not owned by"),
        (served(one(), path="/run/real/docker.sock") + "; ln -s real/docker.sock /run/docker.sock", "not owned by"),
        ("touch /run/docker.sock", "not owned by"),
        ("chmod 777 /run; " + served(one()), "not owned by"),
        ("chown 65534 /run; " + served(one()), "not owned by"),
        (served(one(), "silent"), "no answer in time"),
        (served("x" * 100, "endless"), "too long"),
        (served(one("/web\x1b[2J")), "invalid name"),
        (served(one("/web\n0123 evil")), "invalid name"),
        (served(json.dumps([{"Id": IDENTIFIER, "Names": []}])), "did not answer with a list of containers"),
        (served(one("/")), "invalid name"),
        (served(one("/-rf")), "invalid name"),
        (served(one(7)), "did not answer with a list of containers"),
        (served(one(identifier="0123")), "invalid id"),
        (served(one(identifier=IDENTIFIER.upper())), "invalid id"),
        (served(one(identifier=None)), "invalid id"),
        (served("[" * 100000), "did not answer with a list of containers"),
        (served("not json"), "did not answer with a list of containers"),
        (served('{"message": "x"}'), "did not answer with a list of containers"),
        (served("HTTP/1.0 500 x", "raw"), "refused to answer"),
        (served("", "raw"), "refused to answer"),
        ("true", "no engine"),
    ],
)  # fmt: skip
def test_what_is_refused(setup: str, reason: str) -> None:
    """Nothing is listed of an answer that is not root's, late, too long, or wrong in any part; one line tells why."""
    done = in_namespace(EMPTY + setup, str(SCRIPT))
    assert done.stdout == ""
    assert reason in done.stderr
    assert done.stderr.startswith("d-map: ")
    assert done.stderr.count("\n") == 1
    assert done.returncode == 1


@pytest.mark.parametrize(
    "setup",
    [
        "mkdir -p -m 700 /var/lib/containers/storage/overlay-containers; chmod 700 /var/lib/containers; ",
        "umask 177; python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"/run/docker.sock\")'; ",
    ],
    ids=["podman's state", "docker's socket"],
)
def test_user_without_sudo_reads_what_to_do(setup: str) -> None:
    """Rootless podman's user may read neither root's sockets nor root's state; the message says what to do."""
    copy = f"cp {SCRIPT} /run/d-map; chmod 755 /run/d-map; "
    unprivileged = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
    done = in_namespace(EMPTY + copy + setup, *unprivileged, "/run/d-map")
    assert (done.stdout, done.stderr, done.returncode) == ("", f"d-map: {d_map.REFUSED}\n", 1)
    assert "sudo" in d_map.REFUSED


# ----------------------------------------------------------------------------------------------------------- under sudo
def test_sudoers_fragment() -> None:
    """What is to be installed is what sudo takes."""
    done = subprocess.run((needed("visudo"), "-c", "-f", SUDOERS), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_nobody_runs_it_under_sudo(up: str) -> None:
    """With the fragment, a user who may do nothing else gets the list, and no argument or variable past sudo."""
    needed("sudo")
    setup = (
        f"mount -t tmpfs -o mode=755 tmpfs /usr/local/bin; cp {SCRIPT} /usr/local/bin/d-map; "
        f"mount -t tmpfs -o mode=755 tmpfs /etc/sudoers.d; cp {SUDOERS} /etc/sudoers.d/dockyard-d-map; "
        "chmod 440 /etc/sudoers.d/*; "
    )
    as_nobody = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "sudo", "-n")
    done = in_namespace(setup, *as_nobody, "/usr/local/bin/d-map")
    assert done.stdout == d_map_alone().stdout.decode()
    assert up in done.stdout
    for words in (("/usr/local/bin/d-map", "x"), ("PYTHONPATH=/tmp", "/usr/local/bin/d-map"), ("/bin/sh", "-c", "id")):
        refused = in_namespace(setup, *as_nobody, *words)
        assert refused.stdout == ""
        assert refused.returncode
