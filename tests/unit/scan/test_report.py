"""What a report looks like, and what it may never contain."""

import base64
import datetime as dt
import json
import os
import random
from pathlib import Path

import pytest

from dockyard.scan.content import Content
from dockyard.scan.layer import DELETED, EDITED, METADATA, NEW, TOUCHED, Change
from dockyard.scan.report import DRIFT, HIGH, INCOMPLETE, LISTED, LOW, MEDIUM, OK, Finding, Scanned, judged, verdict
from dockyard.scan.rules import load, unexpected
from tests.engines.world import write

TODAY = dt.date(2026, 11, 24)
TEXT = Content(lambda _: b"text", lambda _: False)


def random_names(count: int) -> list[str]:
    """Return names of any bytes that a file's may be of."""
    chance = random.Random(7)  # noqa: S311 - names, no secret
    allowed = [byte for byte in range(1, 256) if byte != ord("/")]
    return [os.fsdecode(bytes(chance.choices(allowed, k=chance.randint(1, 40)))) for _ in range(count)]


def test_names_of_any_bytes() -> None:
    """Of 10,000 random names no control byte gets to the terminal, and JSON gives back each exactly."""
    for name in random_names(10_000):
        finding = judged(Change(f"/{name}", NEW, "file"))
        line = finding.line()
        assert line.isprintable(), name
        row = json.loads(json.dumps(finding.row("web")))
        given = os.fsdecode(base64.b64decode(row["path_base64"])) if "path_base64" in row else row["path"]
        assert given == f"/{name}"


def test_escapes_tell_names_apart() -> None:
    """Two names are never printed as one."""
    names = [*random_names(2_000), "a\\x0a", "a\n", "a\\\\x0a", "\udcc3\udca9", "é"]
    lines = {Finding(Change(f"/{name}", NEW, "file"), LOW, "").line() for name in set(names)}
    assert len(lines) == len(set(names))


@pytest.mark.parametrize(
    ("change", "severity"),
    [
        (Change("/x", NEW, "file", mode=0o4755), HIGH),
        (Change("/x", METADATA, "file", mode=0o755, attributes=("security.capability",)), HIGH),
        (Change("/x", NEW, "file", mode=0o755), HIGH),
        (Change("/x", NEW, "device"), HIGH),
        (Change("/x", METADATA, "directory", mode=0o777), HIGH),
        (Change("/etc/passwd", EDITED, "file", mode=0o644), HIGH),
        (Change("/etc/new", NEW, "file", mode=0o644), MEDIUM),
        (Change("/usr/lib/x.py", NEW, "file", mode=0o644), MEDIUM),
        (Change("/srv/x", DELETED, "file", mode=0o4755), MEDIUM),
        (Change("/srv/x", NEW, "file", mode=0o644), LOW),
        (Change("/etc/passwd", TOUCHED, "file", mode=0o4644), LOW),
    ],
)
def test_severity(change: Change, severity: str) -> None:
    """What can give rights comes first, then what can run, then what steers."""
    assert judged(change).severity == severity
    assert judged(change).reason


def test_verdicts() -> None:
    """Drift is drift even where the rest could not be judged; what was only touched is none."""
    new, touched = (judged(Change("/x", what, "file")) for what in (NEW, TOUCHED))
    assert Scanned("a", "1").verdict == OK
    assert Scanned("a", "1", (touched,)).verdict == OK
    assert Scanned("a", "1", unjudged={"gone": 1}).verdict == INCOMPLETE
    both = Scanned("a", "1", (new,), {"gone": 2}, {"gone": "/y"})
    assert both.verdict == DRIFT
    assert any("INCOMPLETE: gone (2, such as /y)" in line for line in both.lines())
    assert verdict([Scanned("a", "1"), both]) == DRIFT
    assert verdict([Scanned("a", "1"), Scanned("b", "2", unjudged={"gone": 1})]) == INCOMPLETE
    assert verdict([]) == OK


def test_flood_is_cut_short() -> None:
    """People see the worst of many, and how many there are; machines see all."""
    many = [judged(Change(f"/srv/{number}", NEW, "file", mode=0o644)) for number in range(LISTED + 50)]
    one = Scanned("a", "1", (*many, judged(Change("/x", NEW, "file", mode=0o4755))))
    lines = one.lines()
    assert lines[0] == f"a: {LISTED + 51} unexpected"
    assert "/x" in lines[1]
    assert lines[-1] == f"  and 51 more (--json lists {LISTED + 51})"
    assert len(one.row()["findings"]) == LISTED + 51


