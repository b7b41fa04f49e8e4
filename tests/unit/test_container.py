"""A container under test: what a Test waits for, and what ends its waiting early."""

from collections.abc import Iterable

import pytest

from dockyard.engine.dialect import DOCKER, PODMAN, Dialect
from dockyard.engine.engine import Engine
from dockyard.engine.models import Check, Container
from dockyard.testing.container import Container as Subject
from dockyard.testing.container import Unexpected
from dockyard.watch import Tries

CHECK = Check(start_period=0, interval=0.01, timeout=1, retries=3)
STARTED = "2026-01-01T00:00:00Z"
RUNNING = Container("1", "test-web", "running", "image", started=STARTED, check=CHECK, health="starting")
UNHEALTHY = RUNNING._replace(health="unhealthy", health_output="no database\n")
ENDED = RUNNING._replace(status="exited", exit_code=3)


class Changing(Engine):
    """An engine whose container is otherwise each time it is asked for, up to the last state."""

    def __init__(self, *states: Container, dialect: Dialect = DOCKER) -> None:
        super().__init__("docker", dialect)
        self.states = list(states)
        self.asked = 0

    def containers(self, names: Iterable[str]) -> list[Container]:
        """Return the container; none of it is left after a state without a name."""
        _ = names
        self.asked += 1
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return [state] if state.name else []

    def is_healthy(self, container: str) -> bool:
        """Run the check."""
        return False if self.dialect.health_check else super().is_healthy(container)

    def logs(self, container: str, tail: int = 0) -> str:  # noqa: ARG002 - as Engine has it
        """Return what it wrote."""
        return f"{container} cannot go on\n"


def test_an_unhealthy_container_is_not_waited_for() -> None:
    """The engine's verdict ends the waiting, with what the check wrote, and the log."""
    with pytest.raises(
        Unexpected, match="test-web: it is unhealthy\n  health check: no database\n  log: 1 cannot go on"
    ):
        Subject(Changing(RUNNING, RUNNING, UNHEALTHY), RUNNING).wait_ready(10**6)


def test_an_unhealthy_container_is_not_waited_for_where_the_check_is_run_by_us() -> None:
    """As many tries as the check has, at its interval, are the verdict where the engine has none."""
    with pytest.raises(Unexpected, match="test-web: it is unhealthy"):
        Subject(Changing(RUNNING, dialect=PODMAN), RUNNING).wait_ready(10**6)


def test_a_container_that_has_ended_is_not_waited_for() -> None:
    """Its exit code is reported, and what was waited for."""
    told = (
        "test-web has ended with exit code 3 while the Test waited for its health check to pass\n  log: 1 cannot go on"
    )
    with pytest.raises(Unexpected, match=told):
        Subject(Changing(RUNNING, ENDED), RUNNING).wait_ready(10**6)


def test_a_container_that_is_gone_is_not_waited_for() -> None:
    """Nor is one that something has removed."""
    with pytest.raises(Unexpected, match="test-web is gone while the Test waited for `ready` in its log"):
        Subject(Changing(RUNNING._replace(name="")), RUNNING).expect_log("ready", seconds=10**6)


def test_an_address_is_asked_for_in_vain_only_while_the_container_is_up() -> None:
    """That it has none is no reason where it has ended."""
    with pytest.raises(Unexpected, match="has ended with exit code 3"):
        Subject(Changing(ENDED), RUNNING).expect_tcp(80, seconds=10**6)


def test_what_was_waited_for_is_named() -> None:
    """With what was there in its place."""
    with pytest.raises(Unexpected, match="test-web: waited 0 s for `ready` in its log: in vain"):
        Subject(Changing(RUNNING), RUNNING).expect_log("ready", seconds=0)


@pytest.mark.parametrize(
    ("check", "failures", "verdicts"),
    [
        (Check(0, 3, 1, 3), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [False] * 9 + [True]),
        (Check(0, 3, 1, 1), [0, 2.9, 3], [False, False, True]),
        (Check(10, 3, 1, 1), [0, 3, 6, 12, 13], [False] * 4 + [True]),
        (Check(0, 3, 1, 0), [2, 3], [False, True]),
        (Check(0, 1, 1, 2), [100, 100.1, 100.9, 101], [False, False, False, True]),
    ],
)
def test_tries_count_as_the_engine_would_make_them(check: Check, failures: list[float], verdicts: list[bool]) -> None:
    """One for each interval, and none in the start period."""
    tries = Tries(check)
    assert [tries.is_unhealthy(elapsed) for elapsed in failures] == verdicts
