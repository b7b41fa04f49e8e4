r"""d-cowscan on real containers: what root in a container can do is found, what is no change is quiet."""

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from dockyard.engine.engine import find_engine
from dockyard.layers.store import store_of
from dockyard.scan.freeze import Freezer, group_of
from dockyard.scan.report import Scanned
from dockyard.scan.scan import Options, scan
from tests.engines.corpus import (
    CHILDREN,
    Corpus,
    attackable,
    attacked,
    end_children,
    expecting,
    lacking,
    named,
    paths,
    scanned,
    settled,
    upper_of,
)
from tests.engines.world import BASE, FROM_BASE, IDLE, LABEL, PROGRAMS, Record, World, wait_for, write

pytest_plugins = ["tests.engines.remapped"]


@pytest.fixture
def image(engine: World) -> Iterator[str]:
    """An image with something to attack; all containers of it go at the end."""
    with attackable(engine) as name:
        yield name


@pytest.fixture(autouse=True)
def children() -> Iterator[None]:
    """End what a test has started."""
    yield
    end_children()


@pytest.mark.matrix
def test_corpus(engine: World, image: str, record_property: Record) -> None:
    """Every attack is found, as what it is done to, and nothing benign is reported; a container each."""
    found = Corpus(engine, image, lacking(engine))
    found.judge("running", record_property)
    found.compare(record_property)
    found.stop()
    found.judge("stopped", record_property, "--all")


@pytest.mark.matrix
def test_corpus_with_users_of_their_own(engine: World, image: str, record_property: Record) -> None:
    """The same in podman's containers that have a map of users each: every file of the image has another owner."""
    if engine.engine != "podman":
        pytest.skip("docker has one map of users for all containers: test_corpus_with_mapped_users")
    options = tuple(word for flag in ("--uidmap", "--gidmap") for word in (flag, "0:200000:65536"))
    found = Corpus(engine, image, {*lacking(engine), "capabilities"}, options=options)
    found.judge("running, with a map of users each", record_property)
    found.stop()
    found.judge("stopped, with a map of users each", record_property, "--all")


@pytest.mark.matrix
def test_corpus_with_mapped_users(remapped: World, record_property: Record) -> None:
    """The same where root in a container is nobody on the host; owners are told as the container sees them."""
    with attackable(remapped) as image:
        found = Corpus(remapped, image, {"devices", "capabilities", "podman"})
        found.judge("running, with mapped users", record_property)
        found.stop()
        found.judge("stopped, with mapped users", record_property, "--all")
        attacked(remapped, image, "dyt-cow-owner", "chown 33:34 /app/conf/two")
        settled(remapped, ["dyt-cow-owner"])
        told = scanned(remapped)["dyt-cow-owner"]["findings"][0]
    assert told["owner"] == [33, 34]
    assert told["detail"] == ["owner 0:0 → 33:34"]


def test_text_for_people(engine: World, image: str) -> None:
    """No control byte is printed; `all ok` alone where nothing is to be told; rules say what is expected."""
    attacked(
        engine, image, named(engine, "text"), "echo x >\"$(printf '/app/a\\033[2J\\nall ok')\"; chmod 4755 /app/tool"
    )
    settled(engine, [named(engine, "text")])
    told = engine.run("d-cowscan", named(engine, "text"), expect=1)
    assert r"/app/a\x1b[2J\x0aall ok" in told.stdout
    assert "it gives privileges to any user who runs it" in told.stdout
    assert "all ok" not in told.stdout.splitlines()
    engine.run("d-cowscan", "--ack", named(engine, "text"), "--reason", "a test")
    rules = expecting(engine, "rules.yaml", "path: /app/**\n  reason: a test\n  containers: dyt-cow*")
    engine.call("exec", named(engine, "text"), "chmod", "2755", "/app/tool")
    covered = engine.run("d-cowscan", "-i", rules, named(engine, "text"), expect=1).stdout
    assert r"\x1b" not in covered
    assert "/app/tool" in covered


