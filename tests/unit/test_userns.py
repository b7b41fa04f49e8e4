"""Mapping users, carried out on files and processes of our own. Owners need root."""

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dockyard.cli import verbs
from dockyard.cli.verb import VERBS
from dockyard.engine.about import About
from dockyard.engine.dialect import DOCKER, PODMAN
from dockyard.engine.engine import Engine
from dockyard.engine.models import IdMap, IdRange
from dockyard.errors import DockyardError, EngineUnreachableError, LockedError, UsageError
from dockyard.plan.daemon_json import asks_for_containerd_store
from dockyard.plan.dockerd import Daemon
from dockyard.plan.mapped_names import ServiceAccounts
from dockyard.plan.userns import FileChange, SystemFiles, changes, plan_enable, system_files
from dockyard.userns import daemon, enabling, files, outline, record, restart
from dockyard.userns.outline import Outline
from dockyard.userns.record import Record

assert verbs
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
REDIS = ServiceAccounts("redis", "redis:x:6379:6379::/:\n", "redis:x:6379:\n")
MAPPED = IdMap((IdRange(0, 100000, 65536),), (IdRange(0, 100000, 65536),))


def seen(directory: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Return mode, owner and content of all in a directory, by name."""
    found = {}
    for path in sorted(directory.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path.relative_to(directory))] = (status.st_mode, status.st_uid, status.st_gid, content)
    return found


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep the record in a directory of the test's own; returns it."""
    directory = tmp_path / "state"
    monkeypatch.setattr(record, "state_directory", lambda: directory)
    return directory


@pytest.fixture
def etc(tmp_path: Path) -> Path:
    """Return an /etc with files of all kinds: a strange mode, no newline at the end, bytes that are not UTF-8."""
    directory = tmp_path / "etc"
    directory.mkdir()
    (directory / "passwd").write_bytes(b"root:x:0:0:r\xff\xfet:/root:/bin/sh\nann:x:1000:1000::/:")
    (directory / "group").write_text("root:x:0:\n")
    (directory / "subuid").write_text("")
    (directory / "subuid").chmod(0o600)
    return directory


@pytest.fixture
def places(etc: Path) -> SystemFiles:
    """Return where its files are; the directory of daemon.json is not there."""
    return system_files(str(etc), f"{etc}/docker/daemon.json")


def outlined(places: SystemFiles) -> Outline:
    """Return what enabling comes to."""
    now = files.read_all(places)
    plan = plan_enable(places, now, "dockremap", None, [REDIS])
    found = changes(now, plan.texts)
    whole = Record("dockremap", places.config, found)
    return Outline(places, found, 100000, pending=True, notes=(), daemon=None, record=whole)


# -------------------------------------------------------------------------------------------------------------- files
@as_root
def test_a_file_that_is_replaced_keeps_owner_and_mode(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("old")
    os.chown(path, 12, 34)
    path.chmod(0o4640)
    files.write(str(path), "new")
    status = path.stat()
    assert (path.read_text(), status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == ("new", 12, 34, 0o4640)


def test_a_file_that_is_replaced_keeps_its_attributes(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("old")
    os.setxattr(path, "user.mine", b"1")
    files.write(str(path), "new")
    assert os.getxattr(path, "user.mine") == b"1"


def test_a_file_that_is_made_has_its_mode_whatever_the_umask(tmp_path: Path):
    before = os.umask(0o077)
    try:
        files.write(str(tmp_path / "file"), "new")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


def test_bytes_that_are_not_utf8_survive(tmp_path: Path):
    content = bytes(range(256))
    (tmp_path / "file").write_bytes(content)
    text = files.read(str(tmp_path / "file"))
    assert text is not None
    files.write(str(tmp_path / "file"), text)
    assert (tmp_path / "file").read_bytes() == content


def test_a_draft_that_a_killed_run_left_is_no_obstacle(tmp_path: Path):
    (tmp_path / ".file.dockyard").write_text("half")
    files.write(str(tmp_path / "file"), "whole")
    assert {path.name for path in tmp_path.iterdir()} == {"file"}


def test_a_draft_that_cannot_take_its_place_goes(tmp_path: Path):
    (tmp_path / "file").mkdir()
    with pytest.raises(OSError, match="directory"):
        files.write(str(tmp_path / "file"), "new")
    assert {path.name for path in tmp_path.iterdir()} == {"file"}


def test_a_link_is_not_followed(tmp_path: Path):
    (tmp_path / "target").write_text("mine")
    (tmp_path / "passwd").symlink_to("target")
    with pytest.raises(DockyardError, match="a link, which is not followed"):
        files.read(str(tmp_path / "passwd"))


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["directory", "pipe"])
def test_what_is_no_file_is_an_error(tmp_path: Path, make: Callable[[Path], None]):
    make(tmp_path / "passwd")
    with pytest.raises(DockyardError, match="passwd is not a regular file"):
        files.read(str(tmp_path / "passwd"))


def test_a_file_that_somebody_changed_meanwhile_stays(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("theirs")
    with pytest.raises(DockyardError, match="changed in the meantime"):
        files.carry_out(FileChange(str(path), "old", "new"))
    assert path.read_text() == "theirs"


def test_the_lock_of_the_account_files_is_that_of_useradd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Another process that holds it, as lckpwdf(3) does, keeps us out."""
    monkeypatch.setattr(files, "PATIENCE", 0)
    code = "import fcntl, sys; file = open(sys.argv[1], 'w'); fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)"
    waits = f"{code}; print(flush=True); sys.stdin.read()"
    argv = (sys.executable, "-c", waits, tmp_path / ".pwd.lock")
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout
        holder.stdout.readline()
        with pytest.raises(LockedError, match="another program is changing accounts"), files.locked(str(tmp_path)):
            pass
        holder.communicate()
    with files.locked(str(tmp_path)):
        argv = (sys.executable, "-c", code, tmp_path / ".pwd.lock")
        refused = subprocess.run(argv, capture_output=True, check=False)
        assert b"BlockingIOError" in refused.stderr


# ------------------------------------------------------------------------------------------------------------- record
def test_a_record_is_read_as_it_was_written(state: Path):
    whole = Record(
        "dockremap",
        "/etc/docker/daemon.json",
        (FileChange("/etc/passwd", "r\udcff", "new"), FileChange("/etc/subuid", None, "a:1:2\n")),
        "/etc/docker",
        Daemon(7, ("dockerd", "-D"), "docker.service", "/", {"A": "\udcfe"}, "/log"),
        complete=True,
    )
    record.save(whole)
    assert record.load() == whole
    assert stat.S_IMODE((state / "userns.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(state.stat().st_mode) == 0o700


def test_no_record_is_none():
    assert record.load() is None


def test_a_record_that_others_may_read_is_not_trusted(state: Path):
    """It says what is run as root."""
    record.save(Record("u", "/c", ()))
    (state / "userns.json").chmod(0o644)
    with pytest.raises(DockyardError, match="other users can"):
        record.load()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"form": 2}', '{"form": 1}'])
def test_what_is_no_record_is_an_error(state: Path, text: str):
    state.mkdir(mode=0o700)
    (state / "userns.json").write_text(text)
    (state / "userns.json").chmod(0o600)
    with pytest.raises(DockyardError, match="not a record of dockyard"):
        record.load()


# ----------------------------------------------------------------------------------------------------- there and back
def test_all_files_are_changed_and_put_back(etc: Path, places: SystemFiles, state: Path):
    before = seen(etc)
    enabling.change_files(outlined(places), str)
    assert b"dockremap:100000:65536" in (etc / "subgid").read_bytes()
    assert (etc / "docker/daemon.json").is_file()
    known = record.load()
    assert known
    assert known.complete
    outline.put_back(known, places)
    assert seen(etc) == before
    assert list(state.iterdir()) == []


@pytest.mark.parametrize("number", range(5))
def test_a_change_that_fails_undoes_those_before_it(
    etc: Path, places: SystemFiles, state: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    """A full disk, say, at each of the five files."""
    before = seen(etc)
    wanted = outlined(places)
    carry_out = files.carry_out

    def fail(change: FileChange) -> None:
        if change == wanted.changes[number]:
            raise DockyardError(f"{change.path}: cannot be changed: No space left on device")
        carry_out(change)

    monkeypatch.setattr(files, "carry_out", fail)
    with pytest.raises(DockyardError, match="No space left"):
        enabling.change_files(wanted, str)
    assert seen(etc) == before
    assert list(state.iterdir()) == []


@pytest.mark.parametrize("number", range(6))
def test_a_run_that_is_killed_can_be_undone(
    etc: Path, places: SystemFiles, state: Path, monkeypatch: pytest.MonkeyPatch, number: int
):
    """Killed before each of the five files and after the last, a half-written draft beside it."""
    before = seen(etc)
    wanted = outlined(places)
    count = 0
    carry_out = files.carry_out

    def die(change: FileChange) -> None:
        nonlocal count
        if count == number:
            files._draft(change.path).write_text("half")  # noqa: SLF001
            os._exit(9)
        count += 1
        carry_out(change)

    child = os.fork()
    if not child:
        monkeypatch.setattr(files, "carry_out", die)
        enabling.change_files(wanted, str)
        os._exit(9)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    known = record.load()
    assert known
    assert known.complete == (number == 5)
    outline.put_back(known, places)
    assert seen(etc) == before
    assert list(state.iterdir()) == []


# ------------------------------------------------------------------------------------------------------------- daemon
@pytest.fixture
def dockerd(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Start something that the kernel calls dockerd, and that waits; whatever came of it ends."""
    program = tmp_path / "dockerd"
    shutil.copy(shutil.which("sleep") or "", program)
    with (tmp_path / "log").open("ab") as log:
        environment = {**os.environ, "A": "b c"}
        running = subprocess.Popen((program, "600"), cwd=tmp_path, stdout=log, stderr=log, env=environment)
    await_dockerd(running.pid)
    yield running
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and str(program).encode() in cmdline(int(entry.name)):
            os.kill(int(entry.name), signal.SIGKILL)
    running.wait()


def cmdline(pid: int) -> bytes:
    """Return the words of a process; none where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def wait_for(check: Callable[[], object]) -> None:
    """Ask until the answer is true."""
    deadline = time.monotonic() + 20
    while not check():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def await_dockerd(pid: int | None) -> None:
    """Wait until a process that was just started is what it is to be."""
    process = Path(f"/proc/{pid}")
    # Its arguments are in place a moment after its name.
    wait_for(lambda: (process / "comm").read_text() == "dockerd\n" and (process / "cmdline").read_bytes())


def restarting(found: Daemon, monkeypatch: pytest.MonkeyPatch, answers: IdMap | None = None) -> restart.Restart:
    """Return what restarts a daemon whose engine gives this answer, or none at all."""

    class Asked:
        def __init__(self, *_: object) -> None:
            pass

        def running(self) -> list[tuple[str, str]]:
            if answers is None:
                raise EngineUnreachableError("not yet")
            return []

        @property
        def id_map(self) -> IdMap:
            return answers or IdMap()

    monkeypatch.setattr(restart, "Engine", Asked)
    return restart.Restart(found, Engine("docker", DOCKER))


@as_root
def test_how_a_daemon_was_started_is_read_off_it(dockerd: subprocess.Popen[bytes], tmp_path: Path):
    found = daemon.describe(dockerd.pid, "/socket")
    assert (found.pid, found.argv[1:], found.cwd, found.output) == (
        dockerd.pid,
        ("600",),
        str(tmp_path),
        str(tmp_path / "log"),
    )
    assert found.environment["A"] == "b c"
    assert daemon.running_as(found) == dockerd.pid


def test_a_process_that_is_no_dockerd_is_refused():
    with pytest.raises(DockyardError, match="and not dockerd"):
        daemon.describe(os.getpid(), "/socket")


def test_who_listens_on_a_socket_is_asked_of_the_kernel(tmp_path: Path):
    path = os.path.relpath(tmp_path / "socket")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        assert daemon._listener(path) == os.getpid()  # noqa: SLF001
    with pytest.raises(EngineUnreachableError, match="no engine answers at"):
        daemon._listener(path)  # noqa: SLF001


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:2375", "ssh://root@other"])
def test_an_engine_that_is_elsewhere_is_refused(monkeypatch: pytest.MonkeyPatch, endpoint: str):
    monkeypatch.setenv("DOCKER_HOST", endpoint)
    with pytest.raises(DockyardError, match="not on this host"):
        daemon.find(Engine("docker", DOCKER))


@as_root
def test_a_daemon_is_started_as_it_was(dockerd: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch):
    """Same words, directory and environment; what it writes goes to the same file; the old one has ended."""
    before = daemon.describe(dockerd.pid, "")
    work = restarting(before, monkeypatch, MAPPED)
    work.carry_out(100000)
    await_dockerd(work.pid)
    assert dockerd.wait() is not None
    assert work.pid
    after = daemon.describe(work.pid, "")
    assert after._replace(pid=0, environment={}) == before._replace(pid=0, environment={})
    assert after.environment["A"] == "b c"
    assert os.getsid(work.pid) == work.pid
    work._end()  # noqa: SLF001


@as_root
def test_a_daemon_that_refuses_is_told_with_its_last_words(
    dockerd: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    found = daemon.describe(dockerd.pid, "")
    work = restarting(found._replace(argv=(found.argv[0], "no-time")), monkeypatch)
    with pytest.raises(DockyardError) as error:
        work.carry_out(100000)
    assert str(error.value).startswith("the engine did not come up: Try ")
    assert "invalid time interval" in (tmp_path / "log").read_text()
    assert error.value.hint == f"see its output in {tmp_path / 'log'}"


@as_root
def test_a_daemon_that_comes_up_otherwise_is_told(dockerd: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch):
    work = restarting(daemon.describe(dockerd.pid, ""), monkeypatch, IdMap())
    with pytest.raises(DockyardError, match="came up with no users mapped"):
        work.carry_out(100000)
    await_dockerd(work.pid)
    work.carry_out(None)
    await_dockerd(work.pid)
    work._end()  # noqa: SLF001


def test_a_process_that_is_no_daemon_any_more_is_never_ended(monkeypatch: pytest.MonkeyPatch):
    """Ids of processes are given out again."""
    work = restarting(Daemon(os.getpid(), ("dockerd",)), monkeypatch, MAPPED)
    with pytest.raises(DockyardError, match="no longer dockerd"):
        work.carry_out(100000)


@pytest.mark.parametrize("fails", [False, True])
def test_a_unit_is_restarted_by_systemd(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool):
    """There is no systemd here: what it would be asked is all that can be seen."""
    program = tmp_path / "bin/systemctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >>{tmp_path}/asked\n' + ("echo failed >&2; exit 1\n" if fails else ""))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    work = restarting(Daemon(1, ("dockerd",), unit="docker.service"), monkeypatch, None if fails else MAPPED)
    if fails:
        with pytest.raises(DockyardError, match="did not come up: failed"):
            work.carry_out(100000)
    else:
        work.carry_out(100000)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked == ["reset-failed docker.service", "restart docker.service"]


# ------------------------------------------------------------------------------------------------- asking the daemon
def asking(tmp_path: Path, script: str, places: SystemFiles) -> list[str]:
    """Check a configuration with a dockerd that does what a script says; returns what was told."""
    program = tmp_path / "dockerd"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    told: list[str] = []
    wanted = outlined(places)._replace(daemon=Daemon(1, (str(program), "--debug", "--config-file=/old")))
    enabling.change_files(wanted, told.append)
    return told


def test_a_daemon_that_can_is_asked_before_its_configuration_changes(tmp_path: Path, etc: Path, places: SystemFiles):
    """From 23.0 on it looks for the user, too: that one has to be there by then."""
    script = (
        f'echo "$1 $2 $3" >{tmp_path}/asked; cat "$4" >{tmp_path}/read; '
        f"cp {etc}/passwd {tmp_path}; ls {etc}/docker >{tmp_path}/ls"
    )
    assert asking(tmp_path, script, places) == []
    assert (tmp_path / "asked").read_text() == "--debug --validate --config-file\n"
    assert (tmp_path / "read").read_text() == '{\n    "userns-remap": "dockremap"\n}\n'
    assert b"dockremap:" in (tmp_path / "passwd").read_bytes()
    assert (tmp_path / "ls").read_text() == ""


def test_a_configuration_that_the_daemon_refuses_is_an_error(
    tmp_path: Path, etc: Path, places: SystemFiles, state: Path
):
    before = seen(etc)
    script = 'echo "unable to configure the Docker daemon with file $4: no such option: x" >&2; exit 1'
    with pytest.raises(DockyardError) as error:
        asking(tmp_path, script, places)
    assert str(error.value) == f"{places.config}: the engine would not start: no such option: x"
    assert seen(etc) == before
    assert list(state.iterdir()) == []


def test_a_daemon_that_is_too_old_to_ask_is_told(tmp_path: Path, places: SystemFiles):
    script = "echo 'Status: unknown flag: --validate' >&2; echo \"See 'dockerd --help'., Code: 125\" >&2; exit 1"
    assert asking(tmp_path, script, places) == [
        "note: this engine is too old to validate its configuration (--validate needs 23.0)"
    ]


# --------------------------------------------------------------------------------------------------------------- who
def test_only_root_may_change_anything(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(outline, "is_hosts_root", lambda: False)
    with pytest.raises(DockyardError, match="requires root"):
        outline.refuse_impossible(Engine("docker", DOCKER))


def test_podman_has_no_daemon():
    with pytest.raises(DockyardError) as error:
        outline.refuse_impossible(Engine("podman", PODMAN))
    assert "podman has no daemon" in str(error.value)
    assert "docs/how-to/map-users.md" in error.value.hint


@pytest.mark.parametrize(("version", "is_refused"), [("29.0.1", True), ("28.5.2+dfsg4", False), ("20.10.24", False)])
def test_containerd_store_is_refused_before_anything_is_changed(
    places: SystemFiles, monkeypatch: pytest.MonkeyPatch, version: str, is_refused: bool
):
    """Docker 29 does not start with both, 28.5 does; a store that nobody asked for by name gives way by itself."""
    engine = Engine("docker", DOCKER)
    engine.__dict__["about"] = About(version)
    engine.__dict__["id_map"] = IdMap()
    monkeypatch.setattr(enabling, "find", lambda _: Daemon(1, ("dockerd",)))
    monkeypatch.setattr(enabling, "refuse_impossible", lambda _: None)
    monkeypatch.setattr(engine, "running", list)
    monkeypatch.setattr(enabling, "ETC", str(Path(places.passwd).parent))
    config = Path(places.config)
    config.parent.mkdir(exist_ok=True)
    wanted = outline.Wanted("dockremap", config=str(config))
    before = '{"features": {"containerd-snapshotter": true}}'
    config.write_text(before)
    if not is_refused:
        assert enabling.outline_enabling(engine, [], wanted).changes
        return
    with pytest.raises(DockyardError, match="the engine would not start") as error:
        enabling.outline_enabling(engine, [], wanted)
    assert '"containerd-snapshotter"' in error.value.hint
    assert config.read_text() == before


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ('{"features": {"containerd-snapshotter": true}}', True),
        ('{"features": {"containerd-snapshotter": false}}', False),
        ('{"features": {}}', False),
        ('{"features": null}', False),
        (None, False),
    ],
)
def test_containerd_store_is_asked_for_by_name(text: str | None, asks: bool):
    assert asks_for_containerd_store(text, "daemon.json") == asks


def test_a_daemon_that_is_told_by_a_flag_is_left_alone(monkeypatch: pytest.MonkeyPatch):
    """A flag and a setting contradict each other, and dockerd starts with neither."""
    monkeypatch.setattr(enabling, "refuse_impossible", lambda _: None)
    monkeypatch.setattr(enabling, "find", lambda _: Daemon(1, ("dockerd", "--userns-remap=me")))
    with pytest.raises(DockyardError, match="was started with --userns-remap me"):
        enabling.outline_enabling(Engine("docker", DOCKER), [], outline.Wanted("dockremap"))


@pytest.mark.parametrize(
    ("found", "given", "expected"),
    [
        (Daemon(1, ("dockerd",)), "", "/etc/docker/daemon.json"),
        (Daemon(1, ("dockerd", "--config-file=/a/b.json")), "", "/a/b.json"),
        (Daemon(1, ("dockerd", "--config-file", "../b.json"), cwd="/a/c"), "", "/a/b.json"),
        (Daemon(1, ("dockerd", "--config-file=/a")), "/given", "/given"),
        (None, "", "/etc/docker/daemon.json"),
    ],
)
def test_the_configuration_is_the_daemons_own(found: Daemon | None, given: str, expected: str):
    assert outline.config_of(found, given) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["enabel"], "there is no action `enabel`"),
        (["map"], "the name or id to map is missing"),
        (["enable", "redis"], "unexpected argument: `redis`"),
        (["enable", "--start", "x"], "invalid int value"),
        (["status", "--restrat"], "no option `--restrat`"),
    ],
)
def test_wrong_usage_is_told(arguments: list[str], message: str):
    with pytest.raises(UsageError, match=message) as error:
        VERBS["userns"].run(arguments)
    assert error.value.hint or message.startswith("unexpected argument")
