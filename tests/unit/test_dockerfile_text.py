"""How the lines of a Dockerfile become instructions."""

from hypothesis import given
from hypothesis import strategies as st

from dockyard.dockerfile import stages
from dockyard.dockerfile_text import Instruction, escape_character, instructions

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


def names_of(text: str) -> list[tuple[str, str]]:
    """Return names and values."""
    return [(one.name, one.value) for one in instructions(text)]


def test_a_document_is_a_word_of_its_own() -> None:
    """`<<` within a word, a here-string, a JSON list and an instruction such as CMD announce nothing."""
    for line in ("RUN cat<<X", "RUN cat <<<X", 'RUN ["cat", "<<X"]', "CMD cat <<X", "RUN echo '<<X'", "RUN 1 << X"):
        assert [name for name, _ in names_of(f"{line}\nUSER web\nX\n")] == [line.split()[0], "USER", "X"]
    for line in ("RUN cat <<X", "copy <<X /x", "ONBUILD RUN <<-'X' cat", 'RUN 3<<"X" cat'):
        assert [name for name, _ in names_of(f"{line}\nUSER web\nX\n")] == [line.split()[0].upper()]


def test_a_document_that_does_not_end_is_none() -> None:
    """The legacy builder takes such lines for instructions, and BuildKit refuses them."""
    assert [name for name, _ in names_of("RUN cat <<X\nUSER web\n")] == ["RUN", "USER"]


def test_lines_that_continue() -> None:
    """Comments and empty lines between them are dropped; two escapes continue nothing."""
    assert names_of("RUN a \\ \n\n  # b\n  c\\\n d\nRUN e\\\\\nUSER f\n") == [
        ("RUN", "a   c d"),
        ("RUN", "e\\\\"),
        ("USER", "f"),
    ]


def test_directives_end_with_the_first_other_line() -> None:
    """`# escape=` counts among the directives at the top, and nowhere else."""
    assert escape_character("# syntax=x\n#Escape = `\nFROM a\n") == "`"
    assert escape_character("# a remark\n# escape=`\n") == "\\"
    assert escape_character("\n# escape=`\n") == "\\"
    assert escape_character("# escape=x\n") == "\\"


WORDS = st.text(alphabet="abc=/:.$", min_size=1, max_size=6)
GAPS = st.sampled_from([" ", "  ", " \\\n", " \\  \n# remark\n\t", " \\\n\n  # $x \\\n"])
DOCUMENTS_BELOW = st.lists(st.sampled_from(["FROM no", "# kept", "USER x \\", "", " END"]), max_size=4)


@st.composite
def written(draw: st.DrawFn) -> tuple[str, list[Instruction]]:
    """Return a Dockerfile, and the instructions that it was written from."""
    text, meant = draw(st.sampled_from(["", "\ufeff", "# syntax=docker/dockerfile:1\n"])), []
    for name in draw(st.lists(st.sampled_from(["FROM", "RUN", "COPY", "ENV", "USER"]), max_size=6)):
        text += draw(st.sampled_from(["", "\n", "# RUN <<END\n", "  \t\n"]))
        line = text.count("\n") + 1
        words = draw(st.lists(WORDS, min_size=1, max_size=4))
        text += draw(st.sampled_from([name, name.lower(), f"  {name}"])) + "".join(draw(GAPS) + word for word in words)
        contents = []
        if name in {"RUN", "COPY"} and draw(st.booleans()):
            document = draw(DOCUMENTS_BELOW)
            contents = ["\n".join(document)]
            words.append("<<END")
            text += f"{draw(GAPS)}<<END\n" + "".join(f"{row}\n" for row in document) + "END"
        text += draw(st.sampled_from(["\n", "\r\n", "  \n"])) if not contents else "\n"
        meant.append(Instruction(name, "\n".join([" ".join(words), *contents]), line))
    return text, meant


@given(written())
def test_what_was_written_is_read(case: tuple[str, list[Instruction]]) -> None:
    """However lines are continued, commented and indented, the instructions and their lines are those meant."""
    text, meant = case
    found = [one._replace(value=_plain(one.value)) for one in instructions(text)]
    assert found == meant


def _plain(value: str) -> str:
    """Return a value with single spaces in its first line."""
    line, newline, rest = value.partition("\n")
    return " ".join(line.split()) + newline + rest


@given(st.text(alphabet="RUN <AEOF\n\\#'\"-\t\r$", max_size=120))
def test_every_line_belongs_to_one_instruction_at_most(text: str) -> None:
    """Whatever is written, lines rise and are within the text."""
    lines = [one.line for one in instructions(text)]
    assert lines == sorted(set(lines))
    assert all(1 <= line <= text.count("\n") + 1 for line in lines)
