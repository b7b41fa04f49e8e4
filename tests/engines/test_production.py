"""What must never happen to production: each of these once could."""

import json
import signal
from pathlib import Path

import pytest

from dockyard.directives import FIRST_LINE
from tests.engines.world import BASE, FROM_BASE, IDLE, LABEL, PROGRAMS, World, wait_for, write

# It takes its time to stop, so that an interrupt finds the replacement half done.
SLOW = ["sh", "-c", "trap 'sleep 2; exit 0' TERM; while :; do sleep 0.1; done"]


def up(engine: World, service: Path) -> str:
    """Start production, and return its id."""
    engine.d("up", service.name)
    return engine.container_id(service.name)


@pytest.mark.matrix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupt_while_the_old_one_stops_brings_it_back(engine: World, number: signal.Signals) -> None:
    """Ctrl-C, SIGTERM or a lost connection in the middle of a replacement: the same container is up under its name."""
    service = engine.idle(cmd=SLOW)
    before = up(engine, service)
    child = engine.start(PROGRAMS / "d", "restart", service.name)
    wait_for(lambda: f"{service.name}.old" in engine.containers(), "the old one makes way")
    child.send_signal(number)
    output, _ = child.communicate(timeout=60)
    assert child.returncode in {130, 128 + number}, output
    assert engine.container_id(service.name) == before
    assert engine.is_up(service.name)
    assert engine.containers(service.name) == [service.name]


@pytest.mark.matrix
def test_only_what_was_promoted_is_launched(engine: World) -> None:
    """Settings that would launch another image than the one that was promoted stop the upgrade; the tags go back."""
    service = engine.service({"cmd": IDLE}, dockerfile=FROM_BASE, files={"version": "1"})
    engine.d_build(service, "-a")
    before, tags = up(engine, service), engine.tags(service.name)
    write(service / "settings.yaml", json.dumps({"cmd": IDLE, "tag": "prev"}))
    write(service / "files/version", "2")
    engine.d_build(service, "-a")
    write(service / "files/version", "3")
    done = engine.d("upgrade", service.name, expect=1)
    assert " is promoted" in done.stderr
    assert engine.container_id(service.name) == before
    assert engine.tags(service.name)["live"] != tags["live"]  # the second, which d-build promoted
    assert engine.tags(service.name)["prev"] == tags["live"]


def test_container_of_nobody_is_never_replaced(engine: World) -> None:
    """A container that was started by hand under a service's name stays, whatever is asked for the service."""
    service = engine.idle()
    engine.call("run", "-d", "--name", service.name, "--label", LABEL, BASE, *IDLE)
    before = engine.container_id(service.name)
    for verb in ("restart", "upgrade"):
        engine.d(verb, service.name, expect=1)
    assert engine.container_id(service.name) == before
    assert engine.is_up(service.name)


def test_name_of_a_service_that_is_down_means_no_other(engine: World) -> None:
    """`d down web` while web is down does not stop web-admin, which begins so."""
    service = engine.idle()
    other = engine.idle()
    longer = other.rename(other.with_name(f"{service.name}-admin"))
    before = up(engine, longer)
    for arguments in (("down", service.name), ("run", service.name, "true")):
        assert "is not up" in engine.d(*arguments, expect=1).stderr
    engine.d("down", "", expect=2)
    assert engine.container_id(longer.name) == before
    assert engine.is_up(longer.name)


def test_directory_that_lies_about_is_not_the_service(engine: World) -> None:
    """A directory of the service's name where we are is not what `d` builds."""
    service = engine.service({"cmd": IDLE}, dockerfile=FROM_BASE, files={"version": "right"})
    decoy = engine.root / "scratch" / service.name
    write(decoy / "Dockerfile", "FROM scratch\nCOPY missing /\n")
    engine.d("build", service.name, cwd=decoy.parent)
    assert engine.in_image(f"dytest/{service.name}:latest", "cat /version") == "right"


@pytest.mark.matrix
def test_anonymous_volumes_of_production_outlive_a_replacement(engine: World) -> None:
    """What an image's VOLUME holds is not thrown away with the old container."""
    dockerfile = f"{FROM_BASE}VOLUME /kept\n"
    service = engine.service({"cmd": IDLE}, dockerfile=dockerfile, files={"version": "1"})
    engine.d_build(service, "-a")
    up(engine, service)
    volume = engine.inspect(service.name)["Mounts"][0]["Name"]
    engine.d("restart", service.name)
    try:
        assert volume in engine.call("volume", "ls", "-q").split()
    finally:
        engine.call("rm", "-f", service.name, expect=None)
        engine.call("volume", "rm", volume, expect=None)


def test_new_one_that_ends_at_once_is_a_failure_where_none_was_up(engine: World) -> None:
    """`d up` of a service that does not stay up says so."""
    service = engine.idle(cmd=["false"])
    assert "did not stay up" in engine.d("up", service.name, expect=1).stderr


def test_two_tests_of_one_service_do_not_meet(engine: World) -> None:
    """While one Test has its instance, another run is told who has it, and leaves it alone."""
    script = "#!/usr/bin/env dockyard-python\nfrom dockyard.testing import main\nimport time\n"
    body = "def test_long(container):\n    while True:\n        time.sleep(0.1)\n\n\nmain()\n"
    service = engine.idle()
    write(service / "Test", script + body, mode=0o755)
    first = engine.start(service / "Test", "-r", "-t", BASE.rpartition(":")[2], cwd=service)
    name = f"test-{service.name}"
    try:
        wait_for(lambda: engine.is_up(name), "the first instance")
        before = engine.container_id(name)
        done = engine.run(service / "Test", "-r", cwd=service, expect=4)
        assert f"pid {first.pid}" in done.stderr
        assert engine.container_id(name) == before
    finally:
        first.terminate()
        first.communicate(timeout=60)
    assert not engine.container_id(name)


def test_test_may_run_the_test_of_another_service(engine: World) -> None:
    """The inner Test removes its own instance and leaves the outer one's, and production that a Test starts stays."""
    inner, started = engine.idle(), engine.idle()
    write(inner / "Test", "#!/usr/bin/env dockyard-python\n" + PASSING, mode=0o755)
    script = f"""#!/bin/sh
set -e
{FIRST_LINE}
cd {inner} && ./Test -r
d-run --cd {started}
{engine.engine} exec "$CONTAINER_NAME" true
"""
    outer = engine.service({"cmd": IDLE}, dockerfile=FROM_BASE, files={"version": "1"}, scripts={"Test": script})
    engine.d_build(outer, "-t")
    assert engine.is_up(started.name)
    assert not engine.containers(f"test-{outer.name}")
    assert not engine.containers(f"test-{inner.name}")


PASSING = """from dockyard.testing import Container, main


def test_it_is_up(container: Container) -> None:
    container.expect_output("true")


main()
"""
