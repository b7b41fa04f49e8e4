"""A switch that failed: what is reported of production, and whether the image is to blame."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dockyard import dossier, history, replace
from dockyard.engine.dialect import DOCKER
from dockyard.engine.models import Container
from dockyard.replace import Replacement
from dockyard.switch import SwitchFailedError
from tests.unit.plan.test_switch import LIVE, PRODUCTION, switch_of

OLD = Container("old", "web", "running", LIVE, labels=PRODUCTION)


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep all state in a directory of the test's own."""
    for module in (dossier, history):
        monkeypatch.setattr(module, "state_directory", lambda: tmp_path)
    return tmp_path


def failure(
    monkeypatch: pytest.MonkeyPatch, *, outage: int, answers: object, missing: tuple[str, ...] = ()
) -> SwitchFailedError:
    """Switch to a container that fails, after which production does or does not answer; returns the error."""

    def fail(*_: object, keep: Any, **__: object) -> None:  # noqa: ANN401 - switch.Keep
        error = SwitchFailedError("web: it crashed", "its log: no", outage)
        error.back = replace.time.monotonic() - 2.0
        keep(error, {}, {})
        raise error

    def wait(*_: object) -> bool:
        if isinstance(answers, BaseException):
            raise answers
        return bool(answers)

    monkeypatch.setattr(replace, "switch", fail)
    monkeypatch.setattr(replace, "await_answer", wait)
    monkeypatch.setattr(replace, "trial", lambda *_: "settings")
    neighbours = SimpleNamespace(launching=lambda _: nullcontext())
    yard: Any = SimpleNamespace(engine=SimpleNamespace(content=lambda _: "content"), neighbours=neighbours)
    service: Any = SimpleNamespace(name="web")
    plan = switch_of(OLD, DOCKER, tags=True)
    with pytest.raises(SwitchFailedError) as caught:
        Replacement(yard, service, plan, "upgrade", lambda _: None, missing=missing).switch()
    return caught.value


def test_production_is_back_when_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that is reported, and recorded, is until then, not until it was started."""
    error = failure(monkeypatch, outage=1000, answers=True)
    assert 3000 <= error.outage < 4000
    assert error.hint == f"rolled back; production was down for {error.outage} ms\nits log: no"
    assert history.events("web")[0].detail["outage_ms"] == error.outage


def test_production_that_does_not_answer_is_not_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said, with what shows the reason."""
    hint = failure(monkeypatch, outage=1000, answers=False).hint
    assert "production was down for" not in hint
    assert "does not answer" in hint
    assert "`d logs web`" in hint


def test_production_that_was_not_down_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with one that starts first."""
    assert failure(monkeypatch, outage=0, answers=AssertionError()).hint.startswith("production was not down")


def test_a_failure_is_recorded_also_if_the_wait_is_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise the same would be tried again."""
    with pytest.raises(KeyboardInterrupt):
        failure(monkeypatch, outage=1000, answers=KeyboardInterrupt())
    assert history.rejection("web", LIVE, "content", "settings")


@pytest.mark.parametrize(("missing", "is_rejected"), [((), True), (("app",), False)])
def test_an_image_is_not_to_blame_for_a_neighbour(
    monkeypatch: pytest.MonkeyPatch, missing: tuple[str, ...], *, is_rejected: bool
) -> None:
    """One that starts while what it waits for has failed is tried again next time, and the hint says so."""
    error = failure(monkeypatch, outage=1000, answers=True, missing=missing)
    assert bool(history.rejection("web", LIVE, "content", "settings")) == is_rejected
    assert ("app, which it waits for, failed" in error.hint) != is_rejected
