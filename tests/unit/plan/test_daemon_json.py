"""daemon.json: adding and removing one setting changes no other byte."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.errors import DockyardError
from dockyard.plan.daemon_json import KEY, setting_in, settings_in, with_setting, without_setting

PATH = "/etc/docker/daemon.json"
SPACE = st.text(" \t\r\n", max_size=3)
NAMES = st.text(max_size=8) | st.sampled_from(["debug", "hosts", "{", "}", '"', KEY.upper()])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=8) | st.just(KEY),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.just(KEY), inner, max_size=3),
    max_leaves=5,
)


@st.composite
def texts(draw: st.DrawFn, *, least: int = 0) -> str:
    """Return a daemon.json without the setting, spaced in every way that JSON allows."""
    settings = draw(st.dictionaries(NAMES.filter(lambda name: name != KEY), VALUES, min_size=least, max_size=4))
    ascii_only = draw(st.booleans())
    members = [
        f"{draw(SPACE)}{json.dumps(name, ensure_ascii=ascii_only)}{draw(SPACE)}:{draw(SPACE)}"
        f"{json.dumps(value, ensure_ascii=ascii_only, indent=draw(st.sampled_from([None, 1])))}{draw(SPACE)}"
        for name, value in settings.items()
    ]
    return f"{draw(SPACE)}{{{','.join(members) or draw(SPACE)}}}{draw(SPACE)}"


@given(texts())
def test_the_setting_is_there_and_every_other_stays(text: str):
    after = with_setting(text, PATH, "dockremap")
    assert settings_in(after, PATH) == {**settings_in(text, PATH), KEY: "dockremap"}


@given(texts(least=1))
def test_what_was_put_in_can_be_taken_out_to_the_byte(text: str):
    assert without_setting(with_setting(text, PATH, "dockremap"), PATH) == text


@given(texts(), st.text(max_size=5))
def test_a_setting_is_replaced_where_it_stands(text: str, value: str):
    once = with_setting(text, PATH, "a")
    assert settings_in(with_setting(once, PATH, value), PATH)[KEY] == value
    assert len(with_setting(once, PATH, "b")) == len(once)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{\n  "debug": true\n}\n', '{\n  "userns-remap": "u",\n  "debug": true\n}\n'),
        ('{\r\n\t"debug" : true }', '{\r\n\t"userns-remap" : "u",\r\n\t"debug" : true }'),
        ('{"debug":true}', '{"userns-remap":"u","debug":true}'),
        ("{}", '{\n    "userns-remap": "u"\n}'),
        ("{\n}\n", '{\n    "userns-remap": "u"\n}\n'),
        ("", '{\n    "userns-remap": "u"\n}\n'),
        (" \n", '{\n    "userns-remap": "u"\n}\n'),
        (None, '{\n    "userns-remap": "u"\n}\n'),
        ('{"userns-remap": ""}', '{"userns-remap": "u"}'),
        ('\ufeff{"debug": 1}', '\ufeff{"userns-remap": "u","debug": 1}'),
    ],
)
def test_the_setting_is_written_as_its_neighbours_are(before: str | None, after: str):
    assert with_setting(before, PATH, "u") == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"userns-remap": "u"}', "{}"),
        ('{"a": 1, "userns-remap": "u"}', '{"a": 1}'),
        ('{"a": 1, "userns-remap": "u", "b": 2}', '{"a": 1, "b": 2}'),
        ('{"userns-remap": "u", "a": 1, "userns-remap": "v"}', '{"a": 1}'),
        ('{"userns-remap": "u", "userns-remap": "v", "a": 1}', '{"a": 1}'),
        ('{"a": {"userns-remap": "u"}}', '{"a": {"userns-remap": "u"}}'),
    ],
)
def test_the_setting_is_taken_out_wherever_it_stands(before: str, after: str):
    assert without_setting(before, PATH) == after


def test_of_a_setting_that_is_there_twice_the_last_counts():
    """As the engine writes it."""
    assert setting_in('{"userns-remap": "a", "userns-remap": "b"}', PATH) == "b"


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ('{"a": 1,}', f"{PATH}:1:9"),
        ('{\n  "a": tru\n}', f"{PATH}:2:8"),
        ("[]", f"{PATH}:1:1"),
        ("{} {}", f"{PATH}:1:4"),
        ('{"a": NaN}', PATH),
        ('{"a": "\udcff"}', f"{PATH}: the engine cannot read it: not UTF-8"),
        ("[" * 100_000, PATH),
    ],
)
def test_what_is_no_configuration_is_an_error_that_says_where(text: str, where: str):
    with pytest.raises(DockyardError) as error:
        with_setting(text, PATH, "u")
    assert str(error.value).startswith(where)
    assert error.value.hint


def test_a_setting_that_is_no_text_is_an_error():
    with pytest.raises(DockyardError, match="userns-remap is not a text"):
        setting_in('{"userns-remap": 1}', PATH)
