"""`d upgrade`, up to the moment of replacement and back: production answers all along."""

import json
import shutil
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engines.world import (
    FROM_BASE,
    IDLE,
    LABEL,
    OURS,
    Record,
    World,
    await_page,
    client_of,
    disk,
    fetch,
    free_port,
    service_port,
    set_page,
    write,
)

PASSES = "#!/bin/sh\nexit 0\n"
KILLED = """#!/usr/bin/env dockyard-python
import os, signal
from dockyard.testing import Container, main

def test_page(container: Container) -> None:
    container.expect_http(8080)
    os.kill(os.getpid(), signal.SIGKILL)

main()
"""
FAILING = KILLED.replace("os.kill(os.getpid(), signal.SIGKILL)", "assert 'page' == 'other'")


@pytest.fixture(scope="module")
def upgraded(session_world: World) -> Iterator[Path]:
    """A web service that was upgraded once and is up: what fails leaves it so."""
    service = session_world.web("page one")
    session_world.kept.add(service.name)
    for script in ("Test", "Test-prod"):
        write(service / script, PASSES, mode=0o755)
    session_world.d_build(service, "-a")
    set_page(service, "page two")
    session_world.d_build(service, "-a")
    session_world.d("up", service.name)
    await_page(service_port(service), "page two")
    yield service
    session_world.kept.discard(service.name)
    session_world.tidy()


@pytest.fixture
def web(engine: World, upgraded: Path) -> Iterator[Path]:
    """That service, its source put back as it was after the test."""
    pristine = engine.root / "pristine"
    shutil.copytree(upgraded, pristine)
    yield upgraded
    shutil.rmtree(upgraded)
    pristine.rename(upgraded)


def break_dockerfile(web: Path) -> None:
    """Have the build fail at its end."""
    write(web / "Dockerfile", (web / "Dockerfile").read_text() + '\nUSER 0\nRUN ["/bin/false"]\n')


def fail_test(web: Path) -> None:
    """Have the Test fail on its instance."""
    write(web / "Test", FAILING, mode=0o755)


def kill_test(web: Path) -> None:
    """Have the Test die while its instance is up."""
    write(web / "Test", KILLED, mode=0o755)


@pytest.mark.parametrize("fault", [break_dockerfile, fail_test, kill_test])
def test_fault_leaves_production_alone(engine: World, web: Path, fault: object, record_property: Record) -> None:
    """A broken Dockerfile, a failing Test, a killed Test: the same container, all polls answered, no tag moved."""
    assert callable(fault)
    before, tags = engine.container_id(web.name), engine.tags(web.name)
    set_page(web, "page three")
    fault(web)
    with client_of(service_port(web)) as client:
        done = engine.d("u", web.name, expect=1)
    assert client.failures == []
    assert engine.container_id(web.name) == before
    assert engine.is_up(web.name)
    after = engine.tags(web.name)
    assert (after["live"], after["prev"]) == (tags["live"], tags["prev"])
    assert engine.containers(f"test-{web.name}") == []
    assert web.name in done.stderr
    answered = f"{client.answered} of {client.answered} polls answered"
    record_property("figure", f"{engine.engine} d u, {fault.__name__}: same container, {answered}")


def crash(web: Path) -> str:
    """Have the new container end at once; returns what is said of it."""
    write(web / "files/usr/bin/civetweb", "#!/bin/sh\necho no licence; exit 7\n", mode=0o755)
    return "did not stay up (exited, exit code 7)"


def hang(web: Path) -> str:
    """Have the new container's health check never pass."""
    check = {"cmd": "echo lost the database; exit 1", "interval": "300ms", "timeout": "1s", "retries": 2}
    settings = json.loads((web / "settings.yaml").read_text())
    write(web / "settings.yaml", json.dumps({**settings, "healthcheck": check}))
    return "healthy"


def fail_in_production(web: Path) -> str:
    """Have ./Test-prod fail on the new container."""
    write(web / "Test-prod", "#!/bin/sh\necho the till is empty; exit 5\n", mode=0o755)
    return "Test-prod ended with exit code 5"


