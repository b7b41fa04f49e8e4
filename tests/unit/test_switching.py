"""What a switch makes of a failure: whose fault it was, how long production was away; and which health checks count."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import pytest

from dockyard import switch as switching
from dockyard.engine.dialect import DOCKER, Dialect
from dockyard.engine.models import Check, Container
from dockyard.errors import DockyardError, EngineError
from dockyard.plan.values import Command
from dockyard.watch import Verdict, watch
from tests.unit.plan.test_switch import LIVE, PRODUCTION, Pretended, switch_of

OLD = Container("old", "web", "running", LIVE, labels=PRODUCTION)


class Refusing:
    """An engine that refuses one command, once."""

    dialect: Dialect = DOCKER

    def __init__(self, refused: str) -> None:
        self.world = Pretended(OLD)
        self.refused = refused

    def call(self, *argv: str, **_: Any) -> str:  # noqa: ANN401 - what an engine is given
        """Carry out a command, or refuse it."""
        if " ".join(argv) == self.refused:
            self.refused = ""
            raise EngineError(("docker", *argv), 1, "no")
        self.world.do(Command(argv))
        return ""

    def containers(self, names: Iterable[str]) -> list[Container]:
        """Return those that exist."""
        return [one for name, one in self.world.told().items() if name in names]

    def inspect(self, *_: str) -> list[dict[str, Any]]:
        """Return nothing: its containers have nothing of the host."""
        return []

    def end_strays(self, _: object) -> None:
        """Nothing is left of any client."""

    def last_words(self, *_: object) -> list[str]:
        """Return nothing: nobody has written anything."""
        return []


def failure(
    monkeypatch: pytest.MonkeyPatch, refused: str = "", *, start_first: bool, unwell: str = ""
) -> DockyardError:
    """Switch where the engine refuses a command, or a container is not well; the old one is back in service."""
    engine: Any = Refusing(refused)
    monkeypatch.setattr(
        switching, "watch", lambda _, names, **__: {name: Verdict("fell" if name == unwell else "") for name in names}
    )
    plan = switch_of(OLD, DOCKER, tags=True, start_first=start_first)
    with pytest.raises(DockyardError) as caught:
        switching.switch(engine, plan, lambda _: None, keep=lambda *_: None)
    assert engine.world.is_in_order()
    assert engine.containers(["web"])[0].id == "old"
    return caught.value


@pytest.mark.parametrize("start_first", [False, True])
@pytest.mark.parametrize("refused", ["rename web web.old", "rename web.next web", "stop web.old"])
def test_what_the_engine_refuses_on_the_way_is_not_the_images_fault(
    monkeypatch: pytest.MonkeyPatch, refused: str, *, start_first: bool
) -> None:
    """It is told, and the same image is tried again next time."""
    assert not isinstance(failure(monkeypatch, refused, start_first=start_first), switching.SwitchFailedError)


@pytest.mark.parametrize("refused", ["network disconnect none web", "network connect none web.next"])
def test_networks_on_the_way_are_not_the_images_fault(monkeypatch: pytest.MonkeyPatch, refused: str) -> None:
    """Before the new one takes over, they are the engine's own business."""
    assert not isinstance(failure(monkeypatch, refused, start_first=True), switching.SwitchFailedError)


@pytest.mark.parametrize(
    ("refused", "start_first"),
    [("start web", False), ("start web.next", True), ("network connect bridge web", True)],
)
def test_who_cannot_begin_has_failed(monkeypatch: pytest.MonkeyPatch, refused: str, *, start_first: bool) -> None:
    """That is a failure of the new container, which is remembered."""
    assert isinstance(failure(monkeypatch, refused, start_first=start_first), switching.SwitchFailedError)


def test_who_falls_without_a_network_never_was_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """Production was not away, and the hint says that there was no network."""
    error = failure(monkeypatch, start_first=True, unwell="web.next")
    assert isinstance(error, switching.SwitchFailedError)
    assert error.outage == 0
    assert str(error) == "web: the new container fell"
    assert "remove `start_first`" in error.hint


def test_who_falls_on_its_network_has_been_in_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """The hint about the missing network is none there."""
    error = failure(monkeypatch, start_first=True, unwell="web")
    assert isinstance(error, switching.SwitchFailedError)
    assert "start_first" not in error.hint


def test_what_is_told_while_one_starts_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is called a switch before the new one has been watched."""
    engine: Any = Refusing("")
    monkeypatch.setattr(switching, "watch", lambda _, names, **__: {name: Verdict() for name in names})
    told: list[str] = []
    switching.switch(engine, switch_of(OLD, DOCKER, tags=True, start_first=True), told.append)
    before, after = ["preparing", "starting", "watching"], ["switching", "stopping", "switching", "watching"]
    assert told == [*before, *after]


class Telling:
    """An engine that tells of one container, each time as the next in a row; the last one again and again."""

    dialect: Dialect = DOCKER

    def __init__(self, *health: tuple[str, str]) -> None:
        self.health = list(health)

    def containers(self, _: Iterable[str]) -> list[Container]:
        """Return the container as it is now."""
        status, checked = self.health.pop(0) if len(self.health) > 1 else self.health[0]
        check = Check(start_period=0, interval=30, timeout=1, retries=1)
        return [OLD._replace(health=status, health_checked=checked, check=check, health_output="no answer")]


JOINED = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC).timestamp()
BEFORE, AFTER = "2026-05-01T11:59:59.999999999Z", "2026-05-01T14:00:00.123456789+02:00"


@pytest.mark.parametrize(("then", "problem"), [("healthy", ""), ("unhealthy", "is unhealthy")])
@pytest.mark.parametrize("first", ["healthy", "unhealthy"])
def test_a_check_counts_that_began_on_its_network(first: str, then: str, problem: str) -> None:
    """What an earlier one said is not asked, and the patience that is given does not end before the next one."""
    engine: Any = Telling((first, BEFORE), (first, BEFORE), (then, AFTER))
    verdict = watch(engine, ["web"], stay_up=0, patience=0, since=JOINED)["web"]
    assert (verdict.problem, verdict.health) == (problem, "no answer" if problem else "")
    assert engine.health == [(then, AFTER)]


def test_without_a_network_to_wait_for_the_last_check_counts() -> None:
    """As for all that start where they stay."""
    engine: Any = Telling(("healthy", BEFORE), ("unhealthy", AFTER))
    assert not watch(engine, ["web"], stay_up=0)["web"].problem
