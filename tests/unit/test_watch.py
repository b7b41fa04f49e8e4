"""What is reported of containers that do not stay up."""

from typing import Any

import pytest

from dockyard.engine.models import Container
from dockyard.watch import watch
from tests.unit.check.conftest import Answering

IMAGE = "2" * 64


class Having(Answering):
    """An engine with one container."""

    def __init__(self, container: Container) -> None:
        super().__init__()
        self.container = container

    def containers(self, names: Any) -> list[Container]:  # noqa: ANN401, ARG002 - as an engine has it
        return [self.container]


@pytest.mark.parametrize(("count", "often"), [(1, "once"), (3, "3 times")])
def test_restarts_are_counted_in_words(count: int, often: str) -> None:
    engine = Having(Container("1" * 64, "web", "running", IMAGE, restarts=count))
    assert watch(engine, ["web"])["web"].problem == f"did not stay up (the engine has restarted it {often})"
