"""Hosts to check: services copied from tests/golden/check, or the examples, and an engine that answers, or does not."""

import os
import shutil
import socket
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from dockyard import history
from dockyard.check import host_facts
from dockyard.engine.about import About
from dockyard.engine.dialect import DOCKER, Dialect
from dockyard.engine.engine import Engine
from dockyard.engine.models import SERVICE_LABEL, Container, IdMap, Image, Network, Row
from dockyard.errors import EngineUnreachableError
from dockyard.yard import Yard
from tests.unit.making import GOLDEN

EMPTY = (str(GOLDEN / "check"),)  # a layer without any accounts
SECRET = "GITHUB_TOKEN=ghp_" + "a" * 36
IMAGES = {
    "good:1": Image("1" * 64, user="54321", is_checked=True, layers=EMPTY),
    "plain:1": Image("2" * 64, user="54321", layers=EMPTY),
    "leaky:1": Image(
        "3" * 64, user="54321", is_checked=True, environment=(SECRET,), exposed=frozenset({"22/tcp"}), layers=EMPTY
    ),
}
NETWORKS = {
    **{name: Network(name, "bridge") for name in ("bridge", "fleet")},
    "open": Network("open", "bridge", is_unprotected=True),
}


class Answering(Engine):
    """An engine that has a few images and networks, and counts its questions."""

    def __init__(self, dialect: Dialect = DOCKER, ids: IdMap | None = None, about: About = About()) -> None:  # noqa: B008 - a tuple
        super().__init__("/nonexistent/docker", dialect)
        self.__dict__["about"] = about
        self.asked: list[str] = []
        self.containers_there: list[Row] = []
        self.__dict__["id_map"] = ids or IdMap()

    def images(self, references: Iterable[str]) -> dict[str, Image]:
        self.asked.append("images")
        return {name: IMAGES[name] for name in references if name in IMAGES}

    def rows(self) -> list[Row]:
        return self.containers_there

    def containers(self, names: Iterable[str]) -> list[Container]:
        return [Container(name, name, "running", "1", labels={SERVICE_LABEL: name}) for name in names]

    def networks(self, names: Iterable[str]) -> dict[str, Network]:
        self.asked.append("networks")
        return {name: NETWORKS[name] for name in names if name in NETWORKS}


class Silent(Engine):
    """An engine that does not answer."""

    def __init__(self) -> None:
        super().__init__("/nonexistent/docker", DOCKER)

    def images(self, references: Iterable[str]) -> dict[str, Image]:  # noqa: ARG002 - as an engine has it
        raise EngineUnreachableError("docker does not answer")


Making = Callable[..., Yard]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Making:
    """Return what makes a yard of a directory of services, copied, or of nothing but what the test writes."""
    for name in [name for name in os.environ if name.startswith(("D_", "DOCKER", "KTOOLS", "DBUILD", "DOCKYARD"))]:
        monkeypatch.delenv(name)
    for name, place in (("HOME", "home"), ("DOCKER_VOL_BASE", "vol"), ("D_SRC_DIR", "src")):
        monkeypatch.setenv(name, str(tmp_path / place))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(host_facts, "default_open_files", lambda _: None)  # nothing of the host that tests run on
    monkeypatch.setattr(host_facts, "_daemon_environment", lambda _: {})
    monkeypatch.setattr(history, "state_directory", lambda: tmp_path / "state")
    (tmp_path / "vol").mkdir()

    def make(source: Path | None = None, engine: Engine | None = None) -> Yard:
        if source:
            shutil.copytree(source, tmp_path / "src", dirs_exist_ok=True, ignore=shutil.ignore_patterns("rootfs"))
            for path in (tmp_path / "src").rglob("settings.yaml"):
                text = path.read_text(encoding="utf-8")
                path.write_text(text.replace("@here@", str(tmp_path)).replace("@vol@", str(tmp_path / "vol")))
        (tmp_path / "src").mkdir(exist_ok=True)
        yard = Yard()
        yard.__dict__["engine"] = engine or Answering()
        return yard

    return make


@pytest.fixture
def wrong(tmp_path: Path, host: Making, monkeypatch: pytest.MonkeyPatch) -> Yard:
    """The services that are wrong on purpose, with the directories that they mount, on a host with tight limits."""
    monkeypatch.setattr(host_facts, "default_open_files", lambda _: 1024)
    for name, mode in (("open", 0o777), ("closed", 0o755), ("mine", 0o700)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    for path in ("data-one/data", "shares-with-its-tests/data"):
        (tmp_path / "vol" / path).mkdir(parents=True)
        (tmp_path / "vol" / path).chmod(0o1777)
    for _ in range(3):
        history.record("slow-to-stop", "upgrade", "ok", stop_ms=10250)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "docker.sock"))
    return host(GOLDEN / "check/wrong")