@pytest.mark.matrix
def test_all_ok(engine: World, image: str) -> None:
    """Where nothing has changed but what a rule expects, that is all it says; a program is not what it expects."""
    attacked(engine, image, named(engine, "ok"), "echo x >/app/x")
    settled(engine, [named(engine, "ok")])
    rules = expecting(engine, "rules.yaml", "path: /app/x\n  reason: a test")
    assert engine.run("d-cowscan", "-i", rules, named(engine, "ok")).stdout == "all ok\n"
    engine.call("exec", named(engine, "ok"), "chmod", "+x", "/app/x")
    assert "/app/x" in engine.run("d-cowscan", "-i", rules, named(engine, "ok"), expect=1).stdout
    late = expecting(engine, "late.yaml", "path: /app/x\n  reason: a test\n  executable: true\n  until: 2020-01-01")
    assert "/app/x" in engine.run("d-cowscan", "-i", late, named(engine, "ok"), expect=1).stdout


def test_rule_covers_no_other_name_of_a_file(engine: World, image: str) -> None:
    """A hard link of an expected name is told, under both names."""
    attacked(engine, image, named(engine, "link"), "echo x >/app/x; ln /app/x /etc/y")
    settled(engine, [named(engine, "link")])
    rules = expecting(engine, "rules.yaml", "path: /app/x\n  reason: a test")
    assert paths(scanned(engine, "-i", str(rules), expect=1)[named(engine, "link")]) == {"/app/x", "/etc/y"}


def test_alert_stays_until_acknowledged(engine: World, image: str) -> None:
    """What was undone is still told, until somebody accepts it with a reason; if it comes back, it is told again."""
    attacked(engine, image, named(engine, "alert"), "echo x >/app/x")
    settled(engine, [named(engine, "alert")])
    rules = expecting(engine, "rules.yaml")

    def told(expect: int) -> str:
        return engine.run("d-cowscan", "-i", rules, named(engine, "alert"), expect=expect).stdout

    assert "/app/x" in told(1)
    engine.call("exec", named(engine, "alert"), "rm", "/app/x")
    assert "still raised" in told(1)
    engine.run("d-cowscan", "--ack", named(engine, "alert"), expect=2)
    engine.run("d-cowscan", "--ack", named(engine, "alert"), "--reason", "a test")
    assert told(0) == "all ok\n"
    engine.call("exec", named(engine, "alert"), "sh", "-c", "echo y >/app/x")
    assert "/app/x" in told(1)


@pytest.mark.matrix
def test_removal_is_effective_and_can_be_undone(engine: World, image: str) -> None:
    """-R has the container see its image's files again, while it runs; --restore puts back what was taken."""
    script = "cd /app; echo x >new; echo evil >>conf/two; rm -r data; chmod 4755 tool; mkdir d; touch d/x"
    attacked(engine, image, named(engine, "rm"), script)
    settled(engine, [named(engine, "rm")])
    rules = expecting(engine, "rules.yaml")
    told = json.loads(engine.run("d-cowscan", "-R", "--json", "-i", rules, named(engine, "rm"), expect=1).stdout)
    (removed,) = told["removed"]
    assert removed["refused"] == []
    look = "cat /app/conf/two /app/data/deep/deeper/three; ls /app; stat -c %a /app/tool"
    assert engine.call("exec", named(engine, "rm"), "sh", "-c", look).split() == [
        "two",
        "three",
        "conf",
        "data",
        "tool",
        "755",
    ]
    assert scanned(engine, named(engine, "rm"))[named(engine, "rm")]["findings"] == []
    assert any(
        row["tar"] == removed["tar"] for row in json.loads(engine.run("d-cowscan", "--quarantined", "--json").stdout)
    )
    engine.run("d-cowscan", "--restore", removed["tar"])
    changed = {"/app/new", "/app/conf/two", "/app/data", "/app/tool", "/app/d", "/app/d/x"}
    assert paths(scanned(engine, named(engine, "rm"))[named(engine, "rm")]) == changed
    assert engine.call("exec", named(engine, "rm"), "cat", "/app/conf/two") == "two\nevil\n"
    Path(removed["tar"]).unlink()