@pytest.mark.matrix
@pytest.mark.parametrize("fault", [crash, hang, fail_in_production])
def test_new_one_that_does_not_prove_itself_makes_way(
    engine: World, web: Path, fault: Callable[[Path], str], record_property: Record
) -> None:
    """What crashes, hangs unhealthy or fails ./Test-prod is gone; the old container and the tags are as they were.

    The reason is told and kept, and the same is not tried again until it changes, or is forced.
    """
    before, tags = engine.container_id(web.name), engine.tags(web.name)
    set_page(web, "page three")
    said = fault(web)
    with client_of(service_port(web)) as client:
        done = engine.d("u", web.name, expect=1)
        assert "page two" in fetch(service_port(web))
    assert said in done.stderr
    assert "rolled back; production was down for " in done.stderr
    assert engine.containers(web.name) == [web.name]
    assert engine.container_id(web.name) == before
    after = engine.tags(web.name)
    assert (after["live"], after["prev"]) == (tags["live"], tags["prev"])
    told = engine.d("why", web.name).stdout
    root_cause = {crash: "no licence", hang: "lost the database", fail_in_production: "the till is empty"}[fault]
    assert said in told
    assert root_cause in told or (fault is hang and engine.engine == "podman")
    again = engine.d("u", web.name, expect=1)
    assert "failed in production" in again.stderr
    assert engine.container_id(web.name) == before
    events = json.loads(engine.d("history", web.name, "--json").stdout)
    newest = next(event for event in events if event["action"] == "upgrade")
    assert (newest["result"], newest["user"]) == ("failed", "root")
    outage = client.failures[-1] - client.failures[0] if client.failures else 0.0
    measured = done.stderr.split("production was down for ")[1].split("\n")[0]
    figure = f"{outage * 1000:.0f} ms from first to last poll unanswered, told as {measured}"
    record_property("figure", f"{engine.engine} d u, {fault.__name__}: same container back, {figure}")


@pytest.mark.matrix
def test_a_taken_port_is_no_fault_of_the_image(engine: World, web: Path) -> None:
    """Production comes back, the port is told, and once it is free the same upgrade goes through without --force."""
    before = (web / "settings.yaml").read_text()
    settings, port = json.loads(before), free_port()
    settings["ports"] = [f"127.0.0.1:{port}:8080"]
    write(web / "settings.yaml", json.dumps(settings))
    with socket.create_server(("127.0.0.1", port)):
        done = engine.d("u", web.name, expect=1)
        assert f"port 127.0.0.1:{port} of this host is already in use\nhint: rolled back" in done.stderr
        assert engine.is_up(web.name)
    engine.d("u", web.name)
    await_page(port, "page two")
    write(web / "settings.yaml", before)
    engine.d("u", web.name)


def test_new_one_that_cannot_start_makes_way(engine: World, web: Path) -> None:
    """Settings with which the engine cannot start a container: the old one is back."""
    before = engine.container_id(web.name)
    text = (web / "settings.yaml").read_text()
    write(web / "settings.yaml", text.replace("{", '{"extra_docker": "--entrypoint /no/such/program", ', 1))
    engine.d("u", web.name, expect=1)
    assert engine.container_id(web.name) == before
    await_page(service_port(web), "page two")


@pytest.mark.matrix
def test_good_upgrade_and_back(engine: World, web: Path, record_property: Record) -> None:
    """`d u` puts a new container of the new image in place, keeps the old image as `:prev`; d rollback puts it back."""
    before, tags = engine.container_id(web.name), engine.tags(web.name)
    set_page(web, "page three")
    with client_of(service_port(web)) as client:
        began = time.monotonic()
        engine.d("u", web.name)
        took = time.monotonic() - began
        await_page(service_port(web), "page three")
    after = engine.tags(web.name)
    assert engine.container_id(web.name) not in {"", before}
    assert after["live"] == after["latest"] != tags["live"]
    assert after["prev"] == tags["live"]
    assert engine.containers(web.name) == [web.name]
    outage = client.failures[-1] - client.failures[0] if client.failures else 0.0
    told = f"{took:.1f} s, {outage * 1000:.0f} ms from first to last poll unanswered"
    record_property("figure", f"{engine.engine} d u, good: {told}")

    rolled_back = after["live"][:12]
    assert f"{rolled_back} is not deployed again" in engine.d("rollback", web.name).stdout
    await_page(service_port(web), "page two")
    assert engine.tags(web.name) == {**after, "live": tags["live"], "prev": after["live"]}

    check_that_it_lasts(engine, web, rolled_back)


