"""d: the verbs that show, start and stop."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.world import BASE, World, await_page, fetch, service_port, wait_for, write


@pytest.fixture(scope="module")
def up(session_world: World) -> Iterator[Path]:
    """A running web service; the tests only read it."""
    service = session_world.tested("#!/bin/sh\nexit 0\n", autostart=2, mount_rw="data:/data")
    session_world.kept.add(service.name)
    session_world.d("up", service.name)
    await_page(service_port(service), "It works")
    yield service
    session_world.kept.discard(service.name)
    session_world.tidy()


@pytest.mark.matrix
def test_pid(engine: World, up: Path) -> None:
    """`d pid` prints the process id that the engine reports."""
    assert engine.d("pid", up.name).stdout.strip() == str(engine.inspect(up.name)["State"]["Pid"])


@pytest.mark.matrix
def test_ip_and_ips(engine: World, up: Path) -> None:
    """`d ip` prints the container's address; d ips lists it with all others."""
    address = engine.d("ip", up.name).stdout.strip()
    assert address in engine.inside(up.name, "ip -4 addr show eth0")
    rows = json.loads(engine.d("ips", "--json").stdout)
    assert [row["ip"] for row in rows if row["name"] == up.name] == [address]


@pytest.mark.matrix
def test_spec_hides_the_puid(engine: World, up: Path) -> None:
    """`d spec` prints the whole inspect answer, with $PUID as ***."""
    shown = engine.d("spec", up.name).stdout
    environment = json.loads(shown)[0]["Config"]["Env"]
    secret = next(v for v in engine.inspect(up.name)["Config"]["Env"] if v.startswith("PUID=")).removeprefix("PUID=")
    assert "PUID=***" in environment
    assert secret not in shown


@pytest.mark.matrix
def test_list_up(engine: World, up: Path) -> None:
    """`d ls` lists running containers with service, status, image and ports; --json prints the rows."""
    rows = {row["name"]: row for row in json.loads(engine.d("ls", "--json").stdout)}
    row = rows[up.name]
    assert (row["service"], row["mode"], row["status"]) == (up.name, "prod", "running")
    assert row["ports"] == [f"0.0.0.0:{service_port(up)}->8080/tcp"]
    assert row["image"].endswith(BASE)
    assert up.name in engine.d("ls").stdout
    assert up.name in engine.d("lun").stdout.split()


def test_lists_of_services(engine: World, up: Path) -> None:
    """The list verbs list services that can be built, can be tested, and autostart."""
    base = "dyt-base"
    assert engine.d("lb").stdout.split() == [base]
    assert engine.d("lt").stdout.split() == sorted([base, up.name])
    assert engine.d("la").stdout.split() == ["2", up.name]
    assert json.loads(engine.d("law", "--json").stdout) == [{"wave": 2, "services": [up.name]}]
    assert engine.d("aw", "2").stdout.split() == [up.name]
    assert engine.d("aw", "3").stdout == ""
    rows = {row["service"]: row for row in json.loads(engine.d("lA", "--json").stdout)}
    assert (rows[up.name]["up"], rows[base]["up"]) == ("up", "")
    settings = json.loads(engine.d("las", "--json").stdout)
    assert any(row["key"] == "mount_rw" and row["value"] == "data:/data" for row in settings)


def test_images(engine: World) -> None:
    """`d images` lists the images of the services, each with the tags that the engine has."""
    rows = json.loads(engine.d("images", "--json").stdout)
    listed = {row["tag"] for row in rows if row["repository"].endswith("dytest/dyt-base")}
    assert listed == {tag for tag, image in engine.tags("dyt-base").items() if image} >= {"latest"}
    assert "dyt-base" in engine.d("i", "dyt-b").stdout


@pytest.mark.matrix
def test_logs(engine: World, up: Path) -> None:
    """`d logs` prints a container's log; -n only the last lines."""
    assert engine.d("logs", up.name).stdout == "ready to serve\n"
    assert engine.d("L", "-n", "0", up.name).stdout == ""


@pytest.mark.matrix
def test_run_passes_the_exit_code(engine: World, up: Path) -> None:
    """`d run` passes flags and input to a command, and ends with its exit code."""
    done = engine.d("run", up.name, "sh", "-c", "id -u; cat; exit 7", stdin="from outside\n", expect=7)
    assert done.stdout == "0\nfrom outside\n"


@pytest.mark.matrix
def test_enter_takes_commands(engine: World, up: Path) -> None:
    """`d enter` opens a root shell in the container, which also reads commands from a pipe."""
    assert engine.d("e", up.name, stdin="id -u; hostname; exit 4", expect=4).stdout.split() == ["0", up.name]


def test_is_up(engine: World, up: Path) -> None:
    """`d is-up`: exit code 0 if it is up, 1 if it is not, also for a service that was never launched."""
    assert json.loads(engine.d("is-up", up.name, "--json").stdout) == {"name": up.name, "up": True}
    never = engine.idle()
    engine.d("iu", never.name, expect=1)
    engine.d("iu", "no-such-name", expect=1)


