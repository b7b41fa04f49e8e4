"""What a Dockerfile is built from, and what it may take."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.dockerfile import (
    assignments,
    base_images,
    build_arguments,
    copied,
    is_reference,
    may_take,
)
from dockyard.dockerfile_text import instructions


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
        ("FROM a\nRUN <<END\nFROM b\nEND\nFROM c\n", ("a", "c")),
        ("", ()),
        ("\ufeffFROM busybox:1\n", ("busybox:1",)),
        ("ARG TAG\nFROM busybox:${TAG:-1.36}\n", ("busybox:1.36",)),
        ("ARG TAG=2\nFROM busybox:${TAG:-1.36}\n", ("busybox:2",)),
        ("ARG SLIM=1\nFROM debian:13${SLIM:+-slim}\n", ("debian:13-slim",)),
        ("ARG SLIM\nFROM debian:13${SLIM:+-slim}\n", ("debian:13",)),
        ("ARG A=b B=${A}c\nFROM x:$B\n", ("x:bc",)),
        ("ARG TAG=v1.2\nFROM x:${TAG#v}\n", ("x:1.2",)),
        ("FROM x\nARG TAG=2\nFROM y:$TAG\n", ("x",)),
        ("FROM busybox:1 AS Build\nFROM build\nCOPY --from=BUILD /a /b\n", ("busybox:1",)),
        ("FROM later\nFROM x AS later\n", ("later", "x")),
        ("FROM golang AS golang\nFROM scratch\nCOPY --from=golang /a /\n", ("golang",)),
        ("FROM x\nCOPY --from=later /a /\nFROM y AS later\n", ("x", "y")),
        ("FROM x\nRUN --mount=type=bind,from=alpine:3.20,target=/a --network=none ls /a\n", ("x", "alpine:3.20")),
        ("FROM x AS one\nFROM y\nRUN --mount=type=cache,target=/c --mount=from=One,target=/a ls\n", ("x", "y")),
        ("FROM x\nONBUILD COPY --from=z /a /\n", ("x",)),
        ("# syntax=docker/dockerfile:1\n# escape=`\nFROM `\n  x\n", ("x",)),
        ("FROM x\r\nRUN <<A cat\r\nFROM b\r\nA\r\n", ("x",)),
        ("FROM $NONE\nFROM x:$NONE\nFROM Upper\nFROM ${X\n", ()),
        ("from x as y\nfrom Y\n", ("x",)),
    ],
)
def test_bases(text: str, bases: tuple[str, ...]) -> None:
    """All that BuildKit would fetch, and nothing else: not a stage, not scratch, not a broken reference."""
    assert base_images(text, {}) == bases


PLATFORMS = "FROM --platform=$BUILDPLATFORM tools-${BUILDARCH} AS tools\nFROM app:${TARGETARCH}${TARGETVARIANT}\n"


def test_the_platform_is_an_argument() -> None:
    """FROM can use what BuildKit knows of the platform, and `--platform` changes what is built for."""
    arguments = build_arguments(("--platform=linux/arm/v7",))
    assert base_images(PLATFORMS, arguments) == (f"tools-{arguments['BUILDARCH']}", "app:armv7")
    assert base_images(PLATFORMS, {}) == ()


@given(st.text(alphabet="FROM COPY--from=asx:/\\\n#${}'\"<-`1EOF\ufeff", max_size=200))
def test_whatever_is_written_names_references_alone(text: str) -> None:
    """No text makes the reader fail, or name something to the engine that is not a reference."""
    assert all(is_reference(image) for image in base_images(text, {"E": "x"}))


def test_build_arguments_win_over_defaults() -> None:
    """What the build gets counts, in both spellings; without a value it is the environment's, if it is set there."""
    parameters = ("--build-arg", "BASE=b:2", "--build-arg=X=1", "--no-cache", "--build-arg=SET", "--build-arg=UNSET")
    found = build_arguments(parameters, {"SET": "s", "X": "2"})
    assert {name: value for name, value in found.items() if not name.startswith(("BUILD", "TARGET"))} == {
        "BASE": "b:2",
        "X": "1",
        "SET": "s",
    }
    assert base_images("ARG BASE=a:1\nFROM ${BASE}\n", build_arguments(parameters)) == ("b:2",)


@pytest.mark.parametrize(
    ("line", "taken"),
    [("COPY . /", True), ("COPY files /", False), ("ADD Test* /", True), ('COPY ["./Test", "/x"]', True)],
)
def test_what_may_be_taken(line: str, taken: bool) -> None:
    """A copy of everything, a pattern or the name itself may take a file; another name does not."""
    assert may_take(f"FROM a\n{line}\n", ["Test"]) is taken


@pytest.mark.parametrize(
    ("line", "pairs"),
    [
        ('ENV A=b C="d e"', [("A", "b"), ("C", "d e")]),
        ("ENV A b c", [("A", "b c")]),
        ("ARG A", [("A", "")]),
        ("ENV A='b", [("A", "'b")]),
        ("ENV A='' B=$C", [("A", ""), ("B", "$C")]),
    ],
)
def test_assignments(line: str, pairs: list[tuple[str, str]]) -> None:
    """All that an ENV or ARG sets, in its old form and its new one, even where a quote does not end."""
    assert list(assignments(instructions(line)[0])) == pairs


@pytest.mark.parametrize(
    ("line", "stage", "sources", "target"),
    [
        ("COPY files /", "", ("files",), "/"),
        ('COPY --chown=a:b ["a b", "c", "/"]', "", ("a b", "c"), "/"),
        ("COPY --from=one /x /y /", "one", ("/x", "/y"), "/"),
        ("COPY [no json] /", "", ("[no", "json]"), "/"),
        ("COPY <<one a <<two /x/", "", ("a",), "/x/"),
    ],
)
def test_copies(line: str, stage: str, sources: tuple[str, ...], target: str) -> None:
    """Options, sources and target, in both forms."""
    found = copied(instructions(line)[0])
    assert (found.stage, found.sources, found.target) == (stage, sources, target)
