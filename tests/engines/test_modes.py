"""Dev, test, in-place, shell: the differences from production, which is never affected."""

import json
import os
from pathlib import Path

import pytest

from tests.engines.world import BASE, FROM_BASE, IDLE, World, free_port, tree_hash, write


def only_mount(engine: World, name: str, target: str) -> dict[str, object]:
    """Return the mount that a container has at a path."""
    found: list[dict[str, object]] = [m for m in engine.inspect(name)["Mounts"] if m["Destination"] == target]
    assert len(found) == 1
    return found[0]


@pytest.mark.matrix
def test_test_instance_is_isolated(engine: World) -> None:
    """A test instance has its own name, port and data, and is marked as one."""
    port = free_port()
    service = engine.idle(ports=[f"{port}:8080"], mount_rw="data:/data", test_env="TEST=1")
    engine.d_run(service)
    engine.d_run(service, "-DT", "--no-fg")
    told = engine.inspect(f"test-{service.name}")
    binding = told["NetworkSettings"]["Ports"]["8080/tcp"][0]
    assert (binding["HostIp"], binding["HostPort"]) == ("127.0.0.1", str(port + 10000))
    assert told["Config"]["Hostname"] == f"test-{service.name}"
    assert told["Config"]["Labels"]["dockyard.mode"] == "test"
    assert "TEST=1" in told["Config"]["Env"]
    twin = only_mount(engine, f"test-{service.name}", "/data")["Source"]
    assert twin == f"{engine.volumes}/TMP/{service.name}/data"
    assert engine.is_up(service.name)


@pytest.mark.matrix
def test_no_byte_of_production_changes(engine: World) -> None:
    """A test that writes, deletes and changes modes on every mount leaves production's tree as it is, byte for byte."""
    service = engine.idle(
        mount_rw=["data:/data", "deep/er:/deeper", f"{engine.volumes}/dyt-other/shared:/shared"],
        mount_logs="log:/log",
        mount_ro="conf:/conf",
        mount_test_only="probe:/probe",
    )
    own = engine.volumes / service.name
    for path in ("data/a", "data/sub/b", "deep/er/c", "log/d", "conf/e", "probe/f"):
        write(own / path, f"production {path}")
    write(engine.volumes / "dyt-other/shared/g", "another service's")
    (own / "data/link").symlink_to(own / "conf")
    os.chown(own / "data/a", 1234, 1234)
    before = tree_hash(own), tree_hash(engine.volumes / "dyt-other")
    engine.d_run(service, "-DT", "--no-fg")
    name = f"test-{service.name}"
    for target in ("/data", "/deeper", "/shared", "/log", "/probe"):
        engine.inside(name, f'cd {target} && ls -A && test -z "$(ls -A)" && echo mine >a && mkdir sub && chmod 777 .')
    assert "conf/e" in engine.inside(name, "cat /conf/e")
    assert "ead-only" in engine.run(engine.engine, "exec", name, "sh", "-c", "rm /conf/e", expect=1).stderr
    assert (tree_hash(own), tree_hash(engine.volumes / "dyt-other")) == before
    assert not only_mount(engine, name, "/conf")["RW"]


def test_the_twin_is_empty_at_each_launch(engine: World) -> None:
    """Files that a test left in its area are removed at the next launch; a planted link is not followed."""
    service = engine.idle(mount_rw="data:/data")
    treasure = write(engine.root / "treasure/gold", "gold")
    engine.d_run(service, "-DT", "--no-fg")
    name, area = f"test-{service.name}", engine.volumes / "TMP" / service.name
    engine.inside(name, f"echo left >/data/left; ln -s {treasure.parent} /data/link; ln -s /etc /data/etc")
    assert (area / "data/left").exists()
    engine.call("kill", name)
    engine.d_run(service, "-DT", "--no-fg")
    assert engine.inside(name, "ls -A /data") == ""
    assert treasure.read_text() == "gold"


def test_persistent_mount_is_the_very_same_and_said_so(engine: World) -> None:
    """mount_persistent is production's directory in test mode too, with a note that names it."""
    service = engine.idle(mount_persistent="keep:/keep")
    write(engine.volumes / service.name / "keep/a", "production")
    done = engine.d_run(service, "-DT", "--no-fg")
    assert "keep" in done.stderr
    assert engine.inside(f"test-{service.name}", "cat /keep/a") == "production"
    assert only_mount(engine, f"test-{service.name}", "/keep")["RW"]


def test_missing_sources_get_stand_ins(engine: World) -> None:
    """In test mode an absolute source that is missing is an empty directory of the test area, with a note."""
    service = engine.idle(mount_ro="/nowhere/at/all:/conf")
    done = engine.d_run(service, "-DT", "--no-fg")
    assert "/nowhere/at/all" in done.stderr
    assert engine.inside(f"test-{service.name}", "ls -A /conf") == ""
    assert not Path("/nowhere").exists()


