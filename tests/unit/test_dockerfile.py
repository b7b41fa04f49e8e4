"""What a Dockerfile is built from, and what it may take."""

import pytest

from dockyard.dockerfile import base_images, build_arguments, may_take


@pytest.mark.parametrize(
    ("text", "bases"),
    [
        ("FROM ktools/base:live\n", ("ktools/base:live",)),
        ("ARG BASE=a:1\nFROM ${BASE}\n", ("a:1",)),
        ("FROM --platform=linux/amd64 a AS build\nFROM scratch\nCOPY --from=build /x /\n", ("a",)),
        ("FROM a\nCOPY --from=tools/jq:1 /jq /\n", ("a", "tools/jq:1")),
        ("FROM a AS one\nFROM one\nFROM b\n", ("a", "b")),
        ("# FROM no\nFROM \\\n  a\n", ("a",)),
        ("FROM a\nCOPY --from=0 /x /\n", ("a",)),
        ("", ()),
    ],
)
def test_bases(text: str, bases: tuple[str, ...]) -> None:
    """Arguments, stages, copies from other images, continued lines; a stage or scratch is no image."""
    assert base_images(text, {}) == bases


def test_build_arguments_win_over_defaults() -> None:
    """What the build is told counts, in both spellings."""
    parameters = ("--build-arg", "BASE=b:2", "--build-arg=X=1", "--no-cache")
    assert build_arguments(parameters) == {"BASE": "b:2", "X": "1"}
    assert base_images("ARG BASE=a:1\nFROM ${BASE}\n", build_arguments(parameters)) == ("b:2",)


@pytest.mark.parametrize(
    ("line", "taken"),
    [("COPY . /", True), ("COPY files /", False), ("ADD Test* /", True), ('COPY ["./Test", "/x"]', True)],
)
def test_what_may_be_taken(line: str, taken: bool) -> None:
    """A copy of everything, a pattern or the name itself may take a file; another name does not."""
    assert may_take(f"FROM a\n{line}\n", ["Test"]) is taken
