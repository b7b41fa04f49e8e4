"""Facts as they are asked of a host: what the rules get, and what `d check-all-up` makes of it."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from dockyard import dossier, history, holds, lock
from dockyard.cli.verbs.fleet import check_all_up
from dockyard.engine.about import About
from dockyard.engine.dialect import DOCKER
from dockyard.engine.engine import Engine
from dockyard.engine.models import Check, Container, Row
from dockyard.errors import EngineUnreachableError
from dockyard.holds import hold
from dockyard.monitoring import gather, updates
from dockyard.monitoring.problems import Facts, ServiceFacts, find_problems
from dockyard.scan import alert_store
from dockyard.scan.alert import hashed
from dockyard.scan.alerts import observe
from dockyard.yard import Yard

IMAGE = "1ca4363cacf4" + "0" * 52
WEB = Container("1" * 64, "web", "running", IMAGE, image="ktools/web:live", started="2026-11-01T03:00:00+00:00")
CREATED = "2026-10-01T00:00:00Z"


class Host(Engine):
    """An engine with these containers; without any word of them, it does not answer."""

    def __init__(self, place: Path) -> None:
        super().__init__("docker", DOCKER)
        self.there: list[Container] | None = [WEB]
        self.words: list[str] = []
        self.__dict__["about"] = About(root=str(place))

    def containers(self, names: Iterable[str]) -> list[Container]:
        """Return those of these names."""
        if self.there is None:
            raise EngineUnreachableError("docker does not answer")
        wanted = set(names)
        return [one for one in self.there if one.name in wanted]

    def rows(self) -> list[Row]:
        """Return all in short."""
        return [Row(one.id, one.name, one.status, one.name, "prod") for one in self.there or ()]

    def inspect(self, kind: str, *names: str) -> list[Any]:
        """Return the images."""
        assert kind == "image"
        return [{"Id": name, "Created": CREATED} for name in names]

    def last_words(self, container: str, lines: int = 10) -> list[str]:
        """Return the end of the log."""
        assert container == "web"
        return self.words[-lines:]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host of the test's own, with one service that starts by itself."""
    for module in (history, updates, alert_store, dossier, holds):
        monkeypatch.setattr(module, "state_directory", lambda: tmp_path / "state")
    monkeypatch.setattr(lock, "directory", lambda: tmp_path / "locks")
    monkeypatch.setattr(gather, "enabled_units", list)
    monkeypatch.setenv("D_SRC_DIR", str(tmp_path / "src"))
    monkeypatch.setenv("DOCKER_VOL_BASE", str(tmp_path))
    monkeypatch.setenv("DOCKYARD_MAX_DISK_USE", "100")
    monkeypatch.delenv("D_SRC_DIR2", raising=False)
    set_up(tmp_path / "src", autostart=1)
    return Host(tmp_path)


def set_up(source: Path, **settings: object) -> None:
    """Write the service."""
    (source / "web").mkdir(parents=True, exist_ok=True)
    (source / "web/settings.yaml").write_text(json.dumps(settings), encoding="utf-8")


def facts(host: Host) -> Facts:
    """Return what there is to know."""
    return gather.gather(Yard().with_engine(host))


def service(host: Host) -> ServiceFacts:
    """Return what there is to know of the service."""
    (found,) = facts(host).services
    return found


def listed(host: Host) -> list[str]:
    """Return what `d check-all-up` prints."""
    return list(check_all_up(Yard().with_engine(host), notify=False).lines)


def test_all_is_well(host: Host) -> None:
    """The service is up, and nothing else is wrong."""
    assert listed(host) == ["all ok"]
    assert service(host).running == "ktools/web:live 1ca4363cacf4"


def test_service_that_is_down(host: Host) -> None:
    """It is reported with the line of its log that explains it; without a container there is none."""
    host.there = [WEB._replace(status="exited", exit_code=3)]
    host.words = ["starting", "FATAL: cannot reach db", "bye"]
    assert listed(host) == ["web: is not up (exited, exit code 3): FATAL: cannot reach db"]
    host.there, host.words = [], []
    assert listed(host) == ["web: is not up (no container)"]