def check_that_it_lasts(engine: World, web: Path, rolled_back: str) -> None:
    """Neither `d upgrade-all` nor `d upgrade` undoes a rollback, and the lists name it; the next test changes more."""
    before = engine.container_id(web.name)
    (row,) = [row for row in json.loads(engine.d("ua", "--json").stdout)["services"] if row["service"] == web.name]
    said = f"{web.name}: {rolled_back} was rolled back on "
    assert (row["result"], row["what"].startswith(said)) == ("held", True)
    refused = engine.d("u", web.name, expect=1).stderr
    assert said in refused
    assert f"`d upgrade {web.name} --force`" in refused
    assert f"# {said}" in engine.d("ua", "-n").stdout
    assert f"{web.name} is not upgraded: {rolled_back} was rolled back on " in engine.d("ls").stderr
    listed = engine.d("check-all-up", expect=None).stdout
    assert f"{web.name}: is not upgraded: {rolled_back} was rolled back on " in listed
    assert engine.container_id(web.name) == before


def test_a_held_service_is_not_upgraded(engine: World, web: Path) -> None:
    """Until it is released `d upgrade-all` leaves it as it is, and `d upgrade` refuses; both name the reason."""
    before = engine.container_id(web.name)
    set_page(web, "page nine")
    engine.d("hold", web.name, "--until", "2999-12-31", "--reason", "until the audit")
    (held,) = json.loads(engine.d("holds", "--json").stdout)
    assert (held["service"], held["until"], held["reason"]) == (web.name, "2999-12-31", "until the audit")
    said = f"{web.name} is held until 2999-12-31: until the audit"
    assert said in engine.d("ua", "--force").stdout
    assert said in engine.d("u", web.name, expect=1).stderr
    assert f"# {said}" in engine.d("u", web.name, "-n").stdout
    assert engine.container_id(web.name) == before
    engine.d("unhold", web.name)
    assert engine.d("holds").stdout == ""
    assert f"{engine.engine} build" in engine.d("u", web.name, "-n").stdout


def set_setting(service: Path, key: str, value: object) -> None:
    """Set one of a service's settings."""
    file = service / "settings.yaml"
    write(file, json.dumps({**json.loads(file.read_text()), key: value}))


@pytest.mark.matrix
def test_one_that_starts_first(engine: World, web: Path, record_property: Record) -> None:
    """With `start_first` the outage is the old one's stop and the new one's network, where the engine can do that.

    The new container's network and ports are as if it had started on them, for when the engine starts it again, too.
    """
    before = engine.inspect(web.name)
    set_setting(web, "start_first", True)
    set_page(web, "page four")
    with client_of(service_port(web)) as client:
        done = engine.d("u", web.name)
        await_page(service_port(web), "page four")
    last = "start" if engine.engine == "podman" else "join"
    assert f", {last} " in done.text
    after = engine.inspect(web.name)
    assert set(after["NetworkSettings"]["Networks"]) == set(before["NetworkSettings"]["Networks"])
    assert after["NetworkSettings"]["Ports"] == before["NetworkSettings"]["Ports"]
    for field in ("NetworkMode", "PortBindings", "RestartPolicy"):
        assert after["HostConfig"][field] == before["HostConfig"][field]
    outage = client.failures[-1] - client.failures[0] if client.failures else 0.0
    record_property("figure", f"{engine.engine} d u, start_first: {outage * 1000:.0f} ms unanswered; {done.stdout}")
    engine.call("restart", web.name)
    await_page(service_port(web), "page four")
    engine.d("rollback", web.name)
    await_page(service_port(web), "page two")


@pytest.mark.parametrize("fault", [crash, hang])
def test_one_that_starts_first_and_fails(engine: World, web: Path, fault: Callable[[Path], str]) -> None:
    """What would crash or hang never takes the old one's place: on docker no question remains unanswered."""
    before = engine.container_id(web.name)
    set_page(web, "page ten")
    said = fault(web)
    set_setting(web, "start_first", True)
    with client_of(service_port(web)) as client:
        done = engine.d("u", web.name, expect=1)
        await_page(service_port(web), "page two")
    assert f"{web.name}: the new container" in done.stderr
    assert said in done.stderr
    if engine.engine == "podman":
        assert "rolled back" in done.stderr
    else:
        assert client.failures == []
        assert "production was not down" in done.stderr
        assert "remove `start_first`" in done.stderr
    assert engine.container_id(web.name) == before
    assert engine.containers(web.name) == [web.name]
    assert ("no licence" if fault is crash else "healthy") in engine.d("why", web.name).stdout
    assert "failed in production" in engine.d("u", web.name, expect=1).stderr


