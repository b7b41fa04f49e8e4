from collections.abc import Iterable

import pytest

from dockyard.engine.dialect import DOCKER, PODMAN, Dialect
from dockyard.engine.models import Image
from dockyard.errors import DockyardError, NoSuchNameError
from dockyard.plan.build import (
    ImageName,
    build_command,
    build_parameters,
    image_name,
    loading_flags,
    plan_promotion,
    plan_rollback,
    references,
    secret_names,
)
from dockyard.plan.values import Command
from tests.unit.making import settings_of

WEB = ImageName("ktools", "web")


def _images(**tags: str) -> dict[str, Image]:
    return {f"ktools/web:{tag}": Image(identifier) for tag, identifier in tags.items()}


def _tags(*pairs: tuple[str, str]) -> list[tuple[str, ...]]:
    return [("tag", identifier, f"ktools/web:{tag}") for tag, identifier in pairs]


def _argvs(commands: Iterable[Command]) -> list[tuple[str, ...]]:
    return [command.argv for command in commands]


@pytest.mark.parametrize(
    ("before", "tags"),
    [
        ({"latest": "b"}, [("live", "b")]),
        ({"latest": "b", "live": "a"}, [("prev", "a"), ("version-a", "a"), ("live", "b")]),
        ({"latest": "c", "live": "b", "prev": "a"}, [("prev", "b"), ("version-b", "b"), ("live", "c")]),
        ({"latest": "b", "live": "b", "prev": "a"}, []),
        ({"latest": "b", "live": "b"}, []),
    ],
)
def test_promoting_keeps_what_was_live_and_never_loses_the_way_back(
    before: dict[str, str], tags: list[tuple[str, str]]
):
    """Each tag is set to an image ID, those for a rollback first; promoting the same image again changes nothing."""
    assert _argvs(plan_promotion(WEB, _images(**before), Image(before["latest"])).commands) == _tags(*tags)


def test_promoting_tells_what_is_live_and_what_was():
    promotion = plan_promotion(WEB, _images(latest="b", live="a"), None)
    assert (promotion.live, promotion.previous) == ("b", "a")


def test_what_was_not_tested_is_not_promoted():
    with pytest.raises(DockyardError, match="ktools/web:latest is b, but a was tested: not promoted"):
        plan_promotion(WEB, _images(latest="b", live="a"), Image("a"))


def test_what_was_not_tested_is_not_promoted_though_it_is_live_already():
    with pytest.raises(DockyardError, match="not promoted"):
        plan_promotion(WEB, _images(latest="b", live="b"), Image("a"))


def test_nothing_built_nothing_promoted():
    with pytest.raises(NoSuchNameError, match="image ktools/web:latest does not exist"):
        plan_promotion(WEB, _images(live="a"), None)


@pytest.mark.parametrize(
    ("before", "tags"),
    [
        ({"live": "b", "prev": "a"}, [("live", "a"), ("prev", "b"), ("version-b", "b")]),
        ({"prev": "a"}, [("live", "a")]),
    ],
)
def test_rolling_back_swaps_live_and_previous(before: dict[str, str], tags: list[tuple[str, str]]):
    assert _argvs(plan_rollback(WEB, _images(**before)).commands) == _tags(*tags)


def test_rolling_back_further_makes_what_was_live_the_previous_one():
    """Afterwards, the requested image is live, not the previous one."""
    promotion = plan_rollback(WEB, _images(live="c", prev="b"), Image("a"))
    assert _argvs(promotion.commands) == _tags(("live", "a"), ("prev", "c"), ("version-c", "c"))
    assert (promotion.live, promotion.previous) == ("a", "c")


def test_there_is_nothing_to_roll_back_to_before_a_second_promotion():
    with pytest.raises(NoSuchNameError, match="image ktools/web:prev does not exist"):
        plan_rollback(WEB, _images(live="a"))


def test_the_tags_that_matter_are_three():
    assert references(WEB) == ("ktools/web:latest", "ktools/web:live", "ktools/web:prev")


