"""An engine that waits for itself: lists are answered, while builds, starts, stops and `info` are not."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.engines.world import write
from tests.standins.world import StandInWorld


@contextmanager
def hung(world: StandInWorld, *verbs: str, seconds: float = 300) -> Iterator[None]:
    """Have some verbs of an engine hang during the block, for some seconds at the most."""
    place = world.root / "engine/hung"
    place.write_text(" ".join(verbs))
    timer = threading.Timer(seconds, place.unlink, kwargs={"missing_ok": True})
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        place.unlink(missing_ok=True)


def test_upgrade_ends_before_production_is_touched(docker: StandInWorld) -> None:
    """It says after half a minute what it waits for, and ends after another: container and tags are as they were.

    So does `down`, beside it: what its container has changed is not read, which is no reason to wait a second minute.
    """
    service, other = docker.waiting(), docker.waiting()
    docker.go_live(service)
    docker.go_live(other)
    before = docker.container_id(service.name), docker.tags(service.name)
    write(service / "files/version", "another")
    began = time.monotonic()
    with hung(docker, "build", "create", "start", "stop", "info"), ThreadPoolExecutor(1) as beside:
        down = beside.submit(docker.d, "down", other.name, expect=3)
        done = docker.d("upgrade", service.name, expect=3)
        said = down.result().stderr
    assert 59 < time.monotonic() - began < 100
    for seconds in (30, 60):
        assert f"docker does not answer: `docker build` has not been answered for {seconds} s" in done.stderr
    assert "service docker restart" in done.stderr
    assert "docker does not answer: `docker stop` has not been answered for 30 s" in said
    assert docker.is_up(other.name)
    assert docker.is_up(service.name)
    assert (docker.container_id(service.name), docker.tags(service.name)) == before


def test_stop_of_production_is_waited_for(docker: StandInWorld) -> None:
    """Production has begun to change: the command warns, and carries on as soon as the engine answers again."""
    service = docker.waiting()
    docker.go_live(service)
    write(service / "files/version", "a third")
    # What is asked before the Test is answered: an engine that hangs by then ends the upgrade.
    write(service / "Test", f"#!/bin/sh\necho stop info >{docker.root}/engine/hung\n", mode=0o755)
    with hung(docker, seconds=75):
        done = docker.d("upgrade", service.name)
    assert (
        "`docker stop` has not been answered for 30 s; waiting for it, as production has begun to change" in done.stderr
    )
    assert docker.is_up(service.name)
    assert docker.tags(service.name)["live"] == docker.tags(service.name)["latest"]
    assert docker.containers(service.name) == [service.name]
