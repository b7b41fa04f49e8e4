"""When a host's tag may follow the services that build on it."""

from dockyard.registry.reference import parse_reference
from dockyard.updates.base import Base
from dockyard.updates.settling import plan_settling

TAG = "docker.io/library/debian:12"
NEW, NEWER = f"debian:12@sha256:{'1' * 64}", f"debian:12@sha256:{'2' * 64}"


def on(service: str, name: str = "debian:12", file: str = "Dockerfile") -> Base:
    """Return what a service is built on."""
    return Base(service, name, parse_reference(name), file)


def test_the_tag_moves_once_all_services_agree() -> None:
    """Then nothing is left to choose."""
    settled = plan_settling([on("web"), on("db")], {"web": {"debian:12": NEW}, "db": {"debian:12": NEW}})
    assert settled.tags == ((NEW, TAG),)
    assert settled.choices == {"web": {}, "db": {}}


def test_the_tag_stays_while_one_has_another_version() -> None:
    """That of the tag itself, or another one."""
    for others in ({}, {"debian:12": NEWER}):
        choices = {"web": {"debian:12": NEW}, "db": others}
        settled = plan_settling([on("web"), on("db")], choices)
        assert settled.tags == ()
        assert settled.choices == choices


def test_names_of_one_tag_count_as_one() -> None:
    """However each Dockerfile writes it; pins, and images that are not built on, do not count."""
    bases = [on("web"), on("db", "docker.io/library/debian:12"), on("cache", NEWER), on("image", file="settings.yaml")]
    chosen = {"web": {"debian:12": NEW}, "db": {"docker.io/library/debian:12": f"docker.io/library/{NEW}"}}
    assert plan_settling(bases, chosen).tags == ((NEW, TAG),)


def test_choices_of_what_is_gone_are_dropped() -> None:
    """Services, and images that a Dockerfile does not name any more."""
    choices = {"gone": {"debian:12": NEW}, "web": {"debian:11": NEW, "debian:12": NEW}, "db": {}}
    settled = plan_settling([on("web"), on("db")], choices)
    assert settled.choices == {"gone": {}, "web": {"debian:12": NEW}, "db": {}}
