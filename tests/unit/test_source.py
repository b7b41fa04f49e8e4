"""The hash of what an image is made from."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dockyard.service import Service
from dockyard.source import recorded_bases, source_hash, what_changed


@pytest.fixture
def service(tmp_path: Path) -> Service:
    """A service with a file, a link and its control files."""
    directory = tmp_path / "web"
    (directory / "files/bin").mkdir(parents=True)
    (directory / "files/bin/serve").write_text("serve")
    (directory / "elsewhere").write_text("1")
    (directory / "files/link").symlink_to("../elsewhere")
    (directory / "Dockerfile").write_text("FROM a\nCOPY files /\n")
    (directory / ".dockerignore").write_text("ignored\n")
    for name in ("settings.yaml", "settings-b.yaml", "Test", "Test-prod", "Makefile", "autostart", "ignored"):
        (directory / name).write_text("")
    return Service(directory)


def hash_of(service: Service, *parameters: str, base: str = "1") -> str:
    """Return the hash with one base image."""
    return source_hash(service, parameters, {"a": base})


CHANGES: dict[str, Callable[[Path], object]] = {
    "a file": lambda place: (place / "files/bin/serve").write_text("changed"),
    "a mode": lambda place: (place / "files/bin/serve").chmod(0o755),
    "a new file": lambda place: (place / "files/new").touch(),
    "a name": lambda place: (place / "files/bin/serve").rename(place / "files/bin/served"),
    "what a link leads to": lambda place: (place / "elsewhere").write_text("2"),
    "the Dockerfile": lambda place: (place / "Dockerfile").write_text("FROM a\nCOPY files /\nUSER 1\n"),
    "Build": lambda place: (place / "Build").touch(),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_gets_into_the_image_counts(service: Service, change: Callable[[Path], object]) -> None:
    """Whatever changes the image changes the hash."""
    before = hash_of(service)
    change(service.directory)
    assert hash_of(service) != before


@pytest.mark.parametrize(
    "name", ["settings.yaml", "settings-b.yaml", "Test", "Test-prod", "Makefile", "autostart", "ignored"]
)
def test_how_it_is_run_and_tested_does_not_count(service: Service, name: str) -> None:
    """Control files and what is ignored are in no image; where the Dockerfile takes everything, control files are."""
    before = hash_of(service)
    (service.directory / name).write_text("changed")
    assert hash_of(service) == before
    (service.directory / "Dockerfile").write_text("FROM a\nCOPY . /\n")
    before = hash_of(service)
    (service.directory / name).write_text("changed again")
    assert (hash_of(service) == before) is (name == "ignored")


def test_base_and_parameters_count(service: Service) -> None:
    """Another image below, or other build parameters, make another image."""
    assert len({hash_of(service), hash_of(service, base="2"), hash_of(service, "--build-arg", "X=1")}) == 3
    assert hash_of(service) == hash_of(service)


@pytest.mark.parametrize(
    ("source", "base", "said"),
    [
        ("1", "2", "the base image a has changed"),
        ("2", "1", "the source has changed"),
        ("2", "2", "the source and the base image a have changed"),
    ],
)
def test_what_has_changed_is_named(service: Service, source: str, base: str, said: str) -> None:
    """The source, the image below by its name, or both."""
    before = hash_of(service, base="1")
    (service.directory / "files/bin/serve").write_text("serve" if source == "1" else "changed")
    found = what_changed(before, {"a": "1"}, {"a": base}, lambda bases: hash_of(service, base=bases["a"]))
    assert found == said


def test_an_image_without_a_record_of_its_base_may_be_on_another() -> None:
    """As all were that were built before there was one; an image on none has none."""
    assert what_changed("", {}, {"a": "1"}, lambda _: "") == "the source or a base image has changed"
    assert what_changed("", {}, {}, lambda _: "") == "the source has changed"


def test_the_record_of_bases_is_read_as_it_is_written() -> None:
    """Names may have a port, a digest or an equals sign."""
    assert recorded_bases("reg:5000/a=b@sha256:12=c debian:12=d") == {"reg:5000/a=b@sha256:12": "c", "debian:12": "d"}
    assert recorded_bases("") == {}