def test_tokens_prove_that_it_sees(engine: World, image: str) -> None:
    """With --prove each kind of change is made, found and undone; a token that cannot be made is INCOMPLETE."""
    attacked(engine, image, named(engine, "token"), "true")
    settled(engine, [named(engine, "token")])
    one = scanned(engine, "--prove", named(engine, "token"), expect=0)[named(engine, "token")]
    assert one["proven"] == ["new", "edited", "deleted", "metadata"]
    assert scanned(engine, "--no-token", named(engine, "token"), expect=0)[named(engine, "token")]["proven"] == []
    assert engine.call("exec", named(engine, "token"), "sh", "-c", "cat /usr/share/doc/tool/*").split() == [
        "a",
        "b",
        "c",
        "d",
    ]
    assert "token" not in engine.call("exec", named(engine, "token"), "find", "/", "-xdev", "-name", "*token*")
    forged = ("--token_container", named(engine, "token"), "--token_file", "/app/conf/one")
    one = scanned(engine, *forged, named(engine, "token"), expect=5)[named(engine, "token")]
    assert "no canary could be created" in one["incomplete"][0]["reason"]
    placed = ("--token_container", named(engine, "token"), "--token_file", "/app/conf/new")
    assert scanned(engine, *placed, named(engine, "token"), expect=0)[named(engine, "token")]["proven"] == ["new"]


def test_token_is_made_through_no_link(engine: World, image: str) -> None:
    """A link in the way of a token's file leads nowhere: nothing is made on the host, and the scan says so."""
    attacked(engine, image, named(engine, "leak"), f"ln -s {engine.root} /app/l; ln -s {engine.root}/leak /app/m")
    settled(engine, [named(engine, "leak")])
    for file in ("/app/l/leak", "/app/m"):
        words = ("--token_container", named(engine, "leak"), "--token_file", file, named(engine, "leak"))
        assert "no canary" in scanned(engine, *words, expect=1)[named(engine, "leak")]["incomplete"][0]["reason"]
    assert not (engine.root / "leak").exists()


@pytest.mark.matrix
def test_moving_file_is_never_missed(engine: World, image: str, record_property: Record) -> None:
    """A file that is moved around while a container is read is found in each of 300 scans, frozen or followed."""
    script = "for i in $(seq 60); do mkdir -p /app/d$i; for j in 1 2 3; do touch /app/d$i/$j; done; done"
    move = "echo x >/app/d1/moving; while :; do for i in $(seq 2 60) 1; do mv /app/d*/moving /app/d$i/; done; done &"
    attacked(engine, image, named(engine, "move"), f"{script}; {move}")
    settled(engine, [named(engine, "move")])
    for how, count in (("frozen", 300), ("watched", 50)):
        missed = paused = 0.0
        for one in scans(engine, named(engine, "move"), count, freeze=how == "frozen"):
            paused = max(paused, one.paused)
            assert one.how == how, one.notes
            is_told = any(finding.change.path.endswith("/moving") for finding in one.findings)
            missed += not is_told and one.verdict != "INCOMPLETE" and not one.unjudged
        assert missed == 0
        told = f", {paused * 1000:.1f} ms frozen at the most" if how == "frozen" else ""
        record_property("figure", f"{engine.engine}: a moving file missed in 0 of {count} scans, {how}{told}")


def scans(engine: World, name: str, count: int, *, freeze: bool) -> Iterator[Scanned]:
    """Scan a container again and again, within this process.

    It may stand still for as long as the scan takes: on a busy host that can be more than the cap, after which it would
    be watched.
    """
    client = find_engine(engine.engine)
    with mock.patch.dict(os.environ, engine.environment), Freezer(cap=10) as freezer:
        container = client.containers([name])[0]
        options = Options(entries=client.dialect.entries)
        for _ in range(count):
            yield scan(container, store_of(client), options, freezer=freezer if freeze else None)


