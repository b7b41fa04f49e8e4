"""d-run: the engine and the container get what settings.yaml says."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.engines.world import BASE, FROM_BASE, IDLE, LABEL, World, free_port, need_limits, wait_for, write

NETWORK = "dyt-net"
SUBNETS = {"docker": "10.197", "podman": "10.198"}


@pytest.fixture(scope="module")
def network(session_world: World) -> Iterator[str]:
    """A network that pins addresses; its first two octets."""
    octets = SUBNETS[session_world.engine]
    session_world.call("network", "create", "--label", LABEL, "--subnet", f"{octets}.0.0/16", NETWORK)
    yield octets
    session_world.begin_removal()
    session_world.settle()
    session_world.call("network", "rm", NETWORK)


def full_settings(octets: str, port: int, udp_port: int) -> dict[str, Any]:
    """Return settings with most of the keys."""
    return {
        "image": BASE,
        "cmd": "sh -c \"trap 'exit 0' TERM; echo started with $0; sleep 600 & wait\"",
        "extra_init": ["an argument"],
        "hostname": "ship",
        "env": [{"COLOUR": "sea blue"}, "STAR=\\*x", {"TOKEN": "*anchor"}],
        "tz": "Europe/Vienna",
        "network": NETWORK,
        "test_network": NETWORK,
        "ip": f"{octets}.0.77",
        "ports": [f"{port}:8080", f"127.0.0.1:{udp_port}:53/udp"],
        "dns": "192.0.2.53",
        "add_host": ["buoy:192.0.2.7"],
        "read_only": True,
        "tmpfs": ["/run:size=1m"],
        "cap_drop": "ALL",
        "cap_add": ["NET_BIND_SERVICE"],
        "no_new_privileges": True,
        "ulimits": ["nofile=512:1024", "nproc=512:1024"],  # podman's default exceeds the limits of some hosts
        "labels": {"crew": "seven"},
        "stop_timeout": 7,
        "restart": "on-failure:3",
        "healthcheck": {"cmd": "true", "interval": "30s", "timeout": "2s", "retries": 4},
        "user": "nobody",
        "mount_ro": ["conf:/conf"],
        "mount_rw": ["data:/data"],
        "mount_logs": ["log:/log"],
        "mount_persistent": ["keep:/keep"],
        "mount_test_only": ["probe:/probe"],
        "extra_docker": "--workdir /tmp",
        "log": "json",
    }


@pytest.fixture
def full(engine: World, network: str) -> Path:
    """A service with most of the keys, and a host file with `secret_command`."""
    port, udp_port = free_port(), free_port()
    directory = engine.service(full_settings(network, port, udp_port))
    write(directory / "files/etc/passwd", "nobody:x:65534:65534::/:/bin/false\n")
    write(engine.root / "secrets/anchor", "deep and secret")
    write(directory.parent / directory.name / "host.yaml", f"secret_command: cat {engine.root}/secrets/{{name}}\n")
    return directory


def environment_of(container: dict[str, Any]) -> dict[str, str]:
    """Return the environment that the engine reports."""
    pairs = (variable.partition("=") for variable in container["Config"]["Env"])
    return {name: value for name, _, value in pairs}


@pytest.mark.matrix
def test_every_setting_reaches_the_engine_and_the_container(engine: World, full: Path, network: str) -> None:
    """A production launch with most of the keys: inspect reports each, and the process inside sees it."""
    engine.d_run(full, env={"DOCKYARD_HOST": str(full / "host.yaml")})
    name = full.name
    told = engine.inspect(name)
    config, host = told["Config"], told["HostConfig"]

    assert config["Hostname"] == "ship"
    assert config["Labels"]["crew"] == "seven"
    assert config["Labels"]["dockyard.service"] == name
    assert config["Labels"]["dockyard.mode"] == "prod"
    assert config["StopTimeout"] == 7
    assert config["Healthcheck"]["Test"] == ["CMD-SHELL", "true"]
    assert config["Healthcheck"]["Retries"] == 4
    assert host["ReadonlyRootfs"]
    assert (host["RestartPolicy"]["Name"], host["RestartPolicy"]["MaximumRetryCount"]) == ("on-failure", 3)
    assert host["LogConfig"]["Type"] in {"json-file", "k8s-file"}  # podman calls its own so
    assert "5m" in json.dumps(host["LogConfig"]) or "15" in json.dumps(host["LogConfig"])

    environment = environment_of(told)
    assert environment["COLOUR"] == "sea blue"
    assert environment["STAR"] == "*x"
    assert environment["TOKEN"] == "deep and secret"  # noqa: S105
    assert environment["TZ"] == "Europe/Vienna"
    assert len(environment["PUID"]) == 32

    status = engine.inside(name, "cat /proc/1/status")
    assert "Uid:\t65534\t" in status
    assert "CapBnd:\t0000000000000400" in status  # only NET_BIND_SERVICE
    assert "NoNewPrivs:\t1" in status
    assert "512" in next(row for row in engine.inside(name, "cat /proc/1/limits").splitlines() if "open files" in row)
    assert "192.0.2.7" in engine.inside(name, "grep buoy /etc/hosts")
    assert engine.inside(name, "hostname; pwd").split() == ["ship", "/tmp"]  # noqa: S108
    mounts = {row.split()[1]: row.split()[3].split(",") for row in engine.inside(name, "cat /proc/mounts").splitlines()}
    read_write = {path: mounts[path][0] for path in ("/", "/conf", "/data", "/log", "/keep", "/run")}
    assert read_write == {"/": "ro", "/conf": "ro", "/data": "rw", "/log": "rw", "/keep": "rw", "/run": "rw"}
    assert "size=1024k" in mounts["/run"]
    assert "/probe" not in mounts
    assert (engine.volumes / name / "data").stat().st_uid == 65534
    wait_for(lambda: "started with an argument" in engine.call("logs", name), "the command's output")

    assert f"{network}.0.77" in json.dumps(told["NetworkSettings"]["Networks"][NETWORK])
    published = told["NetworkSettings"]["Ports"]
    assert published["8080/tcp"][0]["HostIp"] in {"0.0.0.0", ""}  # noqa: S104 - podman writes it so
    assert published["53/udp"][0]["HostIp"] == "127.0.0.1"


@pytest.mark.matrix
def test_limits_reach_the_engine(engine: World) -> None:
    """Memory, processors and processes are limited as the settings say."""
    limits = {"memory": "64m", "cpus": 0.5, "pids_limit": 50}
    need_limits(*limits)
    service = engine.idle(**limits)
    engine.d_run(service)
    host = engine.inspect(service.name)["HostConfig"]
    assert (host["Memory"], host["NanoCpus"], host["PidsLimit"]) == (64 * 2**20, 5 * 10**8, 50)


def test_dns_server_is_told(engine: World) -> None:
    """The container asks the servers of `dns`, on a network without the engine's name server."""
    service = engine.idle(dns="192.0.2.53")
    engine.d_run(service)
    assert engine.inspect(service.name)["HostConfig"]["Dns"] == ["192.0.2.53"]
    assert "192.0.2.53" in engine.inside(service.name, "cat /etc/resolv.conf")


