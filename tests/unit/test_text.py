import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.text import did_you_mean, listed, printable


@given(st.text(st.characters()))
def test_no_character_that_acts_on_a_terminal_gets_through(text: str):
    """Control, format, surrogate and unassigned characters leave as escapes; newlines and tabs stay."""
    categories = {unicodedata.category(character) for character in printable(text) if character not in "\n\t"}
    assert not categories & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


@given(st.text(st.sampled_from("aé漢 -/\n\t")))
def test_what_is_printable_stays_as_it_is(text: str):
    assert printable(text) == text


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[2J", r"\x1b[2J"),
        ("a\rb", r"a\rb"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202e", r"\u202e"),
        (b"\xff".decode("utf-8", "surrogateescape"), r"\udcff"),
    ],
)
def test_escapes_show_what_was_there(raw: str, shown: str):
    assert printable(raw) == shown


@pytest.mark.parametrize(
    ("words", "text"), [([], "none"), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_words_are_listed_as_people_do(words: list[str], text: str):
    assert listed(words) == text


def test_the_nearest_word_is_named():
    assert did_you_mean("mount_r", ["mount_ro", "memory"]) == "did you mean `mount_ro`?"


def test_no_word_is_named_where_none_is_near():
    assert not did_you_mean("zzz", ["mount_ro", "memory"])
