"""Which changes rules cover, what they ask of contents, and who may write them."""

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockyard.errors import SettingsError
from dockyard.scan import layer, rules
from dockyard.scan.change import KINDS as WALKED
from dockyard.scan.content import Content, Layers, is_append
from dockyard.scan.layer import DELETED, EDITED, METADATA, NEW, REPLACED, Change
from dockyard.scan.rule_file import load, load_all, service_rules
from dockyard.scan.rules import KINDS, WHAT, Expectations, Rule, covers, unexpected
from dockyard.service import Service
from dockyard.settings.load import HostLayers
from tests.engines.world import write

TODAY = dt.date(2026, 11, 24)
TEXT = Content(lambda _: b"text", lambda _: True)
FILE = Change("/data/x", NEW, "file", size=5, mode=0o644, owner=(33, 34))
RULE = Rule("/data/**", "here:1:1", reason="x")


def test_words_are_those_of_the_scan():
    """Whatever a walk can tell is a word of rules, but for what is as in the image."""
    told = {layer.NEW, layer.REPLACED, layer.EDITED, layer.METADATA, layer.TYPE, layer.DELETED}
    assert set(WHAT) == {*told, "runs", "undeclared"}
    assert set(KINDS) == {*WALKED.values(), "process", "mount", "image", "container"}


@pytest.mark.parametrize(
    ("rule", "change", "is_covered"),
    [
        (RULE, FILE, True),
        (RULE._replace(group=34), FILE, True),
        (RULE._replace(group=33), FILE, False),
        (RULE._replace(only=frozenset({"web", "dev-web"})), FILE, True),
        (RULE._replace(only=frozenset({"dev-web"})), FILE, False),
        (RULE._replace(only=frozenset({"web"}), containers=("dev-*",)), FILE, False),
        (RULE, Change("/data/x", "runs", "process", mode=0o755), False),
        (
            RULE._replace(what=("runs",), kinds=("process",)),
            Change("/data/x", "runs", "process", mode=0o755),
            True,
        ),
        (RULE, FILE._replace(attributes=("security.capability",)), False),
        (RULE._replace(executable=True), FILE._replace(attributes=("security.capability",)), False),
        (RULE._replace(executable=True), FILE._replace(mode=0o4644), False),
    ],
)
def test_what_a_rule_says(rule: Rule, change: Change, is_covered: bool):
    """Group, containers, processes, and what nothing allows."""
    assert covers(rule, "web", change, TODAY, TEXT) == is_covered
    assert (unexpected("web", [change], [rule], TODAY, TEXT) == []) == is_covered


@pytest.mark.parametrize("head", [b"\x7fELF", b"#!/b", b"#!"])
def test_programs_by_their_first_bytes(head: bytes):
    """They are not covered, whatever their mode, unless the rule says so, or the content is the image's."""
    program = Content(lambda _: head, lambda _: True)
    assert not covers(RULE, "web", FILE, TODAY, program)
    assert covers(RULE._replace(executable=True), "web", FILE, TODAY, program)
    assert covers(RULE._replace(what=(METADATA,)), "web", FILE._replace(what=METADATA), TODAY, program)


def test_what_cannot_be_read_is_not_covered():
    """Neither without a reader, nor where it fails."""

    def fail(_: Change) -> bytes:
        raise PermissionError

    assert not covers(RULE, "web", FILE, TODAY)
    assert not covers(RULE, "web", FILE, TODAY, Content(fail, lambda _: True))


def test_content_is_asked_for_only_where_all_else_fits():
    """A change that no rule would cover costs no read; a directory and a deletion neither."""
    asked: list[str] = []
    content = Content(lambda change: asked.append(change.path) or b"", lambda _: True)  # type: ignore[func-returns-value]
    others = [FILE._replace(path="/etc/x"), FILE._replace(mode=0o755), FILE._replace(kind="directory")]
    expected = RULE._replace(what=(NEW, DELETED))
    unexpected("web", [*others, FILE, FILE._replace(what=DELETED)], [expected], TODAY, content)
    assert asked == ["/data/x"]


def test_append_only():
    """An edited or replaced file is covered where it was only added to, a new one in any case."""
    rule = RULE._replace(append_only=True)
    grown, other = Content(lambda _: b"", lambda _: True), Content(lambda _: b"", lambda _: False)
    for what in (EDITED, REPLACED):
        assert covers(rule, "web", FILE._replace(what=what), TODAY, grown)
        assert not covers(rule, "web", FILE._replace(what=what), TODAY, other)
    assert covers(rule, "web", FILE, TODAY, other)