def test_service_that_need_not_be_up(host: Host, tmp_path: Path) -> None:
    """Only if it is up, it should be healthy."""
    set_up(tmp_path / "src")
    host.there = [WEB._replace(status="exited")]
    assert listed(host) == ["all ok"]
    host.there = [WEB._replace(health="unhealthy", health_output="ok\nerror: lost the database")]
    assert listed(host) == ["web: is unhealthy: error: lost the database"]


def test_service_on_which_a_command_works(host: Host) -> None:
    """In the middle of an upgrade it may be down."""
    host.there = []
    with lock.held(host, "web"):
        assert service(host).is_busy
        assert listed(host) == ["all ok"]
    assert not service(host).is_busy


def test_health_that_takes_too_long(host: Host) -> None:
    """A container that has been starting for longer than its check's times come to is reported."""
    host.there = [WEB._replace(health="starting", check=Check(0, 1, 1, 3))]
    assert "did not become healthy within" in listed(host)[0]


def test_engine_that_does_not_answer(host: Host) -> None:
    """That is one problem, and no word of services."""
    host.there = None
    assert listed(host) == ["the engine: does not answer: docker does not answer"]


def test_update_that_failed(host: Host) -> None:
    """It is not `all ok`, though the old version runs; what runs is said."""
    history.record("web", "upgrade", "failed", reason="Test ended with exit code 1")
    history.record("gone", "upgrade", "failed", reason="of a service that is no more")
    assert listed(host) == ["web: its last update failed: Test ended with exit code 1"]
    (problem,) = find_problems(facts(host), 0).problems
    assert problem.running == "ktools/web:live 1ca4363cacf4"


def test_held_service(host: Host) -> None:
    """It is listed, and nothing is wrong with that: the exit code is 0."""
    hold("web", reason="until the audit")
    result = check_all_up(Yard().with_engine(host), notify=False)
    assert (list(result.lines), result.exit_code) == (["web: is not upgraded: held: until the audit"], 0)


def test_full_file_system(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A data volume that is mounted somewhere else counts too; a file system is reported once."""
    data = tmp_path / "elsewhere"
    data.mkdir()
    full = os.statvfs_result((4096, 4096, 1000, 0, 0, 100, 50, 50, 0, 255))
    monkeypatch.setattr(gather.os, "statvfs", lambda _path: full)
    host.there = [WEB._replace(mounts={"/data": str(data)})]
    assert listed(host) == [
        f"{tmp_path}: 100 % of the file system of data and images are used, 0 bytes are free",
    ]


def test_inodes_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system without inodes is full, however much space there is."""
    used = os.statvfs_result((4096, 4096, 1000, 900, 900, 100, 1, 1, 0, 255))
    monkeypatch.setattr(gather.os, "statvfs", lambda _path: used)
    assert gather._file_system(str(tmp_path), "data").used == 99  # noqa: SLF001


def test_drift_of_containers_that_exist(host: Host) -> None:
    """Alerts that are not acknowledged are listed; those of other containers are d-cowscan's to report."""
    found = {"path": "/x", "what": "new", "kind": "file", "severity": "high", "reason": "why", "detail": []}
    for name in ("web", "not-there"):
        observe(name, "1", [{**found, "fingerprint": hashed(name)}], 1, complete=True)
    assert listed(host) == ["web: 1 unexpected change, not acknowledged"]


def test_old_image(host: Host, tmp_path: Path) -> None:
    """Of a service with `max_age`, the date of its image is asked for."""
    assert service(host).image_created == 0
    set_up(tmp_path / "src", autostart=1, max_age=1)
    assert service(host)[-2:] == (1_790_812_800.0, 1)


def test_wrong_settings(host: Host, tmp_path: Path) -> None:
    """They are listed with their place; the line number is no part of the problem's key."""
    set_up(tmp_path / "src", memry="1g")
    (problem,) = facts(host).wrong_settings
    assert problem.subject.startswith(f"{tmp_path}/src/web/settings.yaml:1")
    assert problem.key.startswith(f"settings:{tmp_path}/src/web/settings.yaml:unknown")