def test_log_none_keeps_nothing(engine: World) -> None:
    """With `log: none` the engine stores no log."""
    service = engine.idle(log="N")
    engine.d_run(service)
    assert engine.inspect(service.name)["HostConfig"]["LogConfig"]["Type"] == "none"


def test_no_network(engine: World) -> None:
    """With `network: NONE` there is only the loopback device."""
    service = engine.idle(network="NONE")
    engine.d_run(service)
    assert engine.inside(service.name, "ls /sys/class/net").split() == ["lo"]


def test_puid_is_stable_and_its_own(engine: World) -> None:
    """$PUID is the same at each launch of a container, and another for another name."""
    service = engine.idle()
    engine.d_run(service)
    first = environment_of(engine.inspect(service.name))["PUID"]
    engine.call("stop", service.name)
    engine.d_run(service)
    engine.d_run(service, "--name", f"{service.name}-other")
    assert environment_of(engine.inspect(service.name))["PUID"] == first
    assert environment_of(engine.inspect(f"{service.name}-other"))["PUID"] != first


def test_puid_can_be_left_out(engine: World) -> None:
    """An empty `puid` sets none."""
    service = engine.idle(puid="")
    engine.d_run(service)
    assert "PUID" not in environment_of(engine.inspect(service.name))


@pytest.mark.matrix
def test_secrets_are_in_no_argv_and_no_output(engine: World, full: Path) -> None:
    """Secrets are passed to the engine through its environment: no argument and no output contains them."""
    shim, record = engine.root / f"shim-{full.name}/{engine.engine}", engine.root / f"argv-{full.name}"
    write(shim, f'#!/bin/sh\nprintf "%s\\n" "$@" >>{record}\nexec {engine.engine} "$@"\n', mode=0o755)
    how = {"DOCKER_EXEC": str(shim), "DOCKYARD_HOST": str(full / "host.yaml")}
    shown = engine.d_run(full, "-t", env=how).text + engine.d_run(full, "--explain", env=how).text
    shown += engine.d_run(full, "--print-cmd", env=how).text
    environment = environment_of(engine.inspect(full.name))
    for variable in ("PUID", "TOKEN"):
        assert f"--env\n{variable}\n" in record.read_text()
        assert environment[variable] not in record.read_text()
        assert environment[variable] not in shown
    assert "PUID=***" in shown