def test_one_more_than_allowed_takes_all():
    """As many as a rule says are covered; with one more, all are told, and what another rule covers is not."""
    rule, other = RULE._replace(max_count=2), RULE._replace(path="/data/y*")
    changes = [FILE._replace(path=f"/data/{name}") for name in ("a", "y1", "b", "y2", "c", "d")]
    assert unexpected("web", changes[:4], [rule, other], TODAY, TEXT) == []
    told = [change.path for change in unexpected("web", changes, [rule, other], TODAY, TEXT)]
    assert told == ["/data/a", "/data/b", "/data/c", "/data/d"]


def test_used_counts_what_each_rule_covers():
    """What a linter is told."""
    expectations = Expectations("web", [RULE], TODAY, TEXT)
    assert list(expectations.told([FILE, FILE._replace(path="/etc/x")])) == [FILE._replace(path="/etc/x")]
    assert expectations.used == {RULE: 1}


def _linked(path: str, inode: int = 7, links: int = 2) -> Change:
    return FILE._replace(path=path, inode=(1, inode), links=links)


LINKED = st.lists(
    st.builds(
        _linked, st.sampled_from(["/data/a", "/data/b", "/etc/a", "/etc/b"]), st.integers(1, 3), st.integers(1, 3)
    ),
    max_size=8,
)


@given(LINKED)
def test_all_names_of_a_file_or_none(changes: list[Change]):
    """A file with several names is quiet only where all of its names were seen, and each is covered."""
    told = unexpected("web", changes, [RULE], TODAY, TEXT)
    for change in changes:
        names = [one for one in changes if one.inode == change.inode and one.links > 1]
        is_whole = all(one.path.startswith("/data/") for one in names) and len(names) >= names[0].links if names else 0
        is_quiet = change.path.startswith("/data/") and (change.links == 1 or is_whole)
        assert (change not in told) == is_quiet, change


def test_more_names_than_can_be_held_are_told(monkeypatch: pytest.MonkeyPatch):
    """Memory is bounded: past that, a file with several names is told even where a rule covers them."""
    monkeypatch.setattr(rules, "HELD", 3)
    changes = [_linked(f"/data/{number}/{name}", number) for number in range(5) for name in "ab"]
    told = unexpected("web", changes, [RULE], TODAY, TEXT)
    assert told == changes[2:]
    assert {change.inode[1] for change in unexpected("web", changes[:2], [RULE], TODAY, TEXT)} == set()


def test_what_is_told_comes_at_once():
    """A change that nothing covers does not wait for the next one, so that a walk of any length is bounded."""
    expectations = Expectations("web", [RULE], TODAY, TEXT)

    def changes() -> Iterator[Change]:
        yield FILE._replace(path="/etc/x")
        raise AssertionError("asked for too much")

    assert next(expectations.told(changes())).path == "/etc/x"


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_is_append(before: bytes, after: bytes):
    """The image's content is the beginning of what is there now, byte by byte."""
    lower, upper = os.memfd_create("lower"), os.memfd_create("upper")
    try:
        os.write(lower, before)
        for content in (after, before + after):
            os.truncate(upper, 0)
            os.pwrite(upper, content, 0)
            assert is_append(upper, lower, len(before)) == content.startswith(before)
    finally:
        os.close(lower)
        os.close(upper)


@pytest.fixture
def layers(tmp_path: Path) -> tuple[Path, Path]:
    """An upper directory and an image with one file in each, the upper one longer."""
    upper, image = tmp_path / "upper", tmp_path / "image"
    for place, text in ((upper, "one\ntwo\n"), (image, "one\n")):
        (place / "a/b").mkdir(parents=True)
        (place / "a/b/log").write_text(text)
    (upper / "top").write_bytes(b"\x7fELF and more")
    return upper, image


def _change_of(upper: Path, path: str, what: str = EDITED) -> Change:
    status = (upper / path[1:]).lstat()
    return Change(path, what, "file", inode=(status.st_dev, status.st_ino))


