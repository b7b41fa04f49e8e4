"""What a Dockerfile is built from, and what it may take."""

import pytest

from dockyard.dockerfile import (
    assignments,
    base_images,
    build_arguments,
    copied,
    instructions,
    may_take,
    stages,
)


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
    ],
)
def test_bases(text: str, bases: tuple[str, ...]) -> None:
    """Arguments, stages, copies from other images, continued lines, here-documents; a stage or scratch is no image."""
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


DOCUMENTS = """\
FROM a AS one
RUN echo $((1<<N)) && \\
  # a remark
  cat <<'X' >/x && cat <<-Y
USER in-x
X
USER in-y
	Y
USER web
"""


def test_instructions_have_their_lines_and_their_documents() -> None:
    """Continued lines are one, here-documents belong to what they follow, and a shift is none of them."""
    found = instructions(DOCUMENTS)
    assert [(one.name, one.line) for one in found] == [("FROM", 1), ("RUN", 2), ("USER", 9)]
    assert found[1].value.endswith("USER in-x\nUSER in-y")
    assert [(stage.base, stage.name, stage.line, len(stage.instructions)) for stage in stages(DOCUMENTS, {})] == [
        ("a", "one", 1, 2)
    ]


@pytest.mark.parametrize(
    ("line", "pairs"),
    [
        ('ENV A=b C="d e"', [("A", "b"), ("C", "d e")]),
        ("ENV A b c", [("A", "b c")]),
        ("ARG A", [("A", "")]),
        ("ENV A='b", [("A", "'b")]),
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
    ],
)
def test_copies(line: str, stage: str, sources: tuple[str, ...], target: str) -> None:
    """Options, sources and target, in both forms."""
    found = copied(instructions(line)[0])
    assert (found.stage, found.sources, found.target) == (stage, sources, target)