def test_print_cmd_shows_what_is_done(engine: World) -> None:
    """--print-cmd writes the engine's command to stderr, and executes it."""
    service = engine.idle(labels="crew=nine")
    done = engine.d_run(service, "--print-cmd")
    assert f"{engine.engine} run --detach --name {service.name}" in done.stderr
    assert "crew=nine" in done.stderr
    assert engine.is_up(service.name)


def test_running_one_is_refused(engine: World) -> None:
    """A running container of the name is an error, and stays the same one."""
    service = engine.idle()
    engine.d_run(service)
    before = engine.container_id(service.name)
    done = engine.d_run(service, expect=1)
    assert f"`{service.name}` is up" in done.stderr
    assert engine.container_id(service.name) == before


@pytest.mark.matrix
def test_stopped_one_is_replaced_unless_told_otherwise(engine: World) -> None:
    """A stopped container of the name is removed; with --fail-on-exists it is not."""
    service = engine.idle()
    engine.d_run(service)
    first = engine.container_id(service.name)
    engine.call("stop", service.name)
    assert "exists" in engine.d_run(service, "--fail-on-exists", expect=1).stderr
    assert engine.container_id(service.name) == first
    engine.d_run(service)
    assert engine.container_id(service.name) != first


def test_somebody_elses_container_is_left_alone(engine: World) -> None:
    """A container that is not a test instance but has its name is refused, stopped or running."""
    service = engine.idle()
    name = f"test-{service.name}"
    engine.call("create", "--name", name, BASE, *IDLE)
    before = engine.container_id(name)
    assert "belongs to no service" in engine.d_run(service, "-DT", "--no-fg", expect=1).stderr
    engine.call("start", name)
    assert "is up" in engine.d_run(service, "-DT", "--no-fg", expect=1).stderr
    assert engine.container_id(name) == before
    assert engine.is_up(name)


@pytest.mark.matrix
def test_foreground_exit_code_is_the_containers(engine: World) -> None:
    """With --fg d-run prints the container's output and ends with its exit code; --rm removes it."""
    service = engine.idle(cmd=["sh", "-c", "echo out; echo err >&2; exit 3"])
    done = engine.d_run(service, "--fg", "--rm", expect=3)
    assert done.stdout == "out\n"
    assert done.stderr.endswith("err\n")
    assert not engine.container_id(service.name)


def test_flags_are_stronger_than_the_file(engine: World) -> None:
    """Flags on the command line take effect."""
    service = engine.idle(hostname="ship", env="COLOUR=blue", log="none")
    port = free_port()
    flags = ("-n", f"{service.name}-flag", "-H", "boat", "-e", "COLOUR=red", "-p", f"127.0.0.1:{port}:80", "-L", "json")
    engine.d_run(service, *flags, "--cmd", "sleep 601", "--extra-docker", "--workdir /bin", "--puid", "mine")
    told = engine.inspect(f"{service.name}-flag")
    assert told["Config"]["Hostname"] == "boat"
    assert told["Config"]["Cmd"] == ["sleep", "601"]
    assert told["Config"]["WorkingDir"] == "/bin"
    assert environment_of(told)["COLOUR"] == "red"
    assert environment_of(told)["PUID"] == "mine"
    assert told["HostConfig"]["LogConfig"]["Type"] != "none"
    assert told["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"] == str(port)


