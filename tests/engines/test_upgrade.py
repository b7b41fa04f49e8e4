"""`d upgrade`, up to the moment of replacement and back: production answers all along."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engines.world import Record, World, await_page, client_of, service_port, set_page, write

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


def test_new_one_that_crashes_makes_way(engine: World, web: Path) -> None:
    """A new image that passes its Test and dies in production: the old container is back, and so are the tags."""
    before, tags = engine.container_id(web.name), engine.tags(web.name)
    write(web / "files/usr/bin/serve", "#!/bin/sh\necho no licence; exit 7\n", mode=0o755)
    done = engine.d("u", web.name, expect=1)
    assert "did not stay up" in done.stderr
    assert "no licence" in done.stderr
    assert engine.containers(web.name) == [web.name]
    assert engine.container_id(web.name) == before
    await_page(service_port(web), "page two")
    after = engine.tags(web.name)
    assert (after["live"], after["prev"]) == (tags["live"], tags["prev"])


def test_new_one_that_cannot_start_makes_way(engine: World, web: Path) -> None:
    """Settings with which the engine cannot start a container: the old one is back."""
    before = engine.container_id(web.name)
    text = (web / "settings.yaml").read_text()
    write(web / "settings.yaml", text.replace("{", '{"extra_docker": "--entrypoint /no/such/program", ', 1))
    engine.d("u", web.name, expect=1)
    assert engine.container_id(web.name) == before
    await_page(service_port(web), "page two")


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

    engine.d("rollback", web.name)
    await_page(service_port(web), "page two")
    assert engine.tags(web.name) == {**after, "live": tags["live"], "prev": after["live"]}


def test_first_upgrade_starts_what_autostarts(engine: World) -> None:
    """A service that is not up is started if it autostarts here, and only promoted if it does not."""
    starts, waits = engine.web(autostart=3), engine.web()
    for service in (starts, waits):
        write(service / "Test", PASSES, mode=0o755)
        engine.d("upgrade", service.name)
        assert engine.tags(service.name)["live"]
    assert engine.is_up(starts.name)
    assert not engine.container_id(waits.name)


def test_the_examples_own_test(engine: World) -> None:
    """The example's Test passes on the example, by d test and by its own flags."""
    web = engine.web()
    engine.d("b", web.name)
    assert "3 passed" in engine.d("t", web.name).text
    assert "1 passed, 2 deselected" in engine.run("./Test", "-r", "-k", "root", cwd=web).text
    assert engine.containers(web.name) == []