@pytest.mark.parametrize(
    ("repository", "tagged", "in_registry"),
    [
        ("ktools", "ktools/web:live", False),
        ("", "web:live", False),
        ("registry.example.org:5000", "registry.example.org:5000/web:live", True),
        ("registry.example.org:5000/team", "registry.example.org:5000/team/web:live", True),
    ],
)
def test_a_repository_with_a_colon_is_a_registry(repository: str, tagged: str, in_registry: bool):
    name = ImageName(repository, "web")
    assert (name.tagged("live"), name.in_registry) == (tagged, in_registry)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "ktools/web"),
        ("image: www", "ktools/www"),
        ("image: docker.io/library/httpd", "ktools/web"),
        ("image: httpd:2.4", "ktools/web"),
        ("repo1: other", "other/web"),
        ("repo1:", "web"),
        ("repo1: other\nbuild_repo: mine", "mine/web"),
    ],
)
def test_what_is_built_is_named_by_the_settings(text: str, expected: str):
    """A full reference is another registry's image, which is never built here."""
    assert image_name("web", settings_of(text)).tagged("x") == f"{expected}:x"


def test_flags_name_what_is_built_before_the_settings():
    name = image_name("web", settings_of("image: www\nrepo1: other"), name="a", repository="b")
    assert name == ImageName("b", "a")


def test_the_build_writes_down_the_id_that_it_made():
    command = build_command("/context", "ktools/web:latest", "/id", ("--pull",), settings_of())
    assert command.argv == ("build", "--tag", "ktools/web:latest", "--iidfile", "/id", "--pull", "/context")


@pytest.mark.parametrize(
    ("written", "dialect", "volume"),
    [
        ("1", PODMAN, ("--volume", "/var/cache/dockyard/apk:/var/cache/apk")),
        ("/srv/apk", PODMAN, ("--volume", "/srv/apk:/var/cache/apk")),
        ("0", PODMAN, ()),
        ("1", DOCKER, ()),
    ],
)
def test_podman_builds_share_a_package_cache(written: str, dialect: Dialect, volume: tuple[str, ...]):
    settings = settings_of(
        environ={"DBUILD_PODMAN_SHARED_APK_CACHE": written, "DBUILD_PARAMS": "--pull --no-cache --label 'a=b c'"}
    )
    parameters = build_parameters(settings, dialect)
    assert parameters == (*dialect.build_flags, *volume, "--no-cache", "--label", "a=b c")


@pytest.mark.parametrize(
    "text",
    [
        "build_secrets: [token, npm=web/npmrc]",
        "build_secrets: {token: token, npm: web/npmrc}",
        "build_secrets: [{token: }, npm=web/npmrc]",
        "build_secrets:\n  - token=\n  - npm=web/npmrc",
    ],
)
def test_secrets_of_a_build_are_named_and_not_shown(text: str):
    """The engine gets IDs and variables; a dry run names the source of each value; the source hash has the names."""
    settings = settings_of(text)
    command = build_command("/context", "web:latest", "", (), settings)
    first, second = "id=token,env=DOCKYARD_BUILD_SECRET_1", "id=npm,env=DOCKYARD_BUILD_SECRET_2"
    assert command.argv == ("build", "--tag", "web:latest", "--secret", first, "--secret", second, "/context")
    assert command.shell("docker").startswith(
        'DOCKYARD_BUILD_SECRET_1="$(d-run --reveal secret:token)" '
        'DOCKYARD_BUILD_SECRET_2="$(d-run --reveal secret:web/npmrc)" docker build'
    )
    assert secret_names(settings) == ("secret token=token", "secret npm=web/npmrc")
    assert secret_names(settings_of()) == ()


@pytest.mark.parametrize(
    ("parameters", "builder", "flags"),
    [
        ((), "", ()),
        ((), "mine", ("--load",)),
        (("--builder", "mine"), "", ("--load",)),
        (("--builder=mine", "--pull"), "", ("--load",)),
        (("--builder=mine", "--push"), "", ()),
        (("--output=type=image",), "mine", ()),
        (("-o", "type=image"), "mine", ()),
    ],
)
def test_a_builder_by_name_hands_its_image_over(parameters: tuple[str, ...], builder: str, flags: tuple[str, ...]):
    """Unless the parameters set the output; podman has no such builders."""
    assert loading_flags(parameters, builder, DOCKER) == flags
    assert loading_flags(parameters, builder, PODMAN) == ()
