"""Versions in tags: what a tag says, which tags compare, and which is newest."""

from itertools import pairwise

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dockyard.updates.track import parse_track
from dockyard.updates.version import Newest, Version, change_kind, is_same_family, newer_versions, newest, parse_version
from tests.unit.making import GOLDEN

TABLE = yaml.safe_load((GOLDEN / "tags.yaml").read_text(encoding="utf-8"))
CASES: list[dict[str, str]] = TABLE["cases"]


def _parse(tag: str) -> Version:
    version = parse_version(tag)
    assert version, tag
    return version


def _tags(found: Newest) -> tuple[str, str]:
    return (found.tracked.tag if found.tracked else "", found.beyond.tag if found.beyond else "")


def test_the_table_is_as_long_as_it_must_be():
    assert len(CASES) >= 80


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['image']}:{case['current']} {case['track']}")
def test_the_newest_of_a_repository_is_found(case: dict[str, str]):
    found = newest(_parse(case["current"]), case.get("tags", "").split(), parse_track(case["track"]))
    assert _tags(found) == (case.get("tracked", ""), case.get("beyond", ""))


@pytest.mark.parametrize("tag", TABLE["no_versions"].split())
def test_a_tag_that_names_no_version_has_none(tag: str):
    assert parse_version(tag) is None


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ("16", "17", "major"),
        ("16.4", "16.5", "minor"),
        ("16.4", "17.0", "major"),
        ("1.2.3", "1.2.4", "patch"),
        ("1.2.3", "1.3.0", "minor"),
        ("4.0.10.2544-ls254", "4.0.10.2545-ls255", "patch"),
        ("1.2.3-ls45", "1.2.3-ls46", "patch"),
        ("3.13.0rc1", "3.13.0rc2", "patch"),
        ("3.13.0rc2", "3.13.0", "patch"),
        ("2026.11.2", "2026.11.3", "patch"),
        ("2026.11.2", "2026.12.0", "minor"),
        ("2026.11.2", "2027.1.0", "minor"),
        ("2026-11-29", "2027-01-02", "patch"),
        ("bookworm-20241016-slim", "bookworm-20241111-slim", "patch"),
        ("21.0.4_7-jdk", "21.0.5_11-jdk", "patch"),
    ],
)
def test_the_kind_of_a_change_is_that_of_the_first_number_that_differs(before: str, after: str, kind: str):
    assert change_kind(_parse(before), _parse(after)) == kind


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("16.4", "v16.4"),
        ("16.4", "16.4-alpine"),
        ("16.4-alpine", "16.4-alpine3.20"),
        ("16.4-alpine3.20", "16.5-alpine3.21"),
        ("16", "16.4"),
        ("2026.11.2", "1.11.2"),
        ("20261129", "2026-11-29"),
        ("17rc1", "17"),
        ("1.22-nightly", "1.22"),
        ("bookworm-20261118", "trixie-20261118"),
        ("amd64-1.2.3", "arm64v8-1.2.3"),
    ],
)
def test_tags_of_different_families_do_not_compare(one: str, other: str):
    assert not is_same_family(_parse(one), _parse(other))


@pytest.mark.parametrize("text", ["16.4", "1.2.3-ls45", "16.4.0-debian-12-r5", "9.4-20241023", "2026.11.2"])
def test_a_version_is_of_its_own_family(text: str):
    assert is_same_family(_parse(text), _parse(text))


_NUMBERS = st.lists(st.integers(0, 40), min_size=3, max_size=3).map(lambda found: ".".join(map(str, found)))
_MARKS = st.sampled_from(["", "", "", "rc1", "-rc.2", "-beta.1"])
_SUFFIXES = st.sampled_from(["", "", "-alpine3.20", "-alpine3.21", "-slim", "-ls4", "-ls5"])
TAGS = st.builds("{}{}{}".format, _NUMBERS, _MARKS, _SUFFIXES)
TRACKS = st.sampled_from(["*", "tag", "^3", "~3.4", "^0.3", ">=1.2 <20", r"/\d+\.\d+\.\d+(-alpine3\.\d+)?/"])


@given(st.lists(TAGS, min_size=1))
def test_the_versions_of_a_family_are_in_one_order(tags: list[str]):
    ordered = sorted(map(_parse, set(tags)), key=lambda version: version.order)
    for before, after in pairwise(ordered):
        assert before.order < after.order
        if before.numbers != after.numbers:
            assert before.numbers < after.numbers


@given(TAGS, st.lists(TAGS), TRACKS)
def test_the_newest_is_in_range_and_newer_and_stays(current: str, tags: list[str], range_: str):
    track, version = parse_track(range_), _parse(current)
    found = newest(version, [*tags, current], track)
    followed = newer_versions(version, [*tags, current], track)
    assert found.tracked == (followed[-1] if followed else None)
    assert all(before.order < after.order for before, after in pairwise(followed))
    for one in filter(None, found):
        assert one.tag in tags
        assert one.order[:-1] > version.order[:-1]
        assert one.pre_release is None or version.pre_release
        assert one.family == version.family
    if found.tracked:
        assert track.includes(version, found.tracked)
        assert newest(found.tracked, tags, track).tracked is None
    if found.beyond:
        assert not track.includes(version, found.beyond)
        assert not found.tracked or found.beyond.order > found.tracked.order


@given(st.text(st.characters(codec="ascii"), max_size=140) | st.text(max_size=20))
def test_any_text_is_a_version_or_none(text: str):
    version = parse_version(text)
    assert version is None or (version.numbers and parse_version(version.tag) == version)
