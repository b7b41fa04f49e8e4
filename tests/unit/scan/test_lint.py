"""What a linter says of rules, and of which it says nothing."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.scan.content import Content
from dockyard.scan.layer import NEW, Change
from dockyard.scan.lint import _includes, lines, lint, rows
from dockyard.scan.rules import Rule, covers

TODAY = dt.date(2026, 11, 24)
GOOD = Rule("/var/log/web/*.log", "f:1:1", ("web",), reason="logs", by="ada")
LATER = dt.date(2027, 6, 1)


def said(*rules: Rule, used: dict[Rule, int] | None = None) -> list[str]:
    return [f"{problem.where}: {problem.message}" for problem in lint(rules, used, TODAY)]


def test_a_narrow_rule_is_quiet():
    """Named containers, a narrow path, somebody who answers: nothing to say, also with its last day far off."""
    assert said(GOOD) == []
    assert said(GOOD._replace(until=LATER), used={GOOD._replace(until=LATER): 1}) == []


@pytest.mark.parametrize("path", ["/etc/", "/usr/**", "/bin/*", "/var/", "/srv/**", "/*/x", "/**/x", "/v*/log/"])
def test_whole_directories_of_the_top(path: str):
    """One of them, or whichever: too wide, and twice so for ever."""
    told = said(GOOD._replace(path=path))
    assert f"f:1:1: `{path}`: it covers a whole top-level directory, or all of them" in told
    assert f"f:1:1: `{path}`: it is broad and never expires" in told
    assert len(said(GOOD._replace(path=path, until=LATER))) == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"executable": True}, "it allows any program to be added there"),
        ({"kinds": ("device",), "path": "/dev/x"}, "it allows new devices"),
        ({"containers": ("*",), "path": "/etc/nginx/*.conf"}, "it has wildcards in a system directory"),
        ({"containers": ("*",), "path": "/var/spool/cron/*"}, "it has wildcards in a system directory"),
        ({"until": dt.date(2026, 11, 23)}, "it expired after 2026-11-23"),
        ({"until": dt.date(2026, 12, 24)}, "it expires after 2026-12-24"),
        ({"by": ""}, "it does not say who is responsible for it"),
    ],
)
def test_one_fault(changed: dict[str, object], message: str):
    """Each is told, with its place and what mends it."""
    problems = lint([GOOD._replace(**changed)], None, TODAY)  # type: ignore[arg-type]
    assert any(message in problem.message for problem in problems)
    assert all(problem.hint and problem.where == "f:1:1" for problem in problems)


@pytest.mark.parametrize(
    "changed",
    [
        {"executable": True, "path": "/opt/app/tool"},
        {"containers": ("*",), "path": "/etc/app.conf"},
        {"path": "/etc/nginx/*.conf"},
        {"only": frozenset({"web"}), "containers": ("*",), "path": "/etc/nginx/*.conf"},
        {"containers": ("*",), "path": "/etcetera/x/*"},
        {"until": dt.date(2026, 12, 25)},
    ],
)
def test_what_is_no_fault(changed: dict[str, object]):
    """One path, named containers, a day that is more than 30 days off."""
    assert said(GOOD._replace(**changed)) == []  # type: ignore[arg-type]


def test_rules_of_no_use():
    """Those that a scan did not need, those that another includes, and the later of two that say the same."""
    other = GOOD._replace(path="/var/log/web/a.log", where="f:2:1")
    again = GOOD._replace(where="f:3:1", reason="again")
    assert said(GOOD, other, again, used={GOOD: 3, other: 1}) == [
        "f:2:1: `/var/log/web/a.log`: the rule at f:1:1 covers all of it",
        "f:3:1: `/var/log/web/*.log`: it is a duplicate of the rule at f:1:1",
        "f:3:1: `/var/log/web/*.log`: it covered nothing in this scan",
    ]


def test_rows_and_lines():
    """The same for people and for machines."""
    problems = lint([GOOD._replace(by="")], None, TODAY)
    assert lines(problems) == [
        "f:1:1: `/var/log/web/*.log`: it does not say who is responsible for it",
        "  hint: set `by` to a name",
    ]
    assert rows(problems) == [
        {
            "where": "f:1:1",
            "message": "`/var/log/web/*.log`: it does not say who is responsible for it",
            "hint": "set `by` to a name",
        }
    ]


RULES = st.builds(
    Rule,
    st.sampled_from(["/a/b", "/a/b/", "/a/**", "/a/*", "/a/*b", "/**/b", "/c/b", "/a/*/"]),
    st.just("f"),
    st.sampled_from([("*",), ("web",), ("w*",), ("db", "web")]),
    st.sampled_from([("new",), ("new", "edited")]),
    st.sampled_from([("file",), ("file", "link")]),
    owner=st.sampled_from([None, 0, 1]),
    executable=st.booleans(),
    append_only=st.booleans(),
    max_size=st.sampled_from([None, 1, 2]),
    until=st.sampled_from([None, TODAY, LATER]),
    only=st.sampled_from([None, frozenset({"web"}), frozenset({"web", "db"})]),
)
CHANGES = st.builds(
    Change,
    st.sampled_from(["/a/b", "/a/b/c", "/a/ab", "/c/b", "/a/x/y"]),
    st.sampled_from([NEW, "edited"]),
    st.sampled_from(["file", "link"]),
    st.integers(0, 3),
    st.sampled_from([0o644, 0o755]),
    st.sampled_from([(0, 0), (1, 0)]),
)


@given(RULES, RULES, CHANGES, st.sampled_from(["web", "db", "wx"]), st.sampled_from([b"", b"#!"]), st.booleans())
def test_what_includes_another_covers_all_of_it(  # noqa: PLR0913, PLR0917 - all that a rule may ask
    wide: Rule, narrow: Rule, change: Change, container: str, head: bytes, is_appended: bool
):
    """No rule is told to be needless while it covers something that the other does not."""
    content = Content(lambda _: head, lambda _: is_appended)
    if _includes(wide, narrow) and covers(narrow, container, change, TODAY, content):
        assert covers(wide, container, change, TODAY, content)
