"""Which paths a rule's pattern covers: as in .gitignore, but only the path itself without a `/` at the end."""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pathspec import GitIgnoreSpec

from dockyard.settings.rule_pattern import PatternError, literal, read

CASES = [
    ("/a/b", "/a/b", True),
    ("/a/b", "/a/b/c", False),
    ("/a/b", "/a/b\n", False),
    ("/a/b", "/a/B", False),
    ("/a/b", "/x/a/b", False),
    ("/a/*.log", "/a/.log", True),
    ("/a/*.log", "/a/x.log\n", False),
    ("/a/*.log", "/a/x\ny.log", True),
    ("/a/*.log", "/a/x/y.log", False),
    ("/a/*", "/a/.hidden", True),
    ("/a/*b*c", "/a/xbxbxc", True),
    ("/a/*b*c", "/a/xcxbx", False),
    ("/var/log/", "/var/log/a/b\n", True),
    ("/var/log/", "/var/log", False),
    ("/var/log/", "/var/log2/x", False),
    ("/var/log/**", "/var/log/a/b", True),
    ("/a/**/b", "/a/b", True),
    ("/a/**/b", "/a/x/b/y/b", True),
    ("/a/**/b", "/a/x/b/y", False),
    ("/a/**/b", "/a/x\ny/b", True),
    ("/a/**/b/*/c/**/d", "/a/b/b/c/c/d", True),
    ("/a/**/b/", "/a/x/b/y", True),
    ("/**/x", "/x", True),
    ("/**/x", "/a/xx", False),
    ("/a?", "/a\udcff", True),
    (r"/a\xff", "/a\udcff", True),
    (r"/a\xc3\xa9", "/aé", True),
    (r"/a\x0a", "/a\n", True),
    (r"/a\*", "/a*", True),
    (r"/a\*", "/ab", False),
    ("/a[0-9]", "/a7", True),
    ("/a[!0-9]b", "/a/b", False),
    ("/a[.-0]b", "/a/b", False),
    ("/a[]]", "/a]", True),
    ("/a[&|~]", "/a~", True),
    ("/a b ", "/a b ", True),
    ("/a(b)+", "/ab", False),
]


@pytest.mark.parametrize(("pattern", "path", "is_covered"), CASES)
def test_patterns(pattern: str, path: str, is_covered: bool):
    """A wildcard stays within its name, a pattern ends where it says, and a byte is a byte."""
    assert read(pattern).matches(path) == is_covered


@pytest.mark.parametrize(
    "pattern",
    ["a", "!/a", "", "/", "/**", "/*/*", "/?*/", "/[a-z]", "/a//b", "/./a", "/a/..", "/a[", "/a[z-a]", "/a[[:alpha:]]"],
)
def test_what_is_no_pattern_is_refused(pattern: str):
    """The error says what is wrong and how to write it."""
    with pytest.raises(PatternError) as error:
        read(pattern)
    assert error.value.hint


NAMES = st.text(alphabet="ab.*\n\udcff", min_size=1, max_size=4).filter(lambda name: name not in {".", ".."})
PATHS = st.lists(NAMES, min_size=1, max_size=5).map(lambda names: "/" + "/".join(names))
PARTS = st.lists(st.sampled_from(["a", "b", "*", "?", ".", "[ab]", "[!a]", r"\*"]), min_size=1, max_size=4).map("".join)


def _is_pattern(text: str) -> bool:
    try:
        return bool(read(text))
    except PatternError:
        return False


PATTERNS = (
    st.lists(PARTS | st.just("**"), min_size=1, max_size=5)
    .flatmap(lambda parts: st.sampled_from([f"/{'/'.join(parts)}", f"/{'/'.join(parts)}/"]))
    .filter(_is_pattern)
)


def _ancestors(path: str) -> list[str]:
    names = path[1:].split("/")
    return ["/" + "/".join(names[: count + 1]) for count in range(len(names))]


@given(PATTERNS, PATHS.filter(lambda path: "\n" not in path))
def test_the_same_as_gitignore_but_for_what_is_below(pattern: str, path: str):
    """Git covers a path exactly if the pattern covers it or one of its parents, except for line breaks."""
    ours = any(read(pattern).matches(one) for one in _ancestors(path))
    assert GitIgnoreSpec.from_lines([pattern]).match_file(path[1:]) == ours


@given(st.sampled_from(["/a/b", "/a/b/", "/a/b/*", "/a/b/**", "/a/b/**/*a", "/a/b/[!a]?/**/b", "/a/b/*/"]), PATHS)
def test_a_pattern_covers_nothing_outside_of_what_it_names(pattern: str, path: str):
    """Whatever follows /a/b, covered paths are /a/b or below it; anchors are never longer than that."""
    if read(pattern).matches(path):
        assert path == "/a/b" or path.startswith("/a/b/")


@given(PATTERNS, PATHS)
def test_whatever_is_covered_begins_with_the_anchor(pattern: str, path: str):
    """So a scan can skip a rule by its anchor alone."""
    if read(pattern).matches(path):
        assert path.startswith(read(pattern).anchor)


@given(st.binary(min_size=1, max_size=20).map(lambda raw: os.fsdecode(raw.replace(b"\0", b"0").replace(b"/", b"_"))))
def test_a_path_as_pattern_is_that_path(name: str):
    """For any bytes, in printable characters."""
    if name in {".", ".."}:
        return
    pattern = literal(f"/{name}")
    assert pattern.isprintable()
    assert read(pattern).matches(f"/{name}")
    assert read(pattern).anchor == f"/{name}"
    assert not read(pattern).is_wild
    assert not read(pattern).matches(f"/{name}x")


def test_no_path_takes_long():
    """Stars and `**` never backtrack: even a malicious path takes few steps."""
    assert not read("/" + "*a" * 20 + "b").matches("/" + "a" * 255)
    assert not read("/**/" + "a/**/" * 20 + "b").matches("/" + "a/" * 20_000 + "c")


def test_expressions_are_not_greedy_between_stars():
    """The reason for the above: each part between two stars is an atomic group."""
    assert len(re.findall(r"\(\?>", read("/*a*b*c*d").expression.pattern)) == 3
