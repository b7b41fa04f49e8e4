"""Words and variables of a Dockerfile."""

import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockyard.dockerfile_words import WordError, expand_word, split_words

VARIABLES = {"SET": "v1.2.3", "EMPTY": ""}


@pytest.mark.parametrize(
    ("word", "expanded"),
    [
        ("a$SET-b", "av1.2.3-b"),
        ("${SET}${NONE}", "v1.2.3"),
        ("${NONE:-d}${NONE-d}${EMPTY:-d}${EMPTY-d}", "ddd"),
        ("${SET:+y}${SET+y}${EMPTY:+y}${EMPTY+y}${NONE+y}", "yyy"),
        ("${NONE:-${EMPTY:-$SET}}", "v1.2.3"),
        ("${SET:?must be set}", "v1.2.3"),
        ("${SET#v}", "1.2.3"),
        ("${SET##*.}", "3"),
        ("${SET%.*}", "v1.2"),
        ("${SET%%.*}", "v1"),
        ("${SET/./-}", "v1-2.3"),
        ("${SET//./-}", "v1-2-3"),
        ("'$SET'", "$SET"),
        ('"$SET \\"x\\" \\n"', 'v1.2.3 "x" \\n'),
        ("\\$SET", "$SET"),
        ("a$", "a$"),
        ("$1x", "x"),
    ],
)
def test_expansion(word: str, expanded: str) -> None:
    """Every form that BuildKit knows."""
    assert expand_word(word, VARIABLES) == expanded


@pytest.mark.parametrize("word", ["${SET", "${", "${}", "${SET!}", "'a", '"a', "${NONE:?}", "${SET:", "${SET/a"])
def test_what_buildkit_refuses(word: str) -> None:
    """A brace or a quote that does not end, and a variable that must be set."""
    with pytest.raises(WordError):
        expand_word(word, VARIABLES)


def test_words_keep_their_quotes() -> None:
    """Whitespace in quotes, or after an escape, parts nothing; another escape character makes a backslash plain."""
    assert split_words("""a "b c"'d e' f\\ g""") == ["a", "\"b c\"'d e'", "f\\ g"]
    assert split_words("a\\ b` c", "`") == ["a\\", "b` c"]
    with pytest.raises(WordError):
        split_words("a 'b")


PARTS = st.recursive(
    st.sampled_from(["a", ".", "$SET", "${SET}", "$EMPTY", "${NONE}", "'$SET'", "\\$SET", "${SET%.*}", "${SET#v}"]),
    lambda inner: st.builds(
        "${{{}{}{}}}".format,
        st.sampled_from(["SET", "EMPTY", "NONE"]),
        st.sampled_from([":-", "-", ":+", "+"]),
        inner,
    ),
    max_leaves=3,
)


@settings(max_examples=60)
@given(st.lists(PARTS, min_size=1, max_size=4))
def test_it_is_as_the_shell_has_it(parts: list[str]) -> None:
    """What BuildKit knows of variables means what it means to a shell."""
    word = "".join(parts)
    shell = subprocess.run(
        ["/bin/sh", "-c", f"IFS=; printf %s {word}"], env=VARIABLES, capture_output=True, text=True, check=True
    )
    assert expand_word(word, VARIABLES) == shell.stdout


@given(st.text(alphabet="ab${}:-+?#%/'\"\\ ", max_size=40))
def test_whatever_is_written_is_expanded_or_refused(text: str) -> None:
    """No text makes the reader fail otherwise than by WordError."""
    try:
        found = expand_word(text, {"a": "b"})
    except WordError:
        return
    assert isinstance(found, str)
