"""One writer for each data directory: production is not launched while another container writes there."""

import json
import socket
from pathlib import Path

import pytest

from tests.engines.world import BASE, FORCED_REMOVAL, IDLE, LABEL, OURS, PROGRAMS, REPO, World, wait_for, write


def foreign(engine: World, *flags: str) -> str:
    """Run a container without a service; returns its name, by which it is removed after the test."""
    name = f"{OURS}foreign{next(engine.numbers)}"
    engine.call("run", "-d", "--name", name, *flags, BASE, *IDLE)
    return name


def remove(engine: World, name: str) -> None:
    """Remove a container immediately."""
    engine.call(*FORCED_REMOVAL[engine.engine], name)


@pytest.mark.matrix
def test_a_container_renamed_by_hand_keeps_its_data(engine: World) -> None:
    """After `docker rename`, no command or dry run launches a second one; after a stop `d up` does."""
    service = engine.idle(mount_rw="data:/data")
    name, moved = service.name, f"{service.name}-x"
    engine.d("up", name)
    engine.call("rename", name, moved)
    data = engine.volumes / name / "data"
    for command in (("d", "up", name), ("d-run", "--cd", name), ("d-run", "--cd", name, "-t")):
        refused = engine.run(PROGRAMS / command[0], *command[1:], expect=1)
        assert f"{name} would write to `{data}`, and container `{moved}` of {engine.engine} writes to it as well" in (
            refused.stderr
        )
        assert f"hint: stop the other container: `{engine.engine} stop {moved}`" in refused.stderr
    assert not engine.inspect(name)
    engine.call("stop", moved)
    engine.d("up", name)
    assert engine.is_up(name)


@pytest.mark.matrix
def test_a_foreign_container_on_the_same_data_keeps_production_from_being_replaced(engine: World) -> None:
    """Through a link and above the data; production stays as it is. A mount with `shared: true` permits it."""
    service = engine.idle(mount_rw="data:/data")
    name = service.name
    engine.d("up", name)
    before = engine.container_id(name)
    link = engine.root / "scratch" / name
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(engine.volumes / name)
    other = foreign(engine, "-v", f"{link}:/srv")
    refused = engine.d("restart", name, expect=1)
    assert f"container `{other}` of {engine.engine} writes to it as well" in refused.stderr
    assert engine.container_id(name) == before
    assert engine.is_up(name)
    shared = {"data": {"target": "/data", "shared": True, "reason": "both only append"}}
    write(service / "settings.yaml", json.dumps({"image": BASE, "cmd": IDLE, "mount_rw": [shared]}))
    engine.d("restart", name)
    assert engine.container_id(name) != before


def test_a_named_volume_is_compared_by_its_name_and_by_its_directory(engine: World) -> None:
    """Two containers with one volume, and one that mounts the volume's directory."""
    volume = f"{OURS}writers"
    engine.call("volume", "create", "--label", LABEL, volume)
    service = engine.idle(extra_docker=f"-v {volume}:/data")
    try:
        for source in (volume, engine.call("volume", "inspect", "--format", "{{.Mountpoint}}", volume).strip()):
            other = foreign(engine, "-v", f"{source}:/srv")
            refused = engine.d("up", service.name, expect=1)
            assert f"would write to volume `{volume}`, and container `{other}`" in refused.stderr
            remove(engine, other)
        engine.d("up", service.name)
    finally:
        remove(engine, service.name)
        engine.call("volume", "rm", volume)


def test_of_two_launches_at_the_same_moment_one_goes_through(engine: World) -> None:
    """Two services with one directory, started by two commands at once."""
    data = engine.root / "scratch" / "same"
    data.mkdir(parents=True, exist_ok=True)
    names = [engine.idle(mount_rw=f"{data}:/data").name for _ in range(2)]
    commands = [engine.start(PROGRAMS / "d", "up", name) for name in names]
    written = [command.communicate(timeout=60)[0] for command in commands]
    codes = [command.returncode for command in commands]
    assert sorted(codes) == [0, 1], written
    assert [engine.is_up(name) for name in names] == [code == 0 for code in codes]
    assert "writes to it as well" in written[codes.index(1)]


@pytest.mark.long("podman")
def test_of_services_with_one_directory_up_all_starts_one(own_fleet: World) -> None:
    """All launches of one command are compared with each other, too."""
    data = own_fleet.root / "scratch" / "all"
    data.mkdir(parents=True, exist_ok=True)
    # A separate path, so that none of them looks like a renamed service of another test.
    names = [own_fleet.idle(mount_rw=f"{data}:/all", autostart=wave).name for wave in (1, 1, 2)]
    done = own_fleet.d("up-all", expect=1)
    assert "1 ok, 2 failed" in done.stdout
    assert [own_fleet.is_up(name) for name in names].count(True) == 1