@pytest.mark.matrix
def test_frozen_container_goes_on_when_the_scan_is_killed(engine: World, image: str) -> None:
    """Whoever kills the scan while a container stands still: its guard lets it go on."""
    attacked(engine, image, named(engine, "freeze"), "true")
    settled(engine, [named(engine, "freeze")])
    container = engine.inspect(named(engine, "freeze"))
    group = group_of(container["Id"], container["State"]["Pid"])
    killed = os.fork()
    if not killed:
        with Freezer(cap=30).frozen(group):
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(killed, 0)
    wait_for(lambda: not group.is_still(), "the end of the freeze")


@pytest.mark.matrix
def test_what_no_source_declares(engine: World) -> None:
    """An image that is not live, one with layers of nobody's, a mount that settings lack, a container of no service."""
    settings = {"cmd": IDLE, "stop_timeout": 1, "autostart": 1}
    scripts = {"Test": "#!/bin/sh\n"}
    service = engine.service(settings, dockerfile=FROM_BASE, files={"version": "1"}, scripts=scripts)
    engine.d("upgrade", service.name)
    assert scanned(engine, service.name, expect=0)[service.name]["findings"] == []

    def undeclared() -> set[tuple[str, str]]:
        told = scanned(engine, service.name, expect=1)[service.name]["findings"]
        return {(finding["kind"], finding["detail"][0]) for finding in told if finding["group"] == "undeclared"}

    engine.call("exec", service.name, "sh", "-c", "echo evil >/evil")
    live = engine.tags(service.name)["live"]
    engine.call("commit", service.name, f"dytest/{service.name}:live")
    assert ("image", f"{service.name} is to run {engine.tags(service.name)['live'][:12]}") in undeclared()
    engine.d("restart", service.name)
    assert ("image", "it has more layers than its source has built") in undeclared()
    engine.call("tag", live, f"dytest/{service.name}:live")
    write(service / "settings.yaml", json.dumps({**settings, "tmpfs": "/passing"}))
    engine.d("restart", service.name)
    write(service / "settings.yaml", json.dumps(settings))
    assert ("mount", f"the settings of {service.name} do not declare it") in undeclared()
    engine.call(
        "run", "-d", "--name", named(engine, "alien"), "--label", LABEL, "--network", "none", BASE, "sleep", "1000"
    )
    told = json.loads(engine.run("d-cowscan", "--json", named(engine, "alien"), expect=1).stdout)["containers"][0]
    assert [(one["kind"], one["reason"]) for one in told["findings"]] == [
        ("container", "no source declares this container")
    ]


@pytest.mark.matrix
def test_watching_tells_at_once(engine: World, image: str) -> None:
    """--watch tells what is changed while it watches, and what a container did that is removed as it ends."""
    attacked(engine, image, named(engine, "watch"), "true")
    settled(engine, [named(engine, "watch")])
    rules = expecting(engine, "rules.yaml")
    log = engine.root / "watch.log"
    with log.open("w") as file:
        program = (str(PROGRAMS / "d-cowscan"), "--watch", "-i", str(rules))
        child = subprocess.Popen(program, stdout=file, stderr=file, env=dict(engine.environment), cwd=engine.root)
    CHILDREN.append(child)

    def told(text: str) -> Callable[[], bool]:
        return lambda: text in log.read_text()

    engine.call("exec", named(engine, "watch"), "sh", "-c", "sleep 3; echo x >/app/first")
    wait_for(told("/app/first"), "the first alert", 30)
    engine.call("exec", named(engine, "watch"), "chmod", "4755", "/app/tool")
    wait_for(told("/app/tool"), "the second alert", 30)
    engine.call("exec", named(engine, "watch"), "sh", "-c", "cp /usr/bin/busybox /app/true; /app/true; rm /app/true")
    wait_for(told("/app/true"), "the alert of what was gone at once", 30)
    attacked(engine, image, named(engine, "brief"), "sleep 3; echo x >/app/last", "--rm")
    settled(engine, [named(engine, "brief")])
    wait_for(told("/app/last"), "the third alert", 30)
    child.terminate()
    assert child.wait(30) == 0, log.read_text()