def test_layers_are_read(layers: tuple[Path, Path]):
    """First bytes of the upper file, and the image's beside it; nothing stays open."""
    upper, image = layers
    before = len(list(Path("/proc/self/fd").iterdir()))
    with Layers(str(upper), [str(image)]) as content:
        assert content.head(_change_of(upper, "/top", NEW)) == b"\x7fELF"
        assert content.head(_change_of(upper, "/a/b/log")) == b"one\n"
        assert content.is_appended(_change_of(upper, "/a/b/log"))
        assert not content.is_appended(_change_of(upper, "/top", NEW))
        (image / "a/b/log").write_text("One\n")
        assert not content.is_appended(_change_of(upper, "/a/b/log"))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("trap", ["link", "pipe", "other", "linked directory"])
def test_what_was_put_in_its_place_is_not_read(layers: tuple[Path, Path], trap: str):
    """A link, a pipe, another file, a directory that became a link: each is an error, nothing waits or is followed."""
    upper, image = layers
    change = _change_of(upper, "/a/b/log")
    kept = upper / "kept"
    (upper / "a/b/log").rename(kept)
    if trap == "link":
        (upper / "a/b/log").symlink_to(kept)
    elif trap == "pipe":
        os.mkfifo(upper / "a/b/log")
    elif trap == "other":
        (upper / "a/b/log").write_text("#!")
    else:
        kept.rename(upper / "a/b/log")
        (upper / "a/b").rename(upper / "c")
        (upper / "a/b").symlink_to(upper / "c")
    with Layers(str(upper), [str(image)]) as content, pytest.raises(OSError):  # noqa: PT011 - one of several
        content.head(change)


def test_all_that_is_wrong_with_files_is_told(tmp_path: Path):
    """Of each file and each rule, at once and with its place; an empty file holds no rules."""
    one = write(tmp_path / "one.yaml", "- path: x\n  reason: y\n- {path: /x, whot: new}\n")
    two = write(tmp_path / "two.yaml", "path: /x\n")
    with pytest.raises(SettingsError) as error:
        load_all([one, two, tmp_path / "three.yaml"])
    assert [problem.where for problem in error.value.problems] == [
        f"{one}:1:9",
        f"{one}:3:14",
        f"{one}:3:3",
        f"{two}:1:1",
        f"{tmp_path}/three.yaml",
    ]
    assert load(write(tmp_path / "empty.yaml", "# nothing yet\n")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
@pytest.mark.parametrize("fault", ["group", "others", "owner", "directory", "directory's owner", "behind a link"])
def test_what_others_can_write_is_refused(tmp_path: Path, fault: str):
    """A file of rules, or a directory that leads to it, that somebody but root can change; and a link there."""
    place = tmp_path / "place"
    file = write(place / "rules.yaml", "- {path: /x, reason: y}\n")
    assert len(load(file)) == 1
    if fault in {"group", "others"}:
        file.chmod(0o664 if fault == "group" else 0o646)
    elif fault == "owner":
        os.chown(file, 33, 0)
    elif fault == "directory":
        place.chmod(0o777)
    elif fault == "directory's owner":
        os.chown(place, 33, 0)
    else:
        (tmp_path / "open").mkdir()
        (tmp_path / "open").chmod(0o777)
        (tmp_path / "open/rules.yaml").symlink_to(file)
        file = tmp_path / "open/rules.yaml"
    with pytest.raises(SettingsError, match="rules decide what is reported to root"):
        load(file)


def test_a_services_rules_are_for_its_own_containers(tmp_path: Path):
    """Production, dev and test, each by what its mode says; a pattern of containers makes that no wider."""
    text = (
        "name: shop\ncowscan:\n- {path: /a/x, reason: y, containers: '*'}\ntest_cowscan:\n- {path: /b/x, reason: y}\n"
    )
    write(tmp_path / "web/settings.yaml", text)
    found = {rule.path: rule.only for rule in service_rules(Service(tmp_path / "web"), HostLayers({}, {}))}
    assert found == {"/a/x": {"shop"}, "/b/x": {"dev-shop", "test-shop"}}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_services_rules_that_others_can_write_are_refused(tmp_path: Path):
    """Only where there are any: settings without rules may be whose they are."""
    file = write(tmp_path / "web/settings.yaml", "cowscan:\n- {path: /a/x, reason: y}\n")
    os.chown(file, 33, 0)
    with pytest.raises(SettingsError, match="belongs to uid 33"):
        service_rules(Service(tmp_path / "web"), HostLayers({}, {}))
    write(file, "name: shop\n")
    assert service_rules(Service(tmp_path / "web"), HostLayers({}, {})) == []
