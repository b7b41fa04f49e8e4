"""Properties of mounts beyond the golden cases: where links are allowed, and which paths are inspected."""

import pytest

from dockyard.engine.dialect import DOCKER
from dockyard.engine.models import Image
from dockyard.plan.facts import Facts, HostFacts, PathFact
from dockyard.plan.launch import LaunchOptions, plan_launch, questions
from dockyard.plan.values import MakeDirectory, MakeFile
from dockyard.settings.values import Mode
from tests.unit.making import plan_of, settings_of

MADE = """
mount_rw: [data: /data, data/sub/new: /new, /srv/shared: /shared, top: /top]
mount_ro: [other/new: /other]
vols: [data/sub/file, /srv/shared/made, {path: data/conf, contents: x}, volume]
"""
THERE = {"/rw/dv/web/data", "/srv/shared", "/rw/dv/web/other"}


def _strict(text: str, mode: Mode) -> dict[str, str]:
    """Return for each created path the directory below which there must be no link."""
    plan = plan_of(settings_of(text, mode), existing=THERE)
    return {step.path: step.strict for step in plan.steps if isinstance(step, MakeDirectory | MakeFile)}


def test_in_production_nothing_is_made_through_a_link_that_a_container_can_plant():
    """The administrator's links, above the directories that containers write to, are followed."""
    assert _strict(MADE, Mode.PROD) == {
        "/rw/dv/web/data/conf": "/rw/dv/web/data",
        "/rw/dv/web/data/sub/file": "/rw/dv/web/data",
        "/rw/dv/web/data/sub/new": "/rw/dv/web/data",
        "/rw/dv/web/other/new": "/rw/dv/web/other",
        "/rw/dv/web/top": "",
        "/rw/dv/web/volume": "",
        "/srv/shared/made": "/srv/shared",
    }


def test_who_can_write_to_it_all_can_plant_links_everywhere():
    text = f"{MADE}mount_persistent: [.: /all]\n"
    strict = _strict(text, Mode.PROD)
    assert {strict[f"/rw/dv/web/{path}"] for path in ("top", "volume", "other/new", "data/conf")} == {"/rw/dv/web"}


def test_what_a_pattern_mounts_can_be_written_to_like_any_other():
    loaded = settings_of("mount_rw: ['/srv/*': /all/]\nvols: [/srv/a/made, /srv/made]")
    facts = Facts(
        DOCKER,
        HostFacts("harbour"),
        images={"ktools/web:live": Image("1" * 64)},
        paths={"/srv/a": PathFact("directory", 0, 0, 0o755, "/srv/a")},
        matches={"/srv/*": ("/srv/a",)},
    )
    steps = plan_launch("web", loaded, facts, LaunchOptions()).steps
    made = {step.path: step.strict for step in steps if isinstance(step, MakeDirectory)}
    assert made == {"/srv/a/made": "/srv/a", "/srv/made": ""}


@pytest.mark.parametrize("mode", [Mode.DEV, Mode.TEST])
def test_under_test_no_link_is_followed_below_the_base(mode: Mode):
    assert set(_strict(MADE, mode).values()) == {"/rw/dv"}


@pytest.mark.parametrize(
    ("source", "looked_at"),
    [
        ("data", ["/rw/dv/web/data"]),
        ("data/sub/deep", ["/rw/dv/web/data/sub/deep", "/rw/dv/web/data"]),
        (".", ["/rw/dv/web"]),
        ("/rw/dv", ["/rw/dv"]),  # no directory of a service's, and nothing in it
        ("/rw", ["/rw"]),
        ("/", ["/"]),
        ("/rw/dv/mail/data/sub", ["/rw/dv/mail/data/sub", "/rw/dv/mail/data"]),
        ("/srv/a/b/c", ["/srv/a/b/c"]),
    ],
)
def test_what_is_looked_at_is_the_source_and_where_containers_begin_to_write(source: str, looked_at: list[str]):
    loaded = settings_of(f"mount_ro: ['{source}': /x]")
    assert list(questions("web", loaded, LaunchOptions(), DOCKER, "harbour").paths) == looked_at


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("", False),
        ("user: www", False),
        ("mount_ro: [a: /a]", True),
        ("vols: [a]", True),
        ("mount_test_only: [a: /a]", False),
    ],
)
def test_ids_are_asked_for_where_something_is_mounted_or_made(text: str, asks: bool):
    assert questions("web", settings_of(text), LaunchOptions(), DOCKER, "harbour").ids == asks


def test_what_is_copied_is_asked_for_under_test_alone():
    text = "mount_persistent_test_copy: [a: /a, 'b*': /b/]\nmount_rw: [c: /c]\nmount_persistent_test_ro: [d: /d]"
    asked = {mode: questions("web", settings_of(text, mode), LaunchOptions(), DOCKER, "h").copied for mode in Mode}
    copied = ("/rw/dv/web/a", "/rw/dv/web/b*")
    assert asked == {Mode.PROD: (), Mode.IN_PLACE: (), Mode.DEV: copied, Mode.TEST: copied}


@pytest.mark.parametrize(
    ("mode", "shared"), [(Mode.PROD, ()), (Mode.DEV, ("/srv/shared",)), (Mode.TEST, ("/srv/shared",))]
)
def test_what_is_shared_on_purpose_is_known_and_what_is_not_there_is_not_shared(mode: Mode, shared: tuple[str, ...]):
    text = "mount_persistent: [/srv/shared: /a]\nmount_test_only: [/srv/shared: /b]\nmount_rw: [data: /d]"
    assert plan_of(settings_of(text, mode), existing=THERE).shared == shared
    assert plan_of(settings_of("mount_persistent: [x: /x]", mode), existing=THERE).shared == ()


def test_an_area_is_there_only_where_something_is_made_in_it():
    plans = {
        text: plan_of(settings_of(text, Mode.TEST), existing=THERE) for text in ("mount_ro: [data: /d]", "vols: [a]")
    }
    assert [plan.area and plan.area.path for plan in plans.values()] == [None, "/rw/dv/TMP/web"]