def test_one_that_starts_first_and_needs_its_network(engine: World, web: Path) -> None:
    """It fails while the old one serves, and the way out that is told is one."""
    serve = "exec /usr/bin/civetweb -document_root /srv/www -listening_ports 8080 -num_threads 4"
    set_setting(web, "cmd", ["sh", "-c", f"[ -e /sys/class/net/eth0 ] || exit 3; {serve}"])
    set_setting(web, "start_first", True)
    set_page(web, "page five")
    podman = engine.engine == "podman"
    told = engine.d("u", web.name, expect=0 if podman else 1).stderr
    assert podman or ("exit code 3" in told and "remove `start_first`" in told)
    set_setting(web, "start_first", False)
    engine.d("u", web.name)
    await_page(service_port(web), "page five")
    engine.d("rollback", web.name)
    await_page(service_port(web), "page two")


def test_health_counts_from_when_it_has_its_network(engine: World, web: Path) -> None:
    """What was healthy without a network, and is not with it, makes way."""
    before = engine.container_id(web.name)
    check = {"cmd": "! [ -e /sys/class/net/eth0 ]", "interval": "300ms", "timeout": "1s", "retries": 2}
    set_setting(web, "healthcheck", check)
    set_setting(web, "start_first", True)
    told = engine.d("u", web.name, expect=1).stderr
    assert "healthy" in told
    assert "rolled back; production was down for " in told
    assert engine.container_id(web.name) == before
    assert engine.containers(web.name) == [web.name]


def test_who_starts_first_is_found_by_its_names(engine: World) -> None:
    """On a network of its own it has the address and the names that it would have had, and finds the others."""
    network = f"{OURS}first"
    engine.call("network", "create", "--label", LABEL, "--subnet", f"{engine.octets}.0.0/24", network)
    serve = ["sh", "-c", "trap 'exit 0' TERM; mkdir -p /www; echo open >/www/index.html; httpd -f -p 80 -h /www & wait"]
    shared = {"network": network, "start_first": True}
    shop = engine.idle(**shared, cmd=serve, ip=f"{engine.octets}.0.7", extra_docker="--network-alias till")
    other = engine.idle(**shared)
    for service in (shop, other):
        engine.d("up", service.name)

    def tells(service: Path, line: str) -> str:
        return engine.inside(service.name, f"{line} >/dev/null 2>&1 && echo found || echo lost").strip()

    def reached() -> dict[str, str]:
        names = (f"{engine.octets}.0.7", shop.name, "till")
        from_other = {name: tells(other, f"wget -qO- http://{name}/ | grep open") for name in names}
        return {**from_other, "back": tells(shop, f"nslookup {other.name}")}

    before, container = reached(), engine.container_id(shop.name)
    assert before[f"{engine.octets}.0.7"] == "found"
    for service in (shop, other):
        engine.d("restart", service.name)
    assert engine.container_id(shop.name) != container
    assert reached() == before
    assert engine.engine == "podman" or set(before.values()) == {"found"}


def test_dry_run_is_the_program(engine: World, web: Path) -> None:
    """`d u -n` prints the commands in order and changes nothing; pasted into a shell, they upgrade."""
    engine.d("u", web.name)
    assert "up to date" in engine.d("u", web.name, "-n", "--exit-code").stdout
    set_page(web, "page six")
    listing, files = engine.listing(), disk(engine.volumes)
    shown = engine.d("u", web.name, "-n").stdout
    engine.d("u", web.name, "-n", "--exit-code", expect=1)
    assert engine.listing() == listing
    assert disk(engine.volumes) == files
    lines = [line.removeprefix("BUILDX_NO_DEFAULT_ATTESTATIONS=1 ") for line in shown.splitlines()]
    words = [line.split()[1] for line in lines if line.startswith(f"{engine.engine} ")]
    assert [word for word in words if word != "update"] == [
        *("build", "rename", "rename", "stop", "start", "rename", "tag", "tag", "tag", "rm")
    ]
    assert "create --name" in shown
    engine.run("sh", "-ec", shown)
    assert Path("/dev/null").is_char_device()
    await_page(service_port(web), "page six")
    assert engine.tags(web.name)["live"] == engine.tags(web.name)["latest"]
    assert "up to date" in engine.d("u", web.name).stdout


