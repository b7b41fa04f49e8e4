import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.plan.places import Places, is_within, normal, places_of
from dockyard.settings.values import Mode
from tests.unit.making import settings_of

TEST = Places("/rw/dv", "web", Mode.TEST, test_data=True)
PATHS = st.lists(st.sampled_from(["a", "b", "web", "TMP", ".root", "web@dev", "..a"]), max_size=4).map("/".join)


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("data", "/rw/dv/web/data"),
        ("./data//sub/", "/rw/dv/web/data/sub"),
        (".", "/rw/dv/web"),
        ("/srv/./a//b/", "/srv/a/b"),
        ("/", "/"),
        ("..data", "/rw/dv/web/..data"),
    ],
)
def test_a_relative_source_is_below_the_services_own_directory(source: str, path: str):
    assert TEST.source(source) == path


@pytest.mark.parametrize(
    ("source", "twin"),
    [
        ("/rw/dv/web/data", "/rw/dv/TMP/web/data"),
        ("/rw/dv/web", "/rw/dv/TMP/web"),
        ("/rw/dv/webmail/data", "/rw/dv/TMP/web/.root/rw/dv/webmail/data"),
        ("/rw/dv/TMP/web/data", "/rw/dv/TMP/web/.root/rw/dv/TMP/web/data"),
        ("/rw/dv", "/rw/dv/TMP/web/.root/rw/dv"),
        ("/srv/a", "/rw/dv/TMP/web/.root/srv/a"),
        ("/", "/rw/dv/TMP/web/.root/"),
    ],
)
def test_a_twin_is_one_to_one_with_its_source(source: str, twin: str):
    assert TEST.twin(source) == twin


@pytest.mark.parametrize(
    ("mode", "area"),
    [
        (Mode.TEST, "/rw/dv/TMP/web"),
        (Mode.DEV, "/rw/dv/TMP/web@dev"),
        (Mode.PROD, "/rw/dv/TMP/web@prod"),
        (Mode.IN_PLACE, "/rw/dv/TMP/web@in-place"),
    ],
)
def test_each_mode_has_an_area_of_its_own(mode: Mode, area: str):
    assert Places("/rw/dv", "web", mode, test_data=True).area.path == area


def test_what_an_overlay_needs_is_in_the_area_and_no_twin():
    assert TEST.layers(3) == "/rw/dv/TMP/web/.layers/3"


@pytest.mark.parametrize(
    ("mode", "asked", "has"),
    [(Mode.PROD, False, False), (Mode.PROD, True, True), (Mode.IN_PLACE, False, False), (Mode.DEV, False, True)],
)
def test_dev_and_test_always_have_test_data(mode: Mode, asked: bool, has: bool):
    places = places_of(settings_of(mode=mode, host="vol_base: /srv//dv/\n"), "web", test_data=asked)
    assert (places.test_data, places.base, places.own) == (has, "/srv/dv", "/srv/dv/web")


@pytest.mark.parametrize(
    ("path", "directory", "within"),
    [
        *(("/a", "/a", True), ("/a/b", "/a", True), ("/ab", "/a", False), ("/a", "/a/b", False), ("/a", "/", True)),
        *(("/", "/", True), ("/", "/a", False)),
    ],
)
def test_a_path_is_within_itself_and_what_is_above_it(path: str, directory: str, within: bool):
    assert is_within(path, directory) == within


@given(PATHS, PATHS)
def test_what_is_within_another_has_its_parts(one: str, other: str):
    first, second = normal(f"/{one}"), normal(f"/{other}")
    parts, above = ([part for part in path.split("/") if part] for path in (first, second))
    assert is_within(first, second) == (parts[: len(above)] == above)


@given(PATHS, st.sampled_from(list(Mode)))
def test_every_twin_is_in_the_area(path: str, mode: Mode):
    places = Places("/rw/dv", "web", mode, test_data=True)
    assert is_within(places.twin(normal(f"/{path}")), places.area.path)
