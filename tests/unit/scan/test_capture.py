"""What a container changed is kept before it is stopped or removed, and nothing of that stops a stop."""

import os
import tarfile
from pathlib import Path
from typing import Any

import pytest

from dockyard import dossier, telling
from dockyard.engine.dialect import DOCKER
from dockyard.engine.engine import Engine
from dockyard.engine.models import MODE_LABEL, SERVICE_LABEL, Container, IdMap
from dockyard.errors import EngineError
from dockyard.keeping import keep_changes
from dockyard.scan import acknowledging, alert_store, alerts, capture

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root reads layers without leaving a trace")


class Quiet(Engine):
    """An engine that maps no ids, and fails at whatever it is asked."""

    id_map = IdMap()

    def __init__(self) -> None:
        super().__init__("docker", DOCKER)

    def call(self, *argv: str, secrets: Any = None) -> str:  # noqa: ANN401, ARG002 - as the engine has it
        """Refuse."""
        raise EngineError(argv, 1, "refused")

    def containers(self, names: Any) -> list[Container]:  # noqa: ANN401 - as the engine has it
        """Refuse."""
        raise EngineError(("inspect", *names), 1, "refused")


@pytest.fixture(autouse=True)
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Keep state and rules in a directory of the test's own; returns what the user is told."""
    texts: list[str] = []
    monkeypatch.setattr(telling, "listener", texts.append)
    monkeypatch.setattr(alert_store, "state_directory", lambda: tmp_path / "state")
    monkeypatch.setattr(dossier, "state_directory", lambda: tmp_path / "state")
    monkeypatch.setenv("DOCKYARD_COWSCAN", str(tmp_path / "rules.yaml"))
    (tmp_path / "rules.yaml").write_text("- {path: /var/log/**, reason: logs}\n")
    return texts


@pytest.fixture
def web(tmp_path: Path) -> Container:
    """A stopped container that wrote a log, a configuration, a passing file and a program among passing files."""
    (tmp_path / "image/etc").mkdir(parents=True)
    (tmp_path / "image/tmp").mkdir()
    (tmp_path / "image/var/log").mkdir(parents=True)
    for name, mode in (("var/log/web", 0o644), ("etc/new", 0o644), ("tmp/note", 0o644), ("tmp/miner", 0o755)):
        path = tmp_path / "upper" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
        path.chmod(mode)
    labels = {SERVICE_LABEL: "web", MODE_LABEL: "prod"}
    layers = (str(tmp_path / "image"),)
    return Container("1" * 64, "web", "exited", "2" * 64, labels=labels, layer=str(tmp_path / "upper"), layers=layers)


def test_stop_leaves_alerts(web: Container, told: list[str]) -> None:
    """What d-cowscan tells is an alert, by the host's rules, and said once; the container is what it was."""
    capture.before_stop(Quiet(), [web])
    assert {alert.path for alert in acknowledging.raised()} == {"/etc/new", "/tmp/note", "/tmp/miner"}  # noqa: S108
    assert len(told) == 1
    assert "3 unexpected changes" in told[0]
    capture.before_stop(Quiet(), [web])
    assert len(told) == 1


def test_what_goes_is_kept(web: Container, tmp_path: Path) -> None:
    """Of a container that makes way: alerts in its service's name, and a tar without what passes, programs apart."""
    kept = keep_changes(Quiet(), web._replace(name="web.replaced"), tmp_path)
    assert kept.tar
    with tarfile.open(kept.tar) as tar:
        assert set(tar.getnames()) == {"CHANGES.json", "files/etc/new", "files/tmp/miner"}
    assert {alert.container for alert in acknowledging.raised()} == {"web"}


def test_its_successor_is_left_as_it_is_known(web: Container, tmp_path: Path) -> None:
    """What is known of the container that took its place is not gone."""
    row = {"path": "/x", "what": "new", "kind": "file", "severity": "low", "reason": "why", "fingerprint": "f"}
    alerts.observe("web", "3" * 64, [row], 1, complete=True)
    keep_changes(Quiet(), web, tmp_path)
    assert {alert.path: alert.gone for alert in acknowledging.raised()}["/x"] is None


def test_container_that_goes_with_its_stop_is_kept(web: Container, tmp_path: Path) -> None:
    """One that the engine removes at its end leaves a tar before it is stopped."""
    capture.before_stop(Quiet(), [web._replace(removed_at_end=True)])
    assert list((tmp_path / "state/services/web").glob("changes-*.tar"))


def test_nothing_stops_a_stop(web: Container, told: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Wrong rules, no layers, no time, an engine that refuses, a fault of our own: each is told, and none raised."""
    (tmp_path / "rules.yaml").write_text("no list")
    capture.before_stop(Quiet(), [web])
    assert "expected a list of rules" in told[0]
    capture.before_stop(Quiet(), [web._replace(layer="/nowhere")])
    assert "not fully scanned" in told[-1]
    with capture.looked_at(Quiet(), ["web"]):
        pass
    assert "refused" in told[-1]
    monkeypatch.setattr(capture, "PATIENCE", 0)
    capture.before_stop(Quiet(), [web])
    assert "timed out" in told[-1]
    monkeypatch.setattr(capture, "PATIENCE", 2)
    monkeypatch.setattr(capture, "scan", None)
    capture.before_stop(Quiet(), [web])
    assert "not scanned" in told[-1]


@pytest.mark.parametrize(("text", "is_saved"), [("", False), ("known_changes: false\n", True)])
def test_what_nginx_creates_at_its_start_is_not_saved(
    web: Container, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, is_saved: bool
) -> None:
    """An upgrade of nginx leaves no archive and no warning, unless the host file asks for it."""
    monkeypatch.setenv("DOCKYARD_HOST", str(tmp_path / "host.yaml"))
    (tmp_path / "host.yaml").write_text(text)
    (tmp_path / "image/var/lib/nginx").mkdir(parents=True)
    (tmp_path / "nginx/var/lib/nginx/body").mkdir(parents=True, mode=0o700)
    (tmp_path / "nginx/var/lib/nginx/proxy").mkdir(mode=0o700)
    (tmp_path / "nginx/var/lib/nginx/body/0000000001").write_text("a request")
    kept = keep_changes(Quiet(), web._replace(layer=str(tmp_path / "nginx")), tmp_path)
    assert (bool(kept.tar), bool(kept.lines("web"))) == (is_saved, is_saved)