def test_help(engine: World) -> None:
    """`d help` lists all verbs, or those about a word; for an unknown verb, similar ones are suggested."""
    assert "upgrade" in engine.d("help").stdout
    shown = engine.d("h", "rollback").stdout
    assert "rollback" in shown
    assert "list-up" not in shown
    assert "upgrade" in engine.d("upgrde", "x", expect=2).stderr


@pytest.mark.matrix
def test_up_and_down(engine: World) -> None:
    """`d up` launches production, or reports that it is already up; d down stops it."""
    service = engine.idle()
    engine.d("up", service.name)
    first = engine.container_id(service.name)
    assert "already" in engine.d("1", service.name).stdout
    assert engine.container_id(service.name) == first
    engine.d("down", service.name)
    assert not engine.is_up(service.name)
    engine.d("down", service.name, expect=1)
    engine.d("start", service.name)
    assert engine.is_up(service.name)


@pytest.mark.matrix
def test_restart_takes_the_settings_of_now(engine: World) -> None:
    """`d restart` replaces the container, with the current settings; if they are wrong, the old one keeps running."""
    service = engine.idle(hostname="ship")
    engine.d("up", service.name)
    first = engine.container_id(service.name)
    text = (service / "settings.yaml").read_text()
    write(service / "settings.yaml", text.replace("ship", "boat"))
    engine.d("restart", service.name)
    second = engine.container_id(service.name)
    assert second != first
    assert engine.inspect(service.name)["Config"]["Hostname"] == "boat"
    write(service / "settings.yaml", text.replace("hostname", "hostnme"))
    engine.d("R", service.name, expect=2)
    assert engine.container_id(service.name) == second
    assert engine.is_up(service.name)


def test_restart_of_somebody_elses_container(engine: World) -> None:
    """A container without a service is stopped and started as it is, and this is reported."""
    engine.call("run", "-d", "--name", "dyt-foreign", BASE, "sh", "-c", "trap 'exit 0' TERM; sleep 600 & wait")
    before = engine.inspect("dyt-foreign")
    assert "belongs to no service" in engine.d("restart", "dyt-foreign").stdout
    after = engine.inspect("dyt-foreign")
    assert after["Id"] == before["Id"]
    assert after["State"]["StartedAt"] != before["State"]["StartedAt"]


def test_hup(engine: World) -> None:
    """`d hup` sends SIGHUP to process 1."""
    script = "trap 'echo got it' HUP; trap 'exit 0' TERM; echo set; while :; do sleep 600 & wait; done"
    service = engine.idle(cmd=["sh", "-c", script])
    engine.d("up", service.name)
    wait_for(lambda: "set" in engine.call("logs", service.name), "the trap")
    engine.d("hup", service.name)
    wait_for(lambda: "got it" in engine.call("logs", service.name), "SIGHUP")


def test_shell_verb(engine: World) -> None:
    """`d shell` opens a root shell in a new container on test data, and removes it."""
    service = engine.idle(mount_rw="data:/data", user="nobody")
    done = engine.d("shell", service.name, stdin="id -u; touch /data/x; exit 3", expect=3)
    assert done.stdout == "0\n"
    assert engine.containers(service.name) == []
    assert not (engine.volumes / service.name).exists()


def test_prefix_selection(engine: World) -> None:
    """A unique prefix is enough; an exact name wins; several matches or none are an error."""
    for name in ("dyt-sloop", "dyt-sloop-two", "dyt-yawl"):
        engine.service({"image": BASE, "cmd": "sleep 600", "stop_timeout": 0}, name=name)
    engine.d("up", "dyt-y")
    assert engine.is_up("dyt-yawl")
    done = engine.d("up", "dyt-sl", expect=1)
    assert "dyt-sloop" in done.stderr
    assert "dyt-sloop-two" in done.stderr
    assert engine.containers("dyt-sloop") == []
    engine.d("up", "dyt-sloop")
    assert engine.containers("dyt-sloop") == ["dyt-sloop"]
    assert "did you mean" in engine.d("up", "dyt-yawk", expect=1).stderr
    assert "no running container begins with" in engine.d("down", "dyt-brig", expect=1).stderr
    assert engine.is_up("dyt-yawl")


@pytest.mark.matrix
def test_unreachable_engine(engine: World) -> None:
    """If no engine answers, every verb that needs one ends with exit code 3."""
    remote = {"DOCKER_HOST": "unix:///nonexistent", "CONTAINER_HOST": "unix:///nonexistent/podman.sock"}
    for words in (("ls",), ("up", "dyt-base")):
        assert engine.d(*words, env=remote, expect=3).stdout == ""


def test_service_with_its_own_test_up(engine: World) -> None:
    """`d up` and d down of a service do not affect its test instance, and vice versa."""
    service = engine.tested("#!/bin/sh\nexit 0\n")
    engine.d("up", service.name)
    engine.d_run(service, "-DT", "--no-fg")
    engine.d("down", f"test-{service.name}")
    await_page(service_port(service), "It works")
    assert fetch(service_port(service) + 10000) == ""
