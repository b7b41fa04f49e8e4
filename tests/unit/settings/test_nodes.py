import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dockyard.errors import SettingsError
from dockyard.settings.keys import KEYS
from dockyard.settings.nodes import Mapping, Scalar, Sequence, parse
from tests.unit.making import problems_of


def _plain(node: object) -> object:
    """Return the parsed file as texts, lists and lists of pairs."""
    if isinstance(node, Scalar):
        return node.text
    if isinstance(node, Sequence):
        return [_plain(item) for item in node.items]
    assert isinstance(node, Mapping)
    return {key.text: _plain(value) for key, value in node.pairs}


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("2222:22", "2222:22"),  # YAML 1.1: 133342
        ("25:2525", "25:2525"),
        ("0755", "0755"),  # YAML 1.1: 493
        ("NO", "NO"),  # YAML 1.1: false
        ("1_000", "1_000"),
        ("1e3", "1e3"),
        ("0x1F", "0x1F"),
        ("2001-01-01", "2001-01-01"),
        (r'"\\-"', r"\-"),
        ('REALM="x"', 'REALM="x"'),
        ("'it''s'", "it's"),
        ("|\n  two\n  lines\n", "two\nlines\n"),
        ("!!str 12", "12"),
    ],
)
def test_a_scalar_is_the_text_that_was_written(written: str, text: str):
    assert _plain(parse(f"key: {written}", "f")) == {"key": text}


@pytest.mark.parametrize("written", ["", "~", "null", "Null", "NULL"])
def test_a_value_that_was_left_out_is_empty(written: str):
    assert parse(f"key: {written}", "f").pairs[0][1].empty


@pytest.mark.parametrize("written", ['""', "''", '"null"', "'~'", "none"])
def test_a_value_in_quotes_is_never_left_out(written: str):
    assert not parse(f"key: {written}", "f").pairs[0][1].empty


def test_each_item_knows_its_line_and_column():
    node = parse("a: 1\nb:\n  - x\n  - y: z\n", "f")
    (a, one), (_, items) = node.pairs
    assert [a.where, one.where] == ["f:1:1", "f:1:4"]
    assert [items.where, items.items[0].where, items.items[1].pairs[0][1].where] == ["f:3:3", "f:3:5", "f:4:8"]


@pytest.mark.parametrize("text", ["", "\n", "# comment\n", "---\n", "---\n...\n", "null", "~\n", "\ufeff"])
def test_an_empty_file_says_nothing(text: str):
    assert parse(text, "f").pairs == ()


def test_anchors_stand_for_what_they_name():
    assert _plain(parse("a: &x [1, 2]\nb: *x\nc: &x 3\nd: *x\n", "f")) == {"a": ["1", "2"], "b": ["1", "2"]} | {
        "c": "3",
        "d": "3",
    }


def _bomb(levels: int, width: int) -> str:
    aliases = [f"k{n}: &k{n} [{', '.join([f'*k{n - 1}'] * width)}]" for n in range(1, levels)]
    return "\n".join(["k0: &k0 [x]", *aliases])


@pytest.mark.parametrize(("levels", "width"), [(7, 50), (7, 1000), (20, 10)])
def test_aliases_of_aliases_cost_no_time(levels: int, width: int):
    """Each anchor is converted once, so a "billion laughs" attack has no effect."""
    assert len(parse(_bomb(levels, width), "f").pairs) == levels


SYNTAX = [
    ("a:\tb", "f:1:3", "not valid YAML: while scanning for the next token found character '\\t' that cannot start"),
    ("\ta: b", "f:1:1", "not valid YAML: while scanning for the next token found character '\\t' that cannot start"),
    ("a: 1\n---\nb: 2\n", "f:2:1", "not valid YAML: expected a single document in the stream but found another"),
    ("a: b: c", "f:1:5", "not valid YAML: mapping values are not allowed here"),
    ("a: [1", "f:1:6", "not valid YAML: while parsing a flow sequence"),
    ("a: 'x", "f:1:6", "not valid YAML: while scanning a quoted scalar"),
    ("a: *b", "f:1:4", "not valid YAML: found undefined alias 'b'"),
    ("a:\n  b: 1\n c: 2\n", "f:3:2", "not valid YAML: while parsing a block mapping"),
    ("%YAML 3.0\n---\na: 1", "f:1:1", "not valid YAML: found incompatible YAML document"),
    ("a: \x00", "f", "not valid YAML: unacceptable character #x0000"),
    ('a: "\\UFFFFFFFF"', "f", "not valid YAML: "),
    ('a: "\\0"', "f:1:4", "the text contains a character that cannot be passed to a program"),
    ('a: "\\ud800"', "f:1:4", "the text contains a character that cannot be passed to a program"),
    ("- a", "f:1:1", "expected `key: value` lines"),
    ("word", "f:1:1", "expected `key: value` lines"),
    ("? [a]\n: 1", "f:1:3", "a key must be a word, not a list or a map"),
    ("a: &x [*x]", "f:1:4", "the value is nested too deeply"),
    ("[" * 3000, "f:1:9", "the value is nested too deeply"),
    ("a: " + "{a: " * 3000, "f:1:29", "the value is nested too deeply"),
]


@pytest.mark.parametrize(("text", "where", "message"), SYNTAX, ids=[repr(case[0][:20]) for case in SYNTAX])
def test_what_is_no_settings_file_is_told_with_its_place(text: str, where: str, message: str):
    with pytest.raises(SettingsError) as error:
        parse(text, "f")
    (problem,) = error.value.problems
    assert problem.where == where
    assert problem.message.startswith(message)


def test_a_merge_key_is_an_unknown_key():
    """YAML 1.2 has none; ignoring it would lose settings."""
    assert [problem.message for problem in problems_of("<<: {name: a}\n")] == ["unknown key `<<`"]


_KEYS = st.sampled_from([*KEYS, "test_ports", "dev_log", "fg", "no_such_key", "<<", "", "&a a", "*a", "? a"])
_FRAGMENTS = st.sampled_from(
    [
        *"-:?,[]{}#&*!|>'\"%@`~\\\t\r\n 0",
        *("a", ": ", "- ", "\n  ", "*x", "&x ", "!!map ", "22:22", "\ufeff", "\x85", "---\n"),
    ]
)
_VALUES = st.lists(_FRAGMENTS, max_size=12).map("".join)


@given(st.lists(st.tuples(_KEYS, _VALUES), max_size=4).map(lambda lines: "\n".join(f"{k}: {v}" for k, v in lines)))
@settings(max_examples=300)
def test_no_text_of_the_shape_of_settings_gives_a_traceback(text: str):
    for problem in problems_of(text):
        assert problem.message
        assert problem.where.startswith("settings.yaml")


@given(st.text(st.characters(exclude_categories=["Cs"])) | _VALUES)
@settings(max_examples=120)
def test_no_text_at_all_gives_a_traceback(text: str):
    for problem in problems_of(text):
        assert problem.where.startswith("settings.yaml")