STUBBORN = ["sh", "-c", "trap '' TERM; trap 'exit 0' USR1; while :; do sleep 0.1; done"]


@pytest.mark.matrix
def test_a_stop_that_ends_in_sigkill_is_reported(engine: World) -> None:
    """At a restart and at `d down`, with both remedies, and in the history; with the right signal it ends by itself."""
    service = engine.idle(cmd=STUBBORN, stop_timeout=1)
    engine.d("up", service.name)
    for words in (("restart", service.name), ("down", service.name)):
        told = engine.d(*words).stdout
        assert "and was killed (SIGKILL)" in told
        assert "stop_signal" in told
        assert "stop_timeout" in told
    assert engine.d("history", service.name).stdout.count("killed when it was stopped") == 2
    set_setting(service, "stop_signal", "SIGUSR1")
    engine.d("up", service.name)
    assert "SIGKILL" not in engine.d("down", service.name).stdout


def test_versions_are_retained_and_can_be_live_again(engine: World) -> None:
    """Two steps back at once, as far as `keep_images` goes; `d clean` leaves them alone, and the list says which."""
    service = engine.plain("1")
    write(service / "settings.yaml", "keep_images: 2")
    ids = []
    for content in ("1", "2", "3", "4"):
        write(service / "files/version", content)
        engine.d_build(service, "-a")
        ids.append(engine.tags(service.name)["live"][:12])
    engine.d("clean")
    rows = json.loads(engine.d("history", service.name, "--images", "--json").stdout)
    assert [(row["version"], row["state"]) for row in rows] == [
        (ids[3], "live"),
        (ids[2], "previous"),
        (ids[1], "retained"),
    ]
    assert "no version begins with" in engine.d("rollback", service.name, "--to", ids[0], expect=1).stderr
    engine.d("rollback", service.name, "--to", ids[1][:6])
    tags = engine.tags(service.name)
    assert (tags["live"][:12], tags["prev"][:12]) == (ids[1], ids[3])
    assert f"{ids[3]} was rolled back on " in engine.d("u", service.name, expect=1).stderr
    rows = json.loads(engine.d("history", service.name, "--images", "--json").stdout)
    assert [(row["version"], row["note"]) for row in rows][:2] == [(ids[1], ""), (ids[3], "rolled back")]


def test_a_rotated_secret_is_a_pending_change(engine: World) -> None:
    """It is listed by its variable, `d upgrade` launches with it, and then nothing is pending; no value is shown."""
    secrets = engine.root / "secrets"
    write(secrets / "db", "first-value", mode=0o600)
    write(engine.host_file, f"secret_command: cat {secrets}/{{name}}\n")
    service = engine.service(
        {"cmd": IDLE, "stop_timeout": 1, "env": {"PASSWORD": "*db"}, "autostart": 1},
        dockerfile=FROM_BASE,
        files={"x": "1"},
    )
    engine.d("u", service.name)
    assert "up to date" in engine.d("u", service.name, "-n").stdout
    write(secrets / "db", "second-value", mode=0o600)
    said = "its secrets have changed: PASSWORD"
    shown = [
        engine.d("u", service.name, "-n"),
        engine.d("restart", service.name, "-n"),
        engine.d("ls", "--pending"),
    ]
    assert all(said in done.text for done in shown)
    engine.d("u", service.name)
    assert engine.inside(service.name, "echo $PASSWORD").strip() == "second-value"
    shown.append(engine.d("ls", "--pending"))
    assert said not in shown[-1].text
    assert not any("-value" in done.text for done in shown)
    label = engine.inspect(service.name)["Config"]["Labels"]["dockyard.secret-digests"]
    assert label.startswith("PASSWORD=")
    engine.host_file.write_text("")


