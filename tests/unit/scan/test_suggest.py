"""A rule that is proposed covers what was found, and nothing beside it; nobody can use it without a reason."""

import datetime as dt
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.errors import SettingsError
from dockyard.scan.content import Content
from dockyard.scan.layer import DELETED, EDITED, METADATA, NEW, REPLACED, TOUCHED, TYPE, Change
from dockyard.scan.rules import Rule, covers, load
from dockyard.scan.suggest import suggest
from dockyard.service import Service
from tests.engines.world import write

TODAY = dt.date(2026, 11, 24)
TEXT = Content(lambda _: b"text", lambda _: True)
KINDS = ("file", "directory", "link", "pipe", "socket")
CHANGES = (NEW, REPLACED, EDITED, METADATA, TYPE, DELETED)


def given_reasons(texts: list[str]) -> list[Rule]:
    """Return the rules, read as a file, after a person has said why."""
    with tempfile.TemporaryDirectory() as directory:
        return load(write(Path(directory) / "rules.yaml", "".join(texts).replace("reason: ''", "reason: because")))


NAMES = (
    st.binary(min_size=1, max_size=12)
    .map(lambda raw: os.fsdecode(raw.replace(b"\0", b"0").replace(b"/", b"_")))
    .filter(lambda name: name not in {".", ".."})
)
FOUND = st.builds(
    Change,
    st.lists(NAMES, min_size=1, max_size=4).map(lambda names: "/" + "/".join(names)),
    st.sampled_from(CHANGES),
    st.sampled_from(KINDS),
    st.integers(0, 2**63 - 1),
    st.sampled_from([0o600, 0o644, 0o755]),
    st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
)


def neighbours(change: Change) -> list[tuple[str, Change]]:
    """Return what is like a change in all but one thing, each with where it is."""
    parent, _, name = change.path.rpartition("/")
    paths = (f"{change.path}x", f"{change.path}/x", f"{change.path}\n", f"/x{change.path}", f"{parent}/x{name}", "/etc")
    others = [change._replace(path=path) for path in paths if path != change.path]
    others += [change._replace(owner=(change.owner[0] ^ 1, change.owner[1]))]
    others += [change._replace(owner=(change.owner[0], change.owner[1] ^ 1))]
    others += [change._replace(kind=kind) for kind in (*KINDS, "device") if kind != change.kind]
    others += [change._replace(what=what) for what in CHANGES if what != change.what]
    if change.kind == "file" and change.what != DELETED:
        others += [change._replace(mode=0o4755), change._replace(attributes=("security.capability",))]
        others += [change._replace(size=max(4096, change.size) * 2)]
        if not change.mode & 0o111:
            others += [change._replace(mode=change.mode | bit) for bit in (0o100, 0o010, 0o001)]
    return [("other", change), *(("web", other) for other in others)]


@given(FOUND)
def test_the_narrowest_rule(change: Change):
    """It covers the change, and nothing that is like it but for one thing."""
    (rule,) = given_reasons(suggest("web", [change]))
    assert covers(rule, "web", change, TODAY, TEXT)
    assert [other for where, other in neighbours(change) if covers(rule, where, other, TODAY, TEXT)] == []


@given(FOUND, st.lists(NAMES, min_size=5, max_size=9, unique=True))
def test_many_in_one_directory(change: Change, names: list[str]):
    """All are covered; what is elsewhere, deeper, of another owner or another kind is not."""
    changes = [change._replace(path=f"/srv/data/web/{name}", mode=0o644) for name in names]
    texts = suggest("web", changes)
    assert len(texts) == 1
    (rule,) = given_reasons(texts)
    assert all(covers(rule, "web", one, TODAY, TEXT) for one in changes)
    assert rule.max_count is not None
    assert rule.max_count >= len(names)
    one = changes[0]
    others = [*(f"{one.path}/x", "/srv/data/x", "/srv/data/web/x/y", "/srv/data/web", f"/x{one.path}")]
    wrong = [other for where, other in neighbours(one) if other.path == one.path] + [
        one._replace(path=path) for path in others
    ]
    assert [other for other in wrong if covers(rule, "web", other, TODAY, TEXT) and other != one] == []


def test_a_proposal_as_it_is_written():
    """A list's items; with a service for its settings; the pattern is what the names have in common."""
    changes = [Change(f"/var/cache/web/page-{n}.html", NEW, "file", n, 0o644, (33, 33)) for n in range(5)]
    text = """- path: '/var/cache/web/page-*.html'
  reason: ''
  containers: ['web']
  what: [new]
  kinds: [file]
  owner: 33
  group: 33
  max_size: 4096
  max_count: 8
"""
    assert suggest("web", changes) == [text]
    assert suggest("web", changes, Service(Path("/srv/web"))) == [text.replace("  containers: ['web']\n", "")]
    assert len(suggest("web", changes[:4])) == 4


@pytest.mark.parametrize("parent", ["", "/srv", "/etc/web", "/usr/lib/web"])
def test_no_wildcards_where_they_would_be_too_wide(parent: str):
    """At the top, and where programs are and what steers them, each gets its own; programs anywhere."""
    changes = [Change(f"{parent}/{name}", NEW, "file", mode=0o644) for name in "abcdef"]
    assert len(suggest("web", changes)) == 6
    programs = [Change(f"/srv/a/b/{name}", NEW, "file", mode=0o755) for name in "abcdef"]
    assert all(rule.executable and "*" not in rule.path for rule in given_reasons(suggest("web", programs)))


@pytest.mark.parametrize(
    "change",
    [
        Change("/x/a\n- path", NEW, "file", mode=0o4755),
        Change("/x/a\n- path", METADATA, "file", mode=0o2755),
        Change("/x/a\n- path", NEW, "file", mode=0o755, attributes=("security.capability",)),
        Change("/x/a\n- path", NEW, "device"),
        Change("/x/a\n- path", TOUCHED, "file"),
        Change("image", "undeclared", "image"),
    ],
)
def test_nothing_is_proposed_for_what_gives_rights(change: Change):
    """A comment says why, on one line whatever the name is."""
    (text,) = suggest("web", [change])
    assert text.startswith("# ")
    assert text.count("\n") == 1
    assert text.removesuffix("\n").isprintable()


@given(FOUND)
def test_a_proposal_without_a_reason_is_refused(change: Change):
    """A person has to say why."""
    with tempfile.TemporaryDirectory() as directory, pytest.raises(SettingsError, match="`reason` is missing"):
        load(write(Path(directory) / "rules.yaml", "".join(suggest("web", [change]))))


def test_content_makes_it_narrower():
    """A file that was only added to is to stay so; one that is a program by its first bytes is allowed to be one."""
    log = Change("/srv/log/a", EDITED, "file", 10, 0o644)
    (rule,) = given_reasons(suggest("web", [log], content=TEXT))
    assert rule.append_only
    script = Content(lambda _: b"#!/b", lambda _: False)
    (rule,) = given_reasons(suggest("web", [log], content=script))
    assert rule.executable
    assert not rule.append_only
    assert covers(rule, "web", log, TODAY, script)
