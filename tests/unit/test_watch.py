"""What is reported of containers that do not stay up."""

from typing import Any

import pytest

from dockyard.engine.dialect import DOCKER, PODMAN, Dialect
from dockyard.engine.models import Check, Container
from dockyard.watch import watch
from tests.unit.check.conftest import Answering

IMAGE = "2" * 64


class Having(Answering):
    """An engine with one container, whose health check fails."""

    def __init__(self, container: Container, dialect: Dialect = DOCKER) -> None:
        super().__init__(dialect)
        self.container = container

    def containers(self, names: Any) -> list[Container]:  # noqa: ANN401, ARG002 - as an engine has it
        return [self.container]

    def is_healthy(self, container: str) -> bool:  # noqa: ARG002 - as an engine has it
        return False


@pytest.mark.parametrize(("count", "often"), [(1, "once"), (3, "3 times")])
def test_restarts_are_counted_in_words(count: int, often: str) -> None:
    engine = Having(Container("1" * 64, "web", "running", IMAGE, restarts=count))
    assert watch(engine, ["web"])["web"].problem == f"did not stay up (it crashed and was restarted {often})"


def test_checks_that_podman_does_not_run_by_itself_end_the_wait_as_its_own_would() -> None:
    """Two failures are the verdict, long before the time that the checks might take."""
    check = Check(start_period=0.0, interval=0.1, timeout=5.0, retries=2)
    engine = Having(Container("1" * 64, "web", "running", IMAGE, check=check), PODMAN)
    assert watch(engine, ["web"])["web"].problem == "is unhealthy"