def test_linter_and_proposals(engine: World, image: str) -> None:
    """A rule that is never used is told; a proposal, with a reason written into it, expects what was found."""
    attacked(engine, image, named(engine, "lint"), "echo x >/app/conf/new")
    settled(engine, [named(engine, "lint")])
    rules = expecting(engine, "rules.yaml", "path: /app/never\n  reason: a test")
    assert "never" in engine.run("d-cowscan", "--lint", "-i", rules, named(engine, "lint"), expect=1).stdout
    text = engine.run("d-cowscan", "--suggest", "-i", rules, named(engine, "lint")).stdout
    assert "/app/conf/new" in text
    write(
        engine.root / "own.yaml", text.replace("reason: ''", "reason: a test").replace('reason: ""', "reason: a test")
    )
    assert (
        engine.run("d-cowscan", "-i", rules, "-i", engine.root / "own.yaml", named(engine, "lint")).stdout == "all ok\n"
    )


@pytest.mark.matrix
def test_stopped_ones_are_scanned_where_asked_for(engine: World, image: str) -> None:
    """A container that was stopped keeps what it changed: --all tells it."""
    attacked(engine, image, named(engine, "stop"), "echo x >/app/x")
    settled(engine, [named(engine, "stop")])
    engine.call("stop", "-t", "0", named(engine, "stop"))
    assert named(engine, "stop") not in scanned(engine)
    assert paths(scanned(engine, "--all")[named(engine, "stop")]) == {"/app/x"}


@pytest.mark.matrix
def test_scan_leaves_no_trace(engine: World, image: str) -> None:
    """Not even a time of access is another in the upper directory; but for links, which no call reads without."""
    attacked(engine, image, named(engine, "trace"), "echo x >>/app/conf/two; cp /bin/sh /app/nc; mkdir /app/d")
    settled(engine, [named(engine, "trace")])
    upper = Path(upper_of(engine, named(engine, "trace")))
    entries = [upper, *(entry for entry in upper.rglob("*") if not entry.is_symlink())]

    def times() -> list[tuple[str, int, int, int]]:
        found = [(str(one), one.lstat()) for one in entries]
        return [(name, one.st_atime_ns, one.st_mtime_ns, one.st_ctime_ns) for name, one in found]

    for entry in entries:
        os.utime(entry, ns=(1, entry.lstat().st_mtime_ns), follow_symlinks=False)  # older than relatime leaves alone
    before = times()
    assert len(paths(scanned(engine, "--no-token")[named(engine, "trace")])) == 3
    assert times() == before


def test_wrong_rules(engine: World) -> None:
    """A rule that covers everything, a word that nobody knows, no reason: each is told with its place."""
    wrong = {
        "- path: '/**'\n  reason: x": "covers everything",
        "- path: log\n  reason: x": "does not begin with `/`",
        "- path: /x": "`reason` is missing",
        "- path: /x\n  reason: x\n  whot: new": "unknown key `whot`",
        "- path: /x\n  reason: x\n  what: gone": "not `gone`",
        "- path: /x\n  reason: x\n  until: soon": "must be a day",
        "path: /x": "expected a list",
        "- [": "not valid YAML",
    }
    rules = engine.root / "wrong.yaml"
    for text, reason in wrong.items():
        write(rules, text)
        told = engine.run("d-cowscan", "-i", rules, expect=2).stderr
        assert reason in told, text
        assert str(rules) in told


def test_sources_that_cannot_be_read(engine: World, image: str) -> None:
    """Containers are scanned all the same, and told as not compared with their sources: no ok."""
    attacked(engine, image, named(engine, "lost"), "true")
    settled(engine, [named(engine, "lost")])
    told = engine.run("d-cowscan", named(engine, "lost"), env={"D_SRC_DIR": "/nowhere"}, expect=5).stdout
    assert "INCOMPLETE: not compared with its source: /nowhere: No such file or directory" in told