def test_what_has_changed_is_the_base_and_not_the_source(engine: World) -> None:
    """`d upgrade -n` names the image below, the source, or both."""
    bases = [engine.plain(content) for content in ("1", "2")]
    for base in bases:
        engine.d_build(base)
    floating = f"{OURS}floating:1"
    engine.call("tag", f"dytest/{bases[0].name}:latest", floating)
    service = engine.service("", dockerfile=f"FROM {floating}\nLABEL {LABEL}\nCOPY files /\n", files={"own": "1"})
    engine.d_build(service)
    reasons = lambda: engine.d("u", service.name, "-n").stderr  # noqa: E731
    engine.call("tag", f"dytest/{bases[1].name}:latest", floating)
    assert f"{service.name}: the base image {floating} has changed" in reasons()
    write(service / "files/own", "2")
    assert f"{service.name}: the source and the base image {floating} have changed" in reasons()
    engine.d_build(service)
    write(service / "files/own", "3")
    assert f"{service.name}: the source has changed" in reasons()
    engine.call("rmi", floating)


@pytest.mark.matrix
def test_changes_of_the_old_container_are_kept(engine: World) -> None:
    """What somebody mended by hand in the old container is told, and in a tar; what is expected to change is not."""
    service = engine.idle()
    engine.d("up", service.name)
    engine.inside(service.name, "echo by hand >/etc/mended; mkdir /run; echo passing >/run/scratch")
    told = engine.d("restart", service.name).stderr
    assert "/etc/mended" in told
    assert "/run/scratch" not in told
    tar = told.split("saved in ")[1].split()[0]
    assert engine.run("tar", "-xOf", tar, "files/etc/mended").stdout == "by hand\n"
    assert "saved in" not in engine.d("restart", service.name).stderr


def test_restart_that_fails_keeps_the_old_one(engine: World) -> None:
    """Settings with which nothing stays up: `d restart` puts the old container back."""
    service = engine.idle()
    engine.d("up", service.name)
    before = engine.container_id(service.name)
    settings = json.loads((service / "settings.yaml").read_text())
    write(service / "settings.yaml", json.dumps({**settings, "cmd": ["false"]}))
    assert "did not stay up" in engine.d("restart", service.name, expect=1).stderr
    assert engine.container_id(service.name) == before
    assert engine.is_up(service.name)
    assert engine.containers(service.name) == [service.name]


@pytest.mark.matrix
def test_one_that_the_engine_removes_at_its_end(engine: World) -> None:
    """Production with `rm: true`: replaced where the new one stays up, launched anew from the old image where not."""
    service = engine.idle(rm=True)
    engine.d("up", service.name)
    before = engine.container_id(service.name)
    engine.d("restart", service.name)
    assert engine.container_id(service.name) not in {"", before}
    settings = json.loads((service / "settings.yaml").read_text())
    write(service / "settings.yaml", json.dumps({**settings, "cmd": ["sleep", "0.3"]}))
    engine.d("restart", service.name, expect=1)
    assert not [name for name in engine.containers(service.name) if name != service.name]


def test_first_upgrade_starts_what_autostarts(engine: World) -> None:
    """A service that is not up is started if it autostarts here, and only promoted if it does not."""
    starts, waits = engine.web(autostart=3), engine.web()
    for service in (starts, waits):
        write(service / "Test", PASSES, mode=0o755)
        engine.d("upgrade", service.name)
        assert engine.tags(service.name)["live"]
    assert engine.is_up(starts.name)
    assert not engine.container_id(waits.name)
    engine.d("upgrade", "--force", waits.name)
    assert not engine.container_id(waits.name)


def test_the_examples_own_test(engine: World) -> None:
    """The example's Test passes on the example, by d test and by its own flags."""
    web = engine.web()
    engine.d("b", web.name)
    assert "3 passed" in engine.d("t", web.name).text
    assert "1 passed, 2 deselected" in engine.run("./Test", "-r", "-k", "root", cwd=web).text
    assert engine.containers(web.name) == []


def test_what_check_calls_an_error_is_refused_before_anything_is_built(engine: World) -> None:
    """Two services with one port: `d upgrade` and `d build` say what `d check` says, and build nothing."""
    port = free_port()
    one, two = (engine.plain() for _ in range(2))
    for service in (one, two):
        write(service / "settings.yaml", json.dumps({"ports": [f"{port}:80"]}))
    told = f"host port `0.0.0.0:{port}:80` is also used by `{two.name}`"
    assert told in engine.d("check", one.name, expect=1).stdout
    for verb in ("upgrade", "build"):
        refused = engine.d(verb, one.name, expect=2)
        assert f"{told}, src/{two.name}/settings.yaml:1 [port-taken]" in refused.stderr
    assert not any(engine.tags(one.name).values())
