"""What is reported of containers that do not stay up."""

import time
from typing import Any

import pytest

from dockyard.engine.models import Container
from dockyard.testing import container as under_test
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

    def is_up(self, container: str) -> bool:  # noqa: ARG002 - as an engine has it
        return self.container.is_up

    def is_healthy(self, container: str) -> bool:  # noqa: ARG002 - as an engine has it
        return False

    def last_words(self, container: str, lines: int) -> list[str]:  # noqa: ARG002 - as an engine has it
        return ["no database"]


@pytest.mark.parametrize(("count", "often"), [(1, "once"), (3, "3 times")])
def test_restarts_are_counted_in_words(count: int, often: str) -> None:
    engine = Having(Container("1" * 64, "web", "running", IMAGE, restarts=count))
    assert watch(engine, ["web"])["web"].problem == f"did not stay up (the engine has restarted it {often})"


@pytest.mark.parametrize(
    ("status", "text"),
    [
        ("exited", "test-web has ended; expected: a health check that passes\n  log: no database"),
        ("running", "test-web: expected a health check that passes within 0 s\n  log: no database"),
    ],
)
def test_what_was_expected_is_named(status: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In words that fit the sentence, whether it has ended or takes too long."""
    monkeypatch.setattr(time, "sleep", lambda _: None)
    engine = Having(Container("1" * 64, "test-web", "running", IMAGE, health="starting"))
    tested = under_test.Container(engine, "test-web")
    engine.container = engine.container._replace(status=status)
    with pytest.raises(under_test.Unexpected) as error:
        tested.wait_ready(0)
    assert str(error.value) == text
