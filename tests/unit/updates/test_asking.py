"""What is taken over from registries, and remembered."""

from typing import Any

import pytest

from dockyard.errors import RegistryError
from dockyard.registry.manifest import ImageDetails, RemoteImage
from dockyard.registry.reference import Reference, parse_reference
from dockyard.updates.asking import ask_lists, ask_tags, remember
from dockyard.updates.base import DOCKERFILE, Base
from dockyard.updates.sightings import Memory, Sighting

NOW = 1_000_000.0
OLD, NEW = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
NOTHING = Memory()
KEY = "docker.io/library/debian:12"


class Registry:
    """A registry in which every tag names one image; it counts what it is asked."""

    def __init__(self, labels: dict[str, str] | None = None, error: RegistryError | None = None) -> None:
        self.labels, self.error = labels or {}, error
        self.asked: list[str] = []

    def resolve(self, reference: Reference) -> RemoteImage:
        """Return the new image."""
        self.asked.append(f"resolve {reference}")
        if self.error:
            raise self.error
        return RemoteImage(NEW)

    def details(self, reference: Reference) -> ImageDetails:
        """Return what it says of itself."""
        self.asked.append(f"details {reference.name}")
        return ImageDetails("sha256:config", "sha256:platform", self.labels, "")

    def tags(self, reference: Reference) -> tuple[str, ...]:
        """Return two tags."""
        self.asked.append(f"tags {reference.name}")
        return ("12", "13")


def base(service: str = "web") -> Base:
    """Return what a service is built on."""
    return Base(service, "debian:12", parse_reference("debian:12"), DOCKERFILE, frozenset({OLD}), OLD)


def ask(registry: Any, memory: Memory = NOTHING, *bases: Base) -> Memory:  # noqa: ANN401 - a stand-in
    """Return what is known after one question."""
    every = bases or (base(),)
    answers = ask_tags(registry, every, memory, NOW)
    return remember(memory, answers, NOW, {one.key: one.digest for one in every})


def test_each_tag_is_asked_for_once_however_many_services_build_on_it() -> None:
    """Its details only if it names something new."""
    registry = Registry()
    known = ask(registry, Memory(), base("web"), base("db"), base("app"))
    assert registry.asked == ["resolve debian:12", "details debian"]
    ask(registry, known, base("web"))
    assert registry.asked == ["resolve debian:12", "details debian", "resolve debian:12"]


def test_what_a_service_is_built_on_is_older_than_what_the_tag_names_at_first() -> None:
    """So that of images that are published each night one becomes old enough."""
    history = ask(Registry()).tags[KEY]
    assert [one.digest for one in history.sightings] == [OLD, NEW]
    assert history.newest == Sighting(NEW, NOW, "sha256:platform", "sha256:config")


@pytest.mark.parametrize(
    ("labels", "version", "source"),
    [
        ({"version": "16.4", "source": "https://example.com/x"}, "16.4", "https://example.com/x"),
        ({"version": "16.4\nSigned-off-by: x", "source": "https://example.com/a b"}, "", ""),
        ({"version": "\x1b[2J", "source": "file:///etc/passwd"}, "", ""),
        ({"version": "1\0", "source": "https://example.com/\x1b[31m"}, "", ""),
    ],
)
def test_labels_of_others_are_a_version_and_an_address_or_nothing(
    labels: dict[str, str], version: str, source: str
) -> None:
    """They end up in commits and messages."""
    given = {f"org.opencontainers.image.{name}": text for name, text in labels.items()}
    newest = ask(Registry(given)).tags[KEY].newest
    assert newest
    assert (newest.version, newest.source) == (version, source)


def test_a_registry_that_limits_requests_is_left_alone_until_it_says() -> None:
    """What was known before stays, and the reason is one line."""
    limit = RegistryError("docker.io limits requests", host="docker.io", kind="limited", until=NOW + 60)
    answers = ask_tags(Registry(error=limit), [base()], Memory(), NOW)  # type: ignore[arg-type]
    assert answers.problems == {KEY: "docker.io limits requests"}
    memory = remember(Memory(), answers, NOW)
    assert memory.limited == {"docker.io": NOW + 60}
    registry: Any = Registry()
    assert ask_tags(registry, [base()], memory, NOW + 30).sightings == {}
    assert ask_lists(registry, [base()], memory, NOW + 30).lists == {}
    assert registry.asked == []
    assert remember(memory, ask_tags(registry, [base()], memory, NOW + 61), NOW + 61).limited == {}


def test_lists_of_tags_are_asked_for_once_a_repository() -> None:
    """And each tag is remembered since then."""
    registry: Any = Registry()
    answers = ask_lists(registry, [base("web"), base("db")], Memory(), NOW)
    assert registry.asked == ["tags debian"]
    assert remember(Memory(), answers, NOW).lists["docker.io/library/debian"].first_seen == {"12": NOW, "13": NOW}
