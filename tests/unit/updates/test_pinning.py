"""`d pin` without an engine: which digests are taken, which files change, and what is left alone."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from dockyard.cli.verbs.updates import pin
from dockyard.engine.dialect import DOCKER
from dockyard.engine.engine import Engine
from dockyard.engine.models import Image
from dockyard.errors import NoSuchNameError
from dockyard.yard import Yard
from tests.unit.registry.content import multi
from tests.unit.registry.servers import Server, Shelf, serve

A, B, C = (f"sha256:{letter * 64}" for letter in "abc")


Pinned = tuple[list[str], list[dict[str, object]], int]
"""Lines, rows and the exit code."""


class Having(Engine):
    """An engine that has some images."""

    def __init__(self, images: dict[str, Image]) -> None:
        super().__init__("/nonexistent/docker", DOCKER)
        self.there = images

    def images(self, references: Iterable[str]) -> dict[str, Image]:
        return {name: self.there[name] for name in references if name in self.there}


class Host:
    def __init__(self, place: Path) -> None:
        self.place = place
        self.images: dict[str, Image] = {"debian:12": Image("1", digests=(f"debian@{A}",))}

    def service(self, name: str, dockerfile: str = "", settings: str = "") -> Path:
        directory = self.place / name
        directory.mkdir(parents=True)
        for file, text in (("Dockerfile", dockerfile), ("settings.yaml", settings)):
            if text:
                (directory / file).write_text(text)
        return directory

    def pin(
        self, *names: str, refresh: bool = False, dry_run: bool = False
    ) -> tuple[list[str], list[dict[str, object]], int]:
        yard = Yard()
        yard.__dict__["engine"] = Having(self.images)
        result = pin(yard, names=list(names), refresh=refresh, dry_run=dry_run)
        return list(result.lines), result.data["pins"], result.exit_code


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    for name, place in (("HOME", "home"), ("DOCKER_VOL_BASE", "vol"), ("D_SRC_DIR", "src"), ("XDG_RUNTIME_DIR", "run")):
        monkeypatch.setenv(name, str(tmp_path / place))
    monkeypatch.delenv("DOCKYARD_HOST", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    return Host(tmp_path / "src")


@pytest.fixture
def registry() -> Iterable[tuple[Shelf, Server]]:
    shelf = Shelf()
    with serve(shelf) as server:
        yield shelf, server


def test_the_digest_of_the_engines_image_is_written(host: Host):
    web = host.service("web", "FROM debian:12\nRUN true\n")
    lines, rows, code = host.pin("web")
    assert lines == [f"src/web/Dockerfile:1: debian:12 is pinned to {A}, which the engine reports"]
    assert (web / "Dockerfile").read_text() == f"FROM debian:12@{A}\nRUN true\n"
    assert code == 0
    assert rows == [
        {
            "service": "web",
            "file": str(web / "Dockerfile"),
            "line": 1,
            "reference": "debian:12",
            "digest": A,
            "from": "engine",
            "error": "",
        }
    ]
    assert host.pin() == (["every base image is pinned"], [], 0)


def test_a_dry_run_shows_a_diff_and_changes_nothing(host: Host):
    web = host.service("web", "FROM debian:12\nRUN true\n")
    lines, rows, code = host.pin(dry_run=True)
    file = str(web / "Dockerfile")
    assert lines == [
        f"--- {file}",
        f"+++ {file}",
        "@@ -1,2 +1,2 @@",
        "-FROM debian:12",
        f"+FROM debian:12@{A}",
        " RUN true",
    ]
    assert (len(rows), code) == (1, 0)
    assert (web / "Dockerfile").read_text() == "FROM debian:12\nRUN true\n"


def test_without_a_name_all_services_are_pinned_and_with_names_only_those(host: Host):
    files = [host.service(name, "FROM debian:12\n") / "Dockerfile" for name in ("web", "mail", "dns")]
    host.pin("we", "mail", "web")
    assert [A in file.read_text() for file in files] == [True, True, False]
    host.pin()
    assert A in files[2].read_text()
    with pytest.raises(NoSuchNameError):
        host.pin("nothing")


def test_an_image_that_the_engine_lacks_is_asked_of_its_registry(host: Host, registry: tuple[Shelf, Server]):
    shelf, server = registry
    digest = shelf.add("team/base", "1", multi("one"))
    web = host.service("web", f"FROM {server.host}/team/base:1\n")
    lines, _, code = host.pin()
    assert lines == [
        f"src/web/Dockerfile:1: {server.host}/team/base:1 is pinned to {digest}, which the registry reports"
    ]
    assert (web / "Dockerfile").read_text() == f"FROM {server.host}/team/base:1@{digest}\n"
    assert code == 0


def test_refresh_asks_the_registry_although_the_engine_has_the_image(host: Host, registry: tuple[Shelf, Server]):
    shelf, server = registry
    digest = shelf.add("base", "1", multi("one"))
    name = f"{server.host}/base"
    host.images[f"{name}:1"] = Image("1", digests=(f"{name}@{A}",))
    web = host.service("web", f"FROM {name}:1\n")
    host.pin(dry_run=True)
    assert not server.requests
    host.pin(refresh=True)
    assert (web / "Dockerfile").read_text() == f"FROM {name}:1@{digest}\n"


def test_each_image_is_asked_for_once(host: Host, registry: tuple[Shelf, Server]):
    shelf, server = registry
    shelf.add("base", "1", multi("one"))
    for name in ("one", "two", "three"):
        host.service(name, f"FROM {server.host}/base:1\nCOPY --from={server.host}/base:1 / /\n")
    assert len(host.pin()[1]) == 6
    assert len(server.requests) == 1


def test_a_registry_that_does_not_know_an_image_stops_no_other(host: Host, registry: tuple[Shelf, Server]):
    _, server = registry
    web = host.service("web", f"FROM debian:12\nCOPY --from={server.host}/gone:1 / /\n")
    lines, rows, code = host.pin()
    assert code == 1
    assert lines[0].startswith("src/web/Dockerfile:1: debian:12 is pinned")
    assert lines[1].startswith(f"src/web/Dockerfile: {server.host}/gone:1 is not pinned: ")
    assert [row["digest"] for row in rows] == [A, ""]
    assert (web / "Dockerfile").read_text().startswith(f"FROM debian:12@{A}\n")


def test_what_cannot_be_pinned_says_why(host: Host):
    host.service("web", "ARG V=12\nFROM debian:${V}\nARG V\n")
    lines, _, code = host.pin()
    assert (lines, code) == (["src/web/Dockerfile:2: debian:12 is not pinned: line 3 also uses ARG V"], 1)


@pytest.mark.parametrize(
    "reference",
    ["ktools/base:live", "ktools/other", "docker.io/ktools/base", "private/thing:1", "localhost/ktools/thing"],
)
def test_images_that_are_built_here_are_never_pinned(host: Host, reference: str):
    host.service("base", "FROM scratch\n")
    host.service("web", f"FROM {reference}\n", "repo2: private\n")
    assert host.pin() == (["every base image is pinned"], [], 0)


def test_the_image_of_settings_is_pinned_too(host: Host):
    web = host.service("web", "", "image: debian:12  # for now\nname: web\n")
    lines, _, _ = host.pin()
    assert lines == [f"src/web/settings.yaml:1: debian:12 is pinned to {A}, which the engine reports"]
    assert (web / "settings.yaml").read_text() == f"image: debian:12@{A}  # for now\nname: web\n"


@pytest.mark.parametrize(
    "settings", ["image: web\n", "image: ktools/web:live\n", f"image: debian:12@{B}\n", "name: web\n"]
)
def test_an_image_that_is_ours_or_pinned_stays(host: Host, settings: str):
    web = host.service("web", "", settings)
    assert host.pin()[0] == ["every base image is pinned"]
    assert (web / "settings.yaml").read_text() == settings


@pytest.mark.parametrize(
    ("digests", "manifest", "chosen"),
    [
        ((f"debian@{A}", f"docker.io/library/debian@{B}"), B, A),
        ((f"docker.io/library/debian@{B}", f"docker.io/library/debian@{A}"), B, A),
        ((f"debian@{A}",), A, A),
        ((f"example.org/debian@{C}", f"debian@{A}"), "", A),
    ],
)
def test_of_several_digests_that_of_the_index_is_taken(
    host: Host, digests: tuple[str, ...], manifest: str, chosen: str
):
    host.images["debian:12"] = Image("1", digests=digests, manifest_digest=manifest)
    host.service("web", "FROM debian:12\n")
    assert host.pin()[1][0]["digest"] == chosen


def test_of_several_indexes_the_registry_says_which(host: Host, registry: tuple[Shelf, Server]):
    shelf, server = registry
    digest = shelf.add("base", "1", multi("one"))
    name = f"{server.host}/base"
    host.images[f"{name}:1"] = Image("1", digests=(f"{name}@{A}", f"{name}@{digest}", f"{name}@{B}"), manifest_digest=B)
    host.service("web", f"FROM {name}:1\n")
    (row,) = host.pin()[1]
    assert (row["digest"], row["from"]) == (digest, "registry")


def test_a_link_is_refused_and_stops_no_other_service(host: Host):
    mail = host.service("mail", "FROM debian:12\n")
    web = host.service("web", "FROM debian:12\n")
    (web / "Dockerfile").rename(web / "other")
    (web / "Dockerfile").symlink_to("other")
    lines, _, code = host.pin()
    assert lines[1:] == [f"web: {web}/Dockerfile is a symbolic link"]
    assert code == 1
    assert (web / "other").read_text() == "FROM debian:12\n"
    assert A in (mail / "Dockerfile").read_text()


def test_settings_that_are_wrong_stop_no_other_service(host: Host):
    host.service("mail", "FROM debian:12\n", "nmae: mail\n")
    web = host.service("web", "FROM debian:12\n")
    lines, _, code = host.pin()
    assert lines[0].startswith("mail: src/mail/settings.yaml:1:1: unknown key `nmae`")
    assert code == 1
    assert A in (web / "Dockerfile").read_text()
