"""Ranges and patterns: what `track` may say."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.updates.tag_pattern import PatternError, TagPattern
from dockyard.updates.track import TrackError, parse_track
from dockyard.updates.version import parse_version


def _includes(text: str, tag: str) -> bool:
    version = parse_version(tag)
    assert version
    return parse_track(text).includes(version, version)


@pytest.mark.parametrize(
    ("text", "within", "outside"),
    [
        ("^16", ["16", "16.0", "16.99"], ["15.9", "17", "17.0"]),
        ("^16.2", ["16.2", "16.10.1"], ["16.1", "16", "17.0"]),
        ("^v1.2", ["v1.2.0", "v1.3"], ["v2.0"]),
        ("^0.5", ["0.5.0", "0.5.9"], ["0.6.0", "1.0.0"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4"]),
        ("^0", ["0.5"], ["1.0"]),
        ("~3.12", ["3.12", "3.12.7"], ["3.11.9", "3.13.0"]),
        ("~3.12.4", ["3.12.4", "3.12.7"], ["3.12.3", "3.13.0"]),
        ("~3", ["3.0", "3.9"], ["4.0"]),
        (">=1.2 <2", ["1.2", "1.9.9"], ["1.1", "2.0", "2"]),
        (">=1.2, <=2", ["2.0"], ["2.0.1"]),
        ("> 1.2", ["1.3"], ["1.2", "1.2.0"]),
        ("=1.2", ["1.2", "1.2.0"], ["1.2.1"]),
        ("*", ["0", "99.9"], []),
        ("", [], ["1"]),
        ("tag", [], ["1"]),
        (r"/^16\.\d+-bookworm$/", ["16.4-bookworm"], ["16-bookworm", "16.4-bookworm-slim", "116.4-bookworm"]),
        (r"/16\.\d+/", ["16.4"], ["16.4-alpine"]),
        ("^2026.11", ["2026.11.2", "2026.12.0"], ["2026.10.9", "2027.1.0"]),
    ],
)
def test_a_range_includes_what_it_says(text: str, within: list[str], outside: list[str]):
    assert [tag for tag in [*within, *outside] if _includes(text, tag)] == within


@pytest.mark.parametrize(
    "text",
    ["16", "latest", "^", "^x", "~", ">=", ">=1 || <2", "/", "//", "/16", "/(/", "/a**/", "/[/", "/a{99}/", "^1.2.x"],
)
def test_what_is_no_range_is_refused(text: str):
    with pytest.raises(TrackError):
        parse_track(text)


@pytest.mark.parametrize("text", [r"(\d+)*x", "(a|aa)+$", "((a+)+)+", "(a{1,20}){1,20}b", "a.*a.*a.*a.*a.*a.*b"])
def test_a_pattern_that_could_take_for_ever_does_not(text: str):
    assert not TagPattern(text).is_match("a" * 127 + "c")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("(a", r"`\)` is missing"),
        ("a)", r"`\)` is not expected"),
        ("*a", "nothing to repeat"),
        ("a+?", "cannot be repeated"),
        ("(?=a)", r"cannot begin with `\?`"),
        (r"\bx", "means nothing here"),
        (r"(a)\1", "means nothing here"),
        ("a^b", "at the beginning or the end"),
        ("[z-a]", "is not a range"),
        ("a{x}", "number of repeats"),
        ("a{3,1}", "number of repeats"),
        ("(((a{20}){20}){20}){20}", "repeats too much"),
        ("a" * 201, "more than 200 characters"),
        ("a\\", "means nothing here"),
    ],
)
def test_a_pattern_says_what_is_wrong_with_it(text: str, why: str):
    with pytest.raises(PatternError, match=why):
        TagPattern(text)


_ATOMS = st.sampled_from(["a", "1", ".", r"\.", r"\d", r"\w", "[a-c]", "[^a]", "[-.]"])
_PATTERNS = st.recursive(
    _ATOMS,
    lambda inner: (
        st.builds("({})".format, inner)
        | st.builds("({}|{})".format, inner, inner)
        | st.builds("{}{}".format, inner, inner)
        | st.builds("({}){}".format, inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{2,}", "{0,2}"]))
    ),
    max_leaves=6,
)


@given(_PATTERNS, st.text("ab1.-", max_size=6))
def test_a_pattern_matches_what_python_says(pattern: str, tag: str):
    assert TagPattern(pattern).is_match(tag) == bool(re.fullmatch(pattern, tag, re.ASCII))
