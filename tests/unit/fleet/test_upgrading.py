"""What an upgrade of all services does when one of them fails: who is held back, and who is to blame."""

from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from dockyard.engine.models import Container
from dockyard.fleet import upgrading
from dockyard.fleet.crew import FAILED, OK, SKIPPED, TIMEOUT, Done, Task
from dockyard.fleet.starting import How
from dockyard.service import Service
from dockyard.upgrade import Wanted
from tests.unit.fleet.test_crew import Watching

WAVES = [(1, ["db", "cache"]), (2, ["app"]), (3, ["proxy"])]


class Host:
    """Services in waves, as they are built and tested, and which of them are up."""

    def __init__(self, made: Mapping[str, str], up: Iterable[str]) -> None:
        self.made, self.up = made, set(up)
        self.engine = self
        self.neighbours = SimpleNamespace(list_now=lambda: None)
        self.missing: dict[str, tuple[str, ...]] = {}

    def load_all(self) -> tuple[dict[str, object], list[object]]:
        """Return the settings of all: here, a name each."""
        return {name: name for name in self.made}, []

    def containers(self, names: Iterable[str]) -> list[Container]:
        """Return those that are up."""
        return [Container(name, name, "running", "1") for name in names if name in self.up]

    def named(self, name: str) -> Any:  # noqa: ANN401 - as much of a service as is asked for
        """Return a service."""
        return SimpleNamespace(name=name)

    def done(self) -> list[Done]:
        """Return how building and testing ended."""
        return [
            Done(name, OK if result == "ready" else result, data={"state": "ready"} if result == "ready" else {})
            for name, result in self.made.items()
        ]


def upgraded(monkeypatch: pytest.MonkeyPatch, host: Host, switches: Mapping[str, str] | None = None) -> dict[str, Done]:
    """Upgrade all, where switches end as they are to; returns how each service did."""

    class Crew:
        def __init__(self, *_: object) -> None:
            pass

        def run(self, tasks: Iterable[Task]) -> list[Done]:
            return [Done(task.name, str(task.work(None)["result"])) for task in tasks]  # type: ignore[arg-type]

    def switch(_yard: object, _made: object, service: Service, _link: object, **given: Any) -> dict[str, str]:  # noqa: ANN401
        host.missing[service.name] = given["wanted"].missing
        return {"result": (switches or {}).get(service.name, OK)}

    monkeypatch.setattr(upgrading, "Crew", Crew)
    monkeypatch.setattr(upgrading, "_switch", switch)
    monkeypatch.setattr(upgrading, "_in_order", lambda *_: host.done())
    for name in ("_refused", "skip_renamed"):
        monkeypatch.setattr(upgrading, name, lambda *_: {}, raising=False)
    monkeypatch.setattr(upgrading, "waves", lambda _: WAVES)
    monkeypatch.setattr(upgrading, "container_name", lambda name: name)
    yard: Any = host
    return {done.name: done for done in upgrading.upgrade_all(yard, Watching(), How(2), Wanted())}


@pytest.mark.parametrize("result", [FAILED, TIMEOUT])
def test_what_waits_for_one_that_failed_and_is_down_is_not_tried(monkeypatch: pytest.MonkeyPatch, result: str) -> None:
    """All later waves, with the reason; its own wave and what does not start by itself are upgraded as ever."""
    host = Host({"db": "ready", "cache": result, "app": "ready", "proxy": "ready", "tool": "ready"}, up=["db"])
    done = upgraded(monkeypatch, host)
    assert {name: one.result for name, one in done.items() if one.result != SKIPPED} == {
        "db": OK,
        "cache": result,
        "tool": OK,
    }
    for name in ("app", "proxy"):
        assert done[name].reason == "not tried: cache, which it waits for, failed"


def test_one_whose_switch_fails_and_leaves_nothing_up_holds_back_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only one that cannot be built or fails its Test."""
    host = Host({"db": "ready", "cache": "ready", "app": "ready", "proxy": "ready"}, up=["db", "cache"])
    done = upgraded(monkeypatch, host, {"app": FAILED})
    assert [one.result for one in done.values()] == [OK, OK, FAILED, SKIPPED]
    assert done["proxy"].reason == "not tried: app, which it waits for, failed"


def test_one_that_failed_and_still_runs_holds_nothing_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes after is tried, and whatever fails then is not held against its image."""
    host = Host({"db": FAILED, "cache": "ready", "app": "ready", "proxy": "ready"}, up=["db"])
    done = upgraded(monkeypatch, host)
    assert [done[name].result for name in ("cache", "app", "proxy")] == [OK, OK, OK]
    assert host.missing == {"cache": (), "app": ("db",), "proxy": ("db",)}