def test_a_recovery_starts_no_second_writer(engine: World) -> None:
    """An interrupted switch is recovered when the other container is down, and not before."""
    service = engine.idle(mount_rw="data:/data")
    name = service.name
    engine.d("up", name)
    engine.call("stop", name)
    engine.call("rename", name, f"{name}.old")
    other = foreign(engine, "-v", f"{engine.volumes / name}:/srv")
    refused = engine.d("list-up", expect=1)
    assert f"{name} would write to `{engine.volumes / name / 'data'}`, and container `{other}`" in refused.stderr
    assert not engine.is_up(f"{name}.old")
    engine.call("stop", other)
    engine.d("list-up")
    assert engine.is_up(name)


# ---------------------------------------------------------------------------------------------------- a real database
BUILD = """#!/bin/sh
set -eu
../from-debian postgresql -- postgres initdb
[ -d rootfs/usr/share/postgresql ] || {
    archives=${XDG_CACHE_HOME:-$HOME/.cache}/dockyard/apt/archives
    dpkg-deb -x "$(ls "$archives"/postgresql-[0-9]*.deb | tail -n 1)" unpacked
    cp -R unpacked/usr/share/postgresql rootfs/usr/share/
    cp unpacked/usr/lib/postgresql/*/lib/*.so rootfs/usr/lib/  # as /usr/bin/postgres looks there
    rm -r unpacked
}
echo CONTINUE=1
"""
SERVE = (
    "[ -s /data/PG_VERSION ] || initdb -D /data -A trust --no-locale -E UTF8 >/dev/null || exit 1; "
    "rm -f /data/postmaster.pid; exec postgres -D /data -k /data -c listen_addresses="
)
"""The start of many images: process ids mean nothing in a new container, so the lock file does not help."""


def answers(data: Path, statement: str) -> bool:
    """Return whether a database executes a statement, over its socket, like its clients."""
    start = b"\0\3\0\0" + b"user\0postgres\0database\0postgres\0\0"
    query = statement.encode() + b"\0"
    try:
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(str(data / ".s.PGSQL.5432"))
            client.sendall((len(start) + 4).to_bytes(4) + start)
            kinds = _messages(client)
            client.sendall(b"Q" + (len(query) + 4).to_bytes(4) + query)
            return b"E" not in kinds + _messages(client)
    except OSError:
        return False


def _messages(client: socket.socket) -> bytes:
    """Return the types of a server's messages, up to the one that says that it is ready."""
    kinds, text = b"", client.makefile("rb")
    while not kinds.endswith(b"Z"):
        kind = text.read(1)
        if not kind:
            raise ConnectionResetError
        text.read(int.from_bytes(text.read(4)) - 4)
        kinds += kind
    return kinds


@pytest.mark.long("docker", "podman")
def test_a_database_never_has_two_servers(engine: World) -> None:
    """A real postgres: renamed, with a named volume, and through a link, there is one server at a time."""
    service = engine.service(
        {"cmd": ["sh", "-c", SERVE], "user": "postgres", "mount_rw": "data:/data"},
        dockerfile=f"FROM {BASE}\nLABEL {LABEL}\nCOPY rootfs files /\n",
        files={
            "etc/passwd": "root:x:0:0::/:/bin/sh\npostgres:x:70:70::/tmp:/bin/sh\n",
            "etc/group": "postgres:x:70:\n",
        },
        scripts={"Build": BUILD},
    )
    name, volume, data = service.name, f"{OURS}pg", engine.volumes / service.name / "data"
    engine.d_build(service, "-a", timeout=600)
    engine.d("up", name)
    wait_for(lambda: answers(data, "select 1"), "a database", 60)
    assert answers(data, "create table t (id int primary key)")

    engine.call("rename", name, f"{name}-x")
    assert f"container `{name}-x`" in engine.d("up", name, expect=1).stderr
    engine.call("rename", f"{name}-x", name)

    link = engine.root / "scratch" / f"{name}-link"
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(data)
    same = {"image": f"{REPO}/{name}:live", "cmd": ["sh", "-c", SERVE], "user": "70:70"}
    second = engine.service({**same, "mount_rw": f"{link}:/data"})
    assert f"container `{name}`" in engine.d("up", second.name, expect=1).stderr

    engine.call(
        "volume", "create", "--label", LABEL, "--opt", "type=none", "--opt", "o=bind", "--opt", f"device={data}", volume
    )
    third = engine.service({**same, "extra_docker": f"-v {volume}:/data"})
    try:
        assert f"container `{name}`" in engine.d("up", third.name, expect=1).stderr
        engine.d("down", name)
        engine.d("up", third.name)
        wait_for(lambda: answers(data, "insert into t values (1)"), "a database", 60)
        assert f"container `{third.name}`" in engine.d("up", name, expect=1).stderr
        assert f"container `{third.name}`" in engine.d("up", second.name, expect=1).stderr
    finally:
        remove(engine, third.name)
        engine.call("volume", "rm", volume)