def test_other_settings_file_and_tag(engine: World) -> None:
    """--settings names another file; -T, -i and --repo choose the image."""
    service = engine.idle(hostname="ship")
    write(service / "settings-other.yaml", json.dumps({"cmd": IDLE, "hostname": "boat"}))
    chosen = ("-i", "dyt-base", "-T", "latest", "--repo", "dytest")
    engine.d_run(service, "-s", str(service / "settings-other.yaml"), *chosen)
    assert engine.inspect(service.name)["Config"]["Hostname"] == "boat"


@pytest.mark.matrix
def test_image_by_id(engine: World) -> None:
    """An image's id can be used like a tag."""
    service = engine.service({"cmd": IDLE})
    engine.d_run(service, "-T", engine.image_id(BASE))
    assert engine.inspect(service.name)["Image"].removeprefix("sha256:") == engine.image_id(BASE)


@pytest.mark.matrix
def test_missing_image_lists_what_was_tried(engine: World) -> None:
    """No image: exit code 1, the references that were tried, and a hint."""
    service = engine.service({"cmd": IDLE, "repo2": "elsewhere"})
    done = engine.d_run(service, expect=1)
    for tried in (f"dytest/{service.name}:live", f"elsewhere/{service.name}:live", f" {service.name}:live"):
        assert tried in done.stderr
    assert "d-build" in done.stderr
    assert not (engine.volumes / service.name).exists()


def test_bad_settings_are_exit_code_2_and_change_nothing(engine: World) -> None:
    """All errors together, by line, with exit code 2; nothing is created."""
    service = engine.service(f"image: {BASE}\nmount_r: data:/data\nports: [70000:1]\nmount_rw: data:/data\n")
    done = engine.d_run(service, expect=2)
    assert "settings.yaml:2:1: unknown key `mount_r`" in done.stderr
    assert "settings.yaml:3:" in done.stderr
    assert not (engine.volumes / service.name).exists()
    assert engine.containers(service.name) == []


def test_missing_absolute_source_is_exit_code_2(engine: World) -> None:
    """An absolute mount source is never created: an error names it, and nothing is launched."""
    service = engine.idle(mount_rw=[{"/nowhere/at/all": "/data"}])
    done = engine.d_run(service, expect=2)
    assert "/nowhere/at/all" in done.stderr
    assert not Path("/nowhere").exists()
    assert engine.containers(service.name) == []


def test_unreachable_engine_is_exit_code_3(engine: World) -> None:
    """An engine that does not answer, or is not installed, is exit code 3."""
    service = engine.idle()
    remote = {"DOCKER_HOST": "unix:///nonexistent", "CONTAINER_HOST": "unix:///nonexistent/podman.sock"}
    done = engine.d_run(service, env=remote, expect=3)
    assert "does not answer" in done.stderr
    assert engine.d_run(service, env={"DOCKER_EXEC": "no-such-engine"}, expect=3).stdout == ""


@pytest.mark.matrix
def test_launch_that_cannot_start_leaves_no_container(engine: World) -> None:
    """A port that is already in use: exit code 1, and no container of the name is left."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        service = engine.idle(ports=[f"127.0.0.1:{taken.getsockname()[1]}:80"])
        engine.d_run(service, expect=1)
    assert engine.containers(service.name) == []


def test_mount_sources_may_have_any_name(engine: World) -> None:
    """Blanks, commas and quotes in a source work; each glob match is mounted under its own name."""
    odd = 'a "b", c'
    place = engine.root / f"{engine.engine} odd"
    for name in ("one.conf", "two.conf", "three.txt"):
        write(place / odd / name, name)
    service = engine.idle(mount_ro=[{f"{place}/{odd}": "/odd"}, {f"{place}/{odd}/*.conf": "/etc/conf/"}])
    engine.d_run(service)
    assert engine.inside(service.name, "cat /odd/three.txt; echo; ls /etc/conf").split() == [
        "three.txt",
        "one.conf",
        "two.conf",
    ]


@pytest.mark.matrix
def test_production_mode_of_files_in_the_image(engine: World) -> None:
    """A service that was built for it is launched from `:live`, not from `:latest`."""
    service = engine.service({"cmd": IDLE}, dockerfile=FROM_BASE, files={"version": "1"})
    engine.d_build(service)
    assert engine.d_run(service, expect=1)
    engine.d_build(service, "-s")
    write(service / "files/version", "2")
    engine.d_build(service)
    engine.d_run(service)
    assert engine.inside(service.name, "cat /version") == "1"
