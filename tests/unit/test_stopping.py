"""What is reported of a stop: how long it took, and that the engine had to kill; and when a container answers again."""

import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from dockyard import answering
from dockyard.answering import await_answer, listening_ports, published_ports
from dockyard.engine.dialect import DOCKER
from dockyard.engine.models import Check, Container, container_from
from dockyard.stopping import kill_notes, seconds_to_end
from tests.engines.world import free_port

STOPPED = {
    "Id": "1",
    "Name": "/db",
    "Image": "sha256:2",
    "State": {"Status": "exited", "ExitCode": 137, "FinishedAt": "2026-11-29T20:00:10.5Z"},
    "Config": {"StopTimeout": 10},
}
ASKED = datetime(2026, 11, 29, 20, 0, 0, tzinfo=UTC).timestamp()


def stopped(exit_code: int = 137, status: str = "exited", timeout: int | None = 10) -> Container:
    """Return a container as the engine tells of it after a stop."""
    state = {**STOPPED["State"], "ExitCode": exit_code, "Status": status}  # type: ignore[dict-item]
    return container_from({**STOPPED, "State": state, "Config": {"StopTimeout": timeout}})


@pytest.mark.parametrize(
    ("container", "killed"),
    [
        (stopped(), True),
        (stopped(timeout=None), True),
        (stopped(0), False),
        (stopped(143), False),
        (stopped(status="running"), False),
        (stopped(timeout=0), False),
    ],
)
def test_a_stop_that_ended_in_sigkill_is_known(container: Container, *, killed: bool) -> None:
    """By its exit code; one that has no time to end by itself is killed on purpose."""
    assert container.was_killed == killed


def test_a_kill_is_reported_with_its_remedy() -> None:
    """How long it had, and the two keys that help."""
    line, hint = kill_notes("db", seconds_to_end(stopped(), ASKED))
    assert line == "db did not end within 10 s after its stop signal, and was killed (SIGKILL)"
    assert "stop_signal" in hint
    assert "stop_timeout" in hint


def test_how_long_a_stop_took_is_what_the_engine_says() -> None:
    """From when it was asked to until it ended; a clock that went back makes no negative time."""
    assert seconds_to_end(stopped(), ASKED) == 10.5
    assert seconds_to_end(stopped(), ASKED + 20) == 0.0
    assert seconds_to_end(stopped(status="running"), ASKED) is None
    assert seconds_to_end(stopped()._replace(finished="0001-01-01T00:00:00Z"), ASKED) is None


@contextmanager
def listener(address: str, port: int) -> Iterator[None]:
    """Have something listen while the block lasts."""
    with socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET):
        yield


def test_ports_are_those_on_which_others_are_answered() -> None:
    """Of IPv4 and IPv6; what listens for itself alone is left out, and so are ports that the kernel chose."""
    ports = [free_port() for _ in range(4)]
    places = zip(("0.0.0.0", "::", "127.0.0.1", "::1"), ports, strict=True)  # noqa: S104 - that is what is tested
    with socket.create_server(("", 0)) as chosen:
        listeners = [listener(*place) for place in places]
        for one in listeners:
            one.__enter__()
        found = listening_ports(os.getpid())
        for one in listeners:
            one.__exit__(None, None, None)
        assert set(ports[:2]) <= found
        assert not {*ports[2:], chosen.getsockname()[1]} & found
    assert not set(ports) & listening_ports(os.getpid())
    assert listening_ports(0) == frozenset()


def test_published_ports_are_those_inside() -> None:
    """UDP is not asked."""
    container = Container("1", "db", "running", "2", ports={"80/tcp": "0.0.0.0:8088", "53/udp": "0.0.0.0:53"})
    assert published_ports(container) == {80}


class Telling:
    """An engine that tells of one container, each time as the next in a row; the last one again and again."""

    dialect = DOCKER

    def __init__(self, *states: Container) -> None:
        self.states = list(states)

    def containers(self, _: Iterable[str]) -> list[Container]:
        """Return the container as it is now."""
        return [self.states.pop(0) if len(self.states) > 1 else self.states[0]]


UP = Container("1", "db", "running", "2", pid=os.getpid())
CHECKED = UP._replace(check=Check(0, 0, 0, 0), health="starting")


def test_one_with_a_health_check_answers_when_that_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not when it has started; what it listens on does not count. One that stays unhealthy does not answer."""
    engine: Any = Telling(CHECKED._replace(status="created"), CHECKED, CHECKED._replace(health="healthy"))
    assert await_answer(engine, "db", {1})
    assert len(engine.states) == 1
    monkeypatch.setattr(answering, "SLACK", 0.1)
    engine = Telling(CHECKED._replace(health="unhealthy"))
    assert not await_answer(engine, "db", set())


def test_one_without_a_health_check_answers_when_it_listens_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """On all the ports that it had; where it had none, it is enough that it runs."""
    port = free_port()
    engine: Any = Telling(UP)
    monkeypatch.setattr(answering, "ANSWER_SECONDS", 0.2)
    assert not await_answer(engine, "db", {port})
    assert await_answer(engine, "db", set())
    with listener("0.0.0.0", port):  # noqa: S104 - that is what is tested
        assert await_answer(engine, "db", {port})
