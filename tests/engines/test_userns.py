"""`d userns` on a real daemon whose /etc is its own: nothing that it does may be left when it is undone."""

import json
import os
import signal
import socket
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.engines.world import OURS, REPO, REPOSITORY, World, free_port, wait_for, write

if TYPE_CHECKING:
    from tests.engines.remapped import SecondEngine

pytest_plugins = ["tests.engines.remapped"]

ODD = '{ "debug" : false,\r\n\t"labels": ["a=b", "userns-remap=b"] }'
"""A daemon.json in a style of its own, without a newline at its end."""
REDIS = 6379


def tree(etc: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Return all of an /etc: modes, owners and contents by name."""
    found = {}
    for path in sorted(etc.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else b""
        found[str(path.relative_to(etc))] = (status.st_mode, status.st_uid, status.st_gid, content)
    return found


def plain_image(engine: "SecondEngine") -> str:
    """Build an image of nothing but a file, and return its tag."""
    service = engine.source / f"{OURS}plain"
    write(service / "Dockerfile", "FROM scratch\nCOPY files /\n")
    write(service / "files/file", "content\n")
    engine.d_build(service)
    return f"{REPO}/{OURS}plain"


@pytest.mark.matrix
# ---------------------------------------------------------------------------------------------------- there and back
def test_enabling_and_disabling_leave_every_file_as_it_was(second: "SecondEngine"):
    """Bytes, mode and owner of all of /etc, the record gone, and the engine with its images again."""
    write(second.etc / "docker/daemon.json", ODD, mode=0o640)
    os.chown(second.etc / "docker/daemon.json", 0, 7)
    (second.etc / "subuid").chmod(0o600)
    image = plain_image(second)
    before = tree(second.etc)

    enabled = second.d("userns", "enable", "--restart")
    assert "NOT VISIBLE" in enabled.stderr
    told = second.userns()
    assert (told["maps"], told["asked"], told["agrees"], told["ours"], told["problems"]) == (
        True,
        "dockremap",
        True,
        True,
        [],
    )
    assert json.loads((second.etc / "docker/daemon.json").read_text())["userns-remap"] == "dockremap"
    assert second.call("images", "-q", image) == ""
    assert (second.state / "userns.json").stat().st_mode & 0o077 == 0

    second.d("userns", "disable", "--restart")
    assert tree(second.etc) == before
    assert {path.name for path in second.state.iterdir()} <= {"history.db"}
    assert not second.userns()["maps"]
    assert second.call("images", "-q", image) != ""


def test_a_configuration_that_was_not_there_goes_again(second: "SecondEngine"):
    """Without --restart nothing but files changes, and each file goes back, or goes."""
    before, daemon = tree(second.etc), second.pid()
    second.d("userns", "enable")
    told = second.userns()
    assert (told["maps"], told["asked"], told["agrees"]) == (False, "dockremap", False)
    assert "its current configuration: restart it" in second.d("userns").stdout
    again = json.loads(second.d("userns", "enable", "--json").stdout)
    assert again["changes"] == []
    second.d("userns", "disable")
    assert tree(second.etc) == before
    assert second.pid() == daemon


def test_what_somebody_changed_meanwhile_stays(second: "SecondEngine"):
    """Only our lines and our setting are taken out of files that are not as they were left."""
    write(second.etc / "docker/daemon.json", '{\n  "debug": false\n}\n')
    before = second.seen()
    second.d("userns", "enable")
    passwd, config = second.etc / "passwd", second.etc / "docker/daemon.json"
    passwd.write_text(passwd.read_text() + "later:x:4711:4711::/:/bin/sh\n")
    config.write_text(config.read_text().replace('"debug": false', '"debug": false,\n  "labels": ["later=1"]'))
    second.d("userns", "disable")
    after = second.seen()
    assert before["passwd"]
    assert passwd.read_bytes() == before["passwd"][0] + b"later:x:4711:4711::/:/bin/sh\n"
    assert config.read_text() == '{\n  "debug": false,\n  "labels": ["later=1"]\n}\n'
    assert {name: after[name] for name in ("group", "subuid")} == {name: before[name] for name in ("group", "subuid")}


def test_a_dry_run_shows_everything_and_changes_nothing(second: "SecondEngine"):
    """The differences of all five files, the commands that follow, and not a byte of it done."""
    write(second.etc / "docker/daemon.json", ODD)
    before, daemon = tree(second.etc), second.pid()
    shown = second.d("userns", "enable", "--restart", "-n").stdout
    for name in ("passwd", "group", "subuid", "subgid", "docker/daemon.json"):
        assert f"+++ /etc/{name}" in shown
    assert '+{ "userns-remap" : "dockremap", "debug" : false,' in shown
    assert f"kill {daemon} " in shown
    assert f"setsid dockerd --data-root={second.root}/data/docker" in shown
    assert tree(second.etc) == before
    assert (list(second.state.iterdir()), second.pid()) == ([], daemon)


# ------------------------------------------------------------------------------------------------- when it goes wrong
def test_a_daemon_that_does_not_come_up_is_taken_back(second: "SecondEngine"):
    """The mapped root may not get into the data root: dockerd ends, and everything is as before."""
    image = plain_image(second)
    before = tree(second.etc)
    (second.root / "data").chmod(0o700)
    try:
        failed = second.d("userns", "enable", "--restart", expect=1)
    finally:
        (second.root / "data").chmod(0o755)
    assert "restricts access to the remapped root" in failed.stderr
    assert "everything was rolled back" in failed.stderr
    assert tree(second.etc) == before
    assert {path.name for path in second.state.iterdir()} <= {"history.db"}
    assert not second.userns()["maps"]
    assert second.call("images", "-q", image) != ""


@pytest.mark.parametrize("moment", ["recorded", "restarting"])
def test_enabling_that_is_killed_can_be_undone(second: "SecondEngine", moment: str):
    """SIGKILL as soon as there is a record, or while the engine is down: `disable` puts everything back."""
    before, daemon = tree(second.etc), second.pid()
    reached = {
        "recorded": (second.state / "userns.json").exists,
        "restarting": lambda: second.pid() != daemon,
    }[moment]
    with second.start(second.environment["PATH"].split(":")[0] + "/d", "userns", "enable", "--restart") as running:
        while not reached() and running.poll() is None:
            pass
        running.send_signal(signal.SIGKILL)
    assert running.returncode == -signal.SIGKILL
    assert (second.state / "userns.json").exists()
    second.d("userns", "disable", "--restart")
    assert tree(second.etc) == before
    assert {path.name for path in second.state.iterdir()} <= {"history.db"}
    second.await_daemon()
    assert not second.userns()["maps"]
    assert [name for _, name in second.processes()].count("dockerd") == 1


def test_enabling_that_was_killed_can_be_enabled_again(second: "SecondEngine"):
    """What the first one left is no obstacle to the second, and `disable` still undoes both."""
    before = tree(second.etc)
    with second.start(second.environment["PATH"].split(":")[0] + "/d", "userns", "enable") as running:
        while not (second.state / "userns.json").exists() and running.poll() is None:
            pass
        running.send_signal(signal.SIGKILL)
    second.d("userns", "enable")
    passwd = (second.etc / "passwd").read_text().splitlines()
    assert len([line for line in passwd if line.startswith("dockremap:")]) == 1
    assert second.userns()["problems"] == []
    second.d("userns", "disable")
    assert tree(second.etc) == before


def test_a_mapping_of_somebody_else_is_left_alone(second: "SecondEngine"):
    write(second.etc / "docker/daemon.json", '{"userns-remap": "somebody"}')
    before = tree(second.etc)
    refused = second.d("userns", "enable", expect=1)
    assert '"userns-remap" is "somebody" already' in refused.stderr
    assert "but `d userns enable` did not write it" in second.d("userns", "disable", expect=1).stderr
    problems = second.userns()["problems"]
    assert "there is no user `somebody`" in problems
    assert "subuid has no range of `somebody`" in problems
    assert tree(second.etc) == before


def test_containers_that_would_outlive_their_engine_are_no_surprise(remapped: "SecondEngine"):
    """With live-restore they go on running, and the engine of after the restart does not know them: refused."""
    config = remapped.etc / "docker/daemon.json"
    before = config.read_text()
    name = f"{OURS}outlives"

    def live_restore(value: str) -> None:
        config.write_text(before.replace("{", f'{{"live-restore": {value},', 1))
        os.kill(remapped.pid(), signal.SIGHUP)
        wait_for(lambda: remapped.call("info", "-f", "{{.LiveRestoreEnabled}}").strip() == value, "live-restore")

    try:
        live_restore("true")
        remapped.call("run", "-d", "--name", name, f"{REPO}/{OURS}base", "sleep", "600")
        refused = remapped.d("userns", "disable", "--restart", expect=1)
        assert "live-restore is on" in refused.stderr
        assert remapped.is_up(name)
        assert "userns-remap" in config.read_text()
    finally:
        remapped.call("rm", "-f", name, expect=None)
        live_restore("false")
        config.write_text(before)


# ------------------------------------------------------------------------------------------------------ what it is for
@pytest.fixture(scope="module")
def redis(remapped: "SecondEngine") -> "tuple[SecondEngine, str, int]":
    """Launch the example redis, as production, from an engine that maps users; returns its name and port."""
    port, name = free_port(), f"{OURS}redis"
    service = remapped.source / name
    remapped.run("cp", "-a", REPOSITORY / "examples/redis", service)
    settings = (service / "settings.yaml").read_text().replace("127.0.0.1:6379:6379", f"127.0.0.1:{port}:6379")
    write(service / "settings.yaml", settings)
    remapped.d("userns", "enable")  # names for the users of a service that is new
    remapped.d_build(service, "-a", timeout=300)  # its own Test passes there, too
    remapped.d_run(service)
    wait_for(lambda: ask(port, "PING") == "+PONG", "redis")
    return remapped, name, port


def ask(port: int, command: str) -> str:
    """Return the first line that redis answers; empty where it does not."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
            client.sendall(f"{command}\r\n".encode())
            return client.recv(1000).decode().partition("\r\n")[0]
    except OSError:
        return ""


@pytest.mark.matrix
def test_a_services_data_belong_to_its_mapped_user(redis: "tuple[SecondEngine, str, int]"):
    """The directory that d-run made, and what redis writes there, over its published port."""
    engine, name, port = redis
    mapped = engine.offset() + REDIS
    assert ask(port, "SET greeting hello") == "+OK"
    assert ask(port, "GET greeting") == "$5"
    data = engine.volumes / name / "data"
    assert (data.stat().st_uid, data.stat().st_gid) == (mapped, mapped)
    written = [path for path in data.rglob("*.aof") if b"greeting" in path.read_bytes()]
    assert [path.stat().st_uid for path in written] == [mapped]


def test_ps_tells_whose_a_process_is(redis: "tuple[SecondEngine, str, int]"):
    engine, name, _ = redis
    pid = engine.inspect(name)["State"]["Pid"]
    shown = engine.run("ps", "-o", "user=,uid=", "-p", str(pid)).stdout.split()
    assert shown == [f"{'d-redis'}", str(engine.offset() + REDIS)]


@pytest.mark.parametrize("word", ["redis", "d-redis", "6379", "host"])
def test_map_translates_both_ways(redis: "tuple[SecondEngine, str, int]", word: str):
    """A user of a service, its name on the host, an id inside and one of the host all mean the same."""
    engine, name, _ = redis
    outside = engine.offset() + REDIS
    found = json.loads(engine.d("userns", "map", str(outside) if word == "host" else word, "--json").stdout)
    assert [(row["uid"], row["host_uid"], row["host_name"]) for row in found] == [(REDIS, outside, "d-redis")]
    assert {row["service"] for row in found} <= {name, ""}


def test_map_says_when_a_number_is_nobodys(remapped: "SecondEngine"):
    refused = remapped.d("userns", "map", "70000", expect=1)
    assert "neither an id in containers nor one of their ids" in refused.stderr


def test_what_the_guide_says_does_not_work_does_not(remapped: "SecondEngine"):
    """The host's network and privileges are refused by an engine that maps users, and work with --userns=host."""
    image = f"{REPO}/{OURS}base"
    for flags in (["--network", "host"], ["--pid", "host"], ["--privileged"]):
        refused = remapped.run("docker", "run", "--rm", *flags, image, "true", expect=125)
        assert "user namespaces" in refused.stderr
    remapped.call("run", "--rm", "--network", "host", "--userns", "host", image, "true")
    refused = remapped.run("docker", "run", "--rm", "--user", "65536", image, "true", expect=None)
    assert refused.exit_code
    assert "unmapped user" in refused.stderr
    refused = remapped.run("docker", "run", "--rm", image, "mknod", "/null", "c", "1", "3", expect=1)
    assert "Operation not permitted" in refused.stderr


@pytest.mark.matrix
# ------------------------------------------------------------------------------------------------------- every engine
def test_status_and_map_work_on_every_engine(engine: World):
    """Root's engines map nobody here: an id is itself."""
    told = json.loads(engine.d("userns", "--json").stdout)
    assert (told["engine"], told["maps"], told["answers"]) == (engine.engine, False, True)
    found = json.loads(engine.d("userns", "map", "6379", "--json").stdout)
    assert [(row["uid"], row["host_uid"]) for row in found] == [(REDIS, REDIS)]


def test_podman_has_no_daemon_to_map_users_for(engine: World):
    """It says so, and where to read on; docker shows what it would do."""
    before = [Path("/etc", name).read_bytes() for name in ("passwd", "group", "subuid", "subgid")]
    done = engine.d("userns", "enable", "-n", expect=None)
    if engine.engine == "podman":
        assert done.exit_code == 1
        assert "podman has no daemon" in done.stderr
        assert "docs/how-to/map-users.md" in done.stderr
    else:
        assert "+++ /etc/subuid" in done.stdout
    assert [Path("/etc", name).read_bytes() for name in ("passwd", "group", "subuid", "subgid")] == before


# ---------------------------------------------------------------------------------------------------------- the guide
def test_the_guides_shift_moves_a_tree_there_and_back(remapped: "SecondEngine", tmp_path: Path):
    """Every owner by the offset, links themselves and not what they lead to, once for hard links; modes stay."""
    page = (REPOSITORY / "docs/how-to/map-users.md").read_text()
    begin = page.index("    shift_owners()")
    function = page[begin : page.index("\n    }\n", begin) + 7]
    script = "\n".join(line.removeprefix("    ") for line in function.splitlines())
    outside = write(tmp_path / "outside", "not to be touched")
    data = tmp_path / "data"
    write(data / "sub/program", "set", mode=0o755)
    os.chown(data / "sub/program", REDIS, REDIS)
    (data / "sub/program").chmod(0o6755)
    os.link(data / "sub/program", data / "hard")
    (data / "link").symlink_to(outside)
    before = tree(tmp_path)
    for old, new in ((0, remapped.offset()), (0, remapped.offset()), (remapped.offset(), 0)):
        done = subprocess.run(
            ("sh", "-euc", f'{script}\nshift_owners "$@"', "sh", data, str(old), str(new)),  # noqa: S607
            capture_output=True,
            text=True,
            env={**remapped.environment},
            check=False,
        )
        assert done.returncode == 0, done.stderr
        if new:
            shifted = {name: entry[1:3] for name, entry in tree(data).items()}
            mapped = (REDIS + new, REDIS + new)
            assert (shifted["sub/program"], shifted["hard"], shifted["link"]) == (mapped, mapped, (new, new))
            assert outside.lstat().st_uid == 0
    assert tree(tmp_path) == before