def test_fingerprint_is_the_changes_own() -> None:
    """It stays the same while the change does, and is another in another container or for another mode."""
    change = Change("/x", NEW, "file", mode=0o644, changed=1.0)
    same = judged(change._replace(changed=2.0))
    assert judged(change).fingerprint("a") == same.fingerprint("a")
    assert len({judged(change).fingerprint("a"), same.fingerprint("b")}) == 2
    assert judged(change._replace(mode=0o755)).fingerprint("a") != same.fingerprint("a")


RULE = "- path: /var/log/*.log\n  reason: logs\n"


@pytest.mark.parametrize(
    ("rule", "change", "is_covered"),
    [
        (RULE, Change("/var/log/x.log", NEW, "file", mode=0o644), True),
        (RULE, Change("/var/log/deep/x.log", NEW, "file", mode=0o644), False),
        (RULE, Change("/root/x:/var/log/y.log", NEW, "file", mode=0o644), False),
        (RULE, Change("/srv/var/log/x.log", NEW, "file", mode=0o644), False),
        (RULE, Change("/var/log/x.log", NEW, "file", mode=0o755), False),
        (RULE, Change("/var/log/x.log", DELETED, "file", mode=0o644), False),
        (RULE, Change("/var/log/x.log", NEW, "link"), False),
        (RULE, Change("/var/log/x.log", NEW, "pipe"), False),
        (RULE + "  kinds: pipe\n", Change("/var/log/x.log", NEW, "pipe"), True),
        (RULE + "  what: [deleted]\n", Change("/var/log/x.log", DELETED, "file", mode=0o755), True),
        (RULE + "  executable: true\n", Change("/var/log/x.log", NEW, "file", mode=0o755), True),
        (RULE + "  executable: true\n", Change("/var/log/x.log", NEW, "file", mode=0o4755), False),
        (RULE + "  what: metadata\n", Change("/var/log/x.log", METADATA, "file", mode=0o2644), False),
        (RULE + "  owner: 33\n", Change("/var/log/x.log", NEW, "file", owner=(33, 0)), True),
        (RULE + "  owner: 33\n", Change("/var/log/x.log", NEW, "file", owner=(0, 0)), False),
        (RULE + "  max_size: 10\n", Change("/var/log/x.log", NEW, "file", size=11), False),
        (RULE + "  containers: [web*]\n", Change("/var/log/x.log", NEW, "file"), True),
        (RULE + "  containers: [mail]\n", Change("/var/log/x.log", NEW, "file"), False),
        (RULE + "  until: 2026-11-24\n", Change("/var/log/x.log", NEW, "file"), True),
        (RULE + "  until: 2026-11-23\n", Change("/var/log/x.log", NEW, "file"), False),
        ("- path: /var/log/**\n  reason: x\n", Change("/var/log/a/b", NEW, "file"), True),
        ("- path: /var/log/\n  reason: x\n", Change("/var/log2/b", NEW, "file"), False),
    ],
)
def test_rules(tmp_path: Path, rule: str, change: Change, is_covered: bool) -> None:
    """A rule covers what it says, in the containers and until the day that it says, and no more."""
    file = write(tmp_path / "rules.yaml", rule)
    assert (unexpected("web1", [change], load(file), TODAY, TEXT) == []) == is_covered


def test_all_names_of_a_file(tmp_path: Path) -> None:
    """A file is expected under all of its names, or told under all; one whose other name was not seen is told."""
    rules = load(write(tmp_path / "rules.yaml", RULE))
    one, two = (Change(f"/var/log/{name}.log", NEW, "file", inode=(1, 2), links=2) for name in "ab")
    other = Change("/etc/x", NEW, "file", inode=(1, 2), links=2)
    assert unexpected("web", [one, two], rules, TODAY, TEXT) == []
    assert unexpected("web", [one, other], rules, TODAY, TEXT) == [one, other]
    assert unexpected("web", [one], rules, TODAY, TEXT) == [one]