@pytest.mark.matrix
def test_dev_is_in_the_foreground_and_removed(engine: World) -> None:
    """-D runs the latest image on the terminal, on test data, without a log, and is removed when it ends."""
    service = engine.idle(cmd=["sh", "-c", "echo $HOSTNAME; echo x >/data/x; exit 4"], mount_rw="data:/data")
    done = engine.d_run(service, "-D", "-e", "HOSTNAME=sailor", expect=4)
    assert done.stdout == "sailor\n"
    assert engine.containers(service.name) == []
    assert not (engine.volumes / service.name).exists()


def test_dev_and_test_do_not_meet(engine: World) -> None:
    """A dev and a test instance of one service run concurrently, each with its own name and data."""
    service = engine.idle(mount_rw="data:/data")
    engine.d_run(service, "-DT", "--no-fg")
    engine.inside(f"test-{service.name}", "echo test >/data/whose")
    engine.d_run(service, "-D", "--no-fg")
    assert engine.inside(f"dev-{service.name}", "ls -A /data") == ""
    assert engine.inside(f"test-{service.name}", "cat /data/whose") == "test\n"
    assert engine.inspect(f"dev-{service.name}")["HostConfig"]["LogConfig"]["Type"] == "none"


@pytest.mark.matrix
def test_in_place_is_the_latest_image_in_productions_place(engine: World) -> None:
    """-P: the latest image in the foreground, with production's name and data."""
    service = engine.service({"cmd": "cat /version /data/a /etc/hostname", "mount_rw": "data:/data"},
                             dockerfile=FROM_BASE, files={"version": "old\n"})  # fmt: skip
    engine.d_build(service)
    engine.d_build(service, "-s")
    write(service / "files/version", "new\n")
    engine.d_build(service)
    write(engine.volumes / service.name / "data/a", "production\n")
    assert engine.d_run(service, "-P").stdout.split() == ["new", "production", service.name]
    assert engine.containers(service.name) == []


def test_vol_alt_is_production_on_test_data(engine: World) -> None:
    """-v: production's name and image, with the test area's data."""
    service = engine.idle(mount_rw="data:/data")
    write(engine.volumes / service.name / "data/a", "production")
    engine.d_run(service, "-v")
    assert engine.inside(service.name, "ls -A /data") == ""
    assert str(only_mount(engine, service.name, "/data")["Source"]).startswith(f"{engine.volumes}/TMP/{service.name}")


@pytest.mark.matrix
def test_shell_is_roots_and_takes_commands(engine: World) -> None:
    """-S: a root shell instead of the entrypoint, which reads commands from a pipe too, and its exit code."""
    service = engine.idle(user="nobody", mount_rw="data:/data")
    script = "id -u; hostname; echo x >/data/x; exit 5"
    done = engine.d_run(service, "-D", "-S", stdin=script, expect=5)
    assert done.stdout.split() == ["0", f"dev-{service.name}"]
    assert engine.containers(service.name) == []
    assert not (engine.volumes / service.name / "data").exists()


def test_shell_is_bash_where_there_is_one(engine: World) -> None:
    """-S prefers bash; an image without one gets sh."""
    bash = '#!/bin/sh\necho this is bash\nexec sh "$@"\n'
    service = engine.service({"cmd": IDLE}, dockerfile=FROM_BASE, files={"usr/bin/bash": bash})
    engine.d_build(service)
    assert engine.d_run(service, "-D", "-S", stdin="echo hello").stdout == "this is bash\nhello\n"
    assert engine.d_run(engine.idle(), "-D", "-S", stdin="echo hello").stdout == "hello\n"


def test_modes_exclude_each_other(engine: World) -> None:
    """Two modes together are wrong usage."""
    assert "exclude" in engine.d_run(engine.idle(), "-D", "-P", expect=2).stderr


def test_test_keys_override(engine: World) -> None:
    """test_ keys count in test mode, empty ones too; debug_alt_cmnd is the entrypoint there."""
    service = engine.idle(
        hostname="ship",
        test_hostname="buoy",
        mount_ro="conf:/conf",
        test_mount_ro=[],
        debug_alt_cmnd=[*IDLE, "debug"],
        cmd=[],
    )
    engine.d_run(service, "-DT", "--no-fg")
    told = engine.inspect(f"test-{service.name}")
    assert told["Config"]["Hostname"] == "buoy"
    assert told["Mounts"] == []
    assert "debug" in told["Args"]


@pytest.mark.parametrize("offset", ["auto", 60000])
def test_port_offset(engine: World, offset: str | int) -> None:
    """If a shifted port is invalid, the engine chooses a free one, on this host only."""
    port = free_port()
    service = engine.service(json.dumps({"image": BASE, "cmd": IDLE, "ports": f"{port}:8080", "port_offset": offset}))
    engine.d_run(service, "-DT", "--no-fg")
    binding = engine.inspect(f"test-{service.name}")["NetworkSettings"]["Ports"]["8080/tcp"][0]
    assert binding["HostIp"] == "127.0.0.1"
    assert int(binding["HostPort"]) not in {0, port}
