r"""d-cowscan on real containers: what root in a container can do is found, what is no change is quiet."""

import base64
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.engines.world import BASE, LABEL, Record, World, wait_for, write

pytest_plugins = ["tests.engines.remapped"]

IMAGE = f"""FROM {BASE}
LABEL {LABEL}
RUN mkdir -p /app/conf /app/data/deep/deeper && echo one >/app/conf/one && echo two >/app/conf/two \
 && echo three >/app/data/deep/deeper/three && ln -s one /app/conf/link && chmod 755 /app/conf/one \
 && touch -d 2024-01-01 /app/conf/* && cp /bin/sh /app/tool
"""

ATTACKS: dict[str, tuple[str, set[str]]] = {
    "a new file": ("echo x >/app/new", {"/app/new"}),
    "a new program": ("cp /bin/sh /app/nc", {"/app/nc"}),
    "an edited program, size and time kept": (
        (
            "touch -r /app/tool /dev/shm/t; printf X | dd of=/app/tool bs=1 seek=99 conv=notrunc; "
            "touch -r /dev/shm/t /app/tool"
        ),
        {"/app/tool"},
    ),
    "a replaced file, size and time kept": (
        (
            "cp -p /app/conf/one /app/conf/n; echo eno >/app/conf/n; touch -r /app/conf/one /app/conf/n; "
            "mv /app/conf/n /app/conf/one"
        ),
        {"/app/conf/one"},
    ),
    "appended": ("echo x >>/app/conf/two", {"/app/conf/two"}),
    "emptied": (": >/app/conf/two", {"/app/conf/two"}),
    "setuid": ("chmod 4755 /app/tool", {"/app/tool"}),
    "setgid": ("chmod 2755 /app/tool", {"/app/tool"}),
    "executable": ("chmod +x /app/conf/two", {"/app/conf/two"}),
    "another owner": ("chown 33:33 /app/conf/two", {"/app/conf/two"}),
    "a directory for all": ("chmod 777 /app/conf", {"/app/conf"}),
    "a directory of another": ("chown 33 /app/conf", {"/app/conf"}),
    "deleted": ("rm /app/conf/two", {"/app/conf/two"}),
    "a directory deleted": ("rm -r /app/data", {"/app/data"}),
    "a directory made anew": ("rm -r /app/data; mkdir /app/data", {"/app/data/deep"}),
    "a directory made anew, with a file": (
        "rm -r /app/data; mkdir -p /app/data; touch /app/data/x",
        {"/app/data/deep", "/app/data/x"},
    ),
    "a file in a directory's place": ("rm -r /app/data; echo x >/app/data", {"/app/data", "/app/data/deep"}),
    "a directory in a file's place": (
        "rm /app/conf/two; mkdir /app/conf/two; touch /app/conf/two/x",
        {"/app/conf/two", "/app/conf/two/x"},
    ),
    "a link in a file's place": ("rm /app/conf/two; ln -s /etc/shadow /app/conf/two", {"/app/conf/two"}),
    "a link in a directory's place": ("rm -r /app/data; ln -s /etc /app/data", {"/app/data", "/app/data/deep"}),
    "a file in a link's place": ("rm /app/conf/link; echo x >/app/conf/link", {"/app/conf/link"}),
    "a link that leads elsewhere": ("ln -sfn two /app/conf/link", {"/app/conf/link"}),
    "a new link": ("ln -s /etc/passwd /app/l", {"/app/l"}),
    "a new link to a directory": ("ln -s / /app/l", {"/app/l"}),
    "a new hard link": ("ln /app/conf/two /app/hard", {"/app/hard"}),
    "an empty directory": ("mkdir /app/empty", {"/app/empty"}),
    "a pipe": ("mkfifo /app/pipe", {"/app/pipe"}),
    "a device": ("mknod /app/null c 1 3", {"/app/null"}),
    "a hidden name": ("echo x >/app/.hidden", {"/app/.hidden"}),
    "a name like a whiteout": ("echo x >/app/.wh.x", {"/app/.wh.x"}),
    "a name with a line break": ("echo x >'/app/a\nall ok'", {"/app/a\nall ok"}),
    "a name with an escape": ("echo x >\"$(printf '/app/\\033[2J')\"", {"/app/\x1b[2J"}),
    "a name that is no text": ("echo x >\"$(printf '/app/\\377')\"", {"/app/\udcff"}),
    "renamed": ("mv /app/conf/two /app/conf/other", {"/app/conf/two", "/app/conf/other"}),
    "swapped": (
        "mv /app/conf/one /t; mv /app/conf/two /app/conf/one; mv /t /app/conf/two",
        {"/app/conf/one", "/app/conf/two"},
    ),
    "deep": ("mkdir -p /app/a/b/c/d/e; echo x >/app/a/b/c/d/e/f", {"/app/a/b/c/d/e/f"}),
    "past the longest path": (
        (
            "cd /app; n=$(printf %0200d 0); for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; "
            "do mkdir $n; cd $n; done; echo x >payload"
        ),
        {f"/app/{'/'.join(['0' * 200] * 20)}/payload"},
    ),
    "in an executable's directory": ("echo x >/usr/bin/x", {"/usr/bin/x"}),
    "users": ("echo evil::0:0::/:/bin/sh >>/etc/passwd", {"/etc/passwd"}),
    "the root directory": ("echo x >/x", {"/x"}),
    "in /tmp": ("mkdir -p /tmp; echo x >/tmp/x", {"/tmp/x"}),  # noqa: S108 - inside
    "in /run": ("mkdir -p /run/y; echo x >/run/y/x", {"/run/y/x"}),
}
"""What is done, and paths that have to be among the findings."""

BENIGN: dict[str, str] = {
    "nothing": "true",
    "read": "cat /app/conf/* >/dev/null",
    "times alone": "touch /app/conf/two",
    "times of a directory": "touch /app/conf",
    "copied up, unchanged": ": >>/app/conf/two",
    "the same mode": "chmod 755 /app/conf/one",
    "the same owner": "chown 0:0 /app/conf/two",
    "came and went": "echo x >/app/x; rm /app/x",
    "edited and restored": "cp /app/conf/two /dev/shm/t; echo x >>/app/conf/two; cat /dev/shm/t >/app/conf/two",
    "a directory made anew as it was": "cp -rp /app/data /dev/shm/d; rm -r /app/data; cp -rp /dev/shm/d /app/data",
    "renamed and back": "mv /app/conf/two /app/conf/x; mv /app/conf/x /app/conf/two",
    "in a volume": "echo x >/volume/x; mkdir /volume/deep/er",
    "in a tmpfs": "cp /bin/sh /dev/shm/x",
}


def scanned(engine: World, *words: str, expect: int | None = None) -> dict[str, Any]:
    """Return what d-cowscan tells of each container, by name."""
    told = json.loads(engine.run("d-cowscan", "--json", *words, expect=expect).stdout)
    return {one["container"]: one for one in told["containers"]}


def paths(told: dict[str, Any]) -> set[str]:
    """Return the exact paths of the findings."""
    return {
        os.fsdecode(base64.b64decode(finding["path_base64"])) if "path_base64" in finding else finding["path"]
        for finding in told["findings"]
    }


@pytest.fixture
def image(engine: World) -> Iterator[str]:
    """An image with something to attack; all containers of it go at the end."""
    with attackable(engine) as name:
        yield name


@contextmanager
def attackable(engine: World) -> Iterator[str]:
    """Have such an image."""
    directory = engine.root / "cowscan-image"
    write(directory / "Dockerfile", IMAGE)
    engine.call("build", "-t", "dytest/dyt-cow:latest", str(directory))
    yield "dytest/dyt-cow:latest"
    for name in engine.containers("dyt-cow"):
        engine.call("rm", "-f", name)


def attacked(engine: World, image: str, name: str, script: str) -> None:
    """Have a container in which a script has run, and that goes on."""
    volume = engine.root / f"volume-{name}"
    for place in (volume, volume / "deep"):
        place.mkdir(exist_ok=True)
        place.chmod(0o777)
    mounts = ("-v", f"{volume}:/volume", "-v", f"{volume}:/mnt/one/two")
    done = "touch /volume/done"
    engine.call(
        *("run", "-d", "--name", name, "--label", LABEL, "--cap-add", "MKNOD", *mounts),
        *(image, "sh", "-c", f"( {script}\n) >/volume/log 2>&1\n{done}\nsleep 1000"),
    )


def settled(engine: World, names: list[str]) -> None:
    """Wait until all scripts have run."""

    def is_done() -> bool:
        return all((engine.root / f"volume-{name}/done").exists() for name in names)

    wait_for(is_done, "the end of the scripts", 60)


def test_corpus(engine: World, image: str, record_property: Record) -> None:
    """Every attack is found, as what it is done to, and nothing benign is told; a container each."""
    record_property("figure", f"{engine.engine} d-cowscan: {corpus(engine, image)}")


def test_corpus_with_mapped_users(remapped: World, record_property: Record) -> None:
    """The same where root in a container is nobody on the host; owners are told as the container sees them."""
    with attackable(remapped) as image:
        record_property("figure", f"docker with mapped users, d-cowscan: {corpus(remapped, image, 'a device')}")
        attacked(remapped, image, "dyt-cow-owner", "chown 33:34 /app/conf/two")
        settled(remapped, ["dyt-cow-owner"])
        told = scanned(remapped)["dyt-cow-owner"]["findings"][0]
    assert told["owner"] == [33, 34]
    assert told["detail"] == ["owner 0:0 → 33:34"]


def corpus(engine: World, image: str, *impossible: str) -> str:
    """Attack, but for what the engine does not let happen, scan, and return the figures."""
    names = {f"dyt-cow-a{number}": attack for number, attack in enumerate(ATTACKS) if attack not in impossible}
    quiet = {f"dyt-cow-b{number}": benign for number, benign in enumerate(BENIGN)}
    for name, attack in names.items():
        attacked(engine, image, name, ATTACKS[attack][0])
    for name, benign in quiet.items():
        attacked(engine, image, name, BENIGN[benign])
    settled(engine, [*names, *quiet])
    told = scanned(engine, expect=1)
    found = {attack: paths(told[name]) for name, attack in names.items()}
    missed = {attack: found[attack] for attack in found if not ATTACKS[attack][1] <= found[attack]}
    alarms = {benign: told[name] for name, benign in quiet.items() if told[name]["verdict"] != "ok"}
    assert missed == {}
    assert alarms == {}
    assert {name: one["incomplete"] for name, one in told.items() if one["incomplete"]} == {}
    return f"{len(found) - len(missed)} of {len(found)} attacks found, {len(alarms)} of {len(quiet)} benign told"


def test_text_for_people(engine: World, image: str) -> None:
    """No control byte is printed; `all ok` alone where nothing is to be told; rules say what is expected."""
    attacked(engine, image, "dyt-cow-text", "echo x >\"$(printf '/app/a\\033[2J\\nall ok')\"; chmod 4755 /app/tool")
    settled(engine, ["dyt-cow-text"])
    told = engine.run("d-cowscan", expect=1)
    assert r"/app/a\x1b[2J\x0aall ok" in told.stdout
    assert "it gives rights to whoever runs it" in told.stdout
    assert "all ok" not in told.stdout.splitlines()
    rules = engine.root / "rules.yaml"
    write(rules, "- path: /app/**\n  reason: a test\n  containers: dyt-cow*\n")
    covered = engine.run("d-cowscan", "-i", rules, expect=1).stdout
    assert r"\x1b" not in covered
    assert "/app/tool" in covered


def test_all_ok(engine: World, image: str) -> None:
    """Where nothing has changed but what a rule expects, that is all it says; a program is not what it expects."""
    attacked(engine, image, "dyt-cow-ok", "echo x >/app/x")
    settled(engine, ["dyt-cow-ok"])
    rules = engine.root / "rules.yaml"
    write(rules, "- path: /app/x\n  reason: a test\n")
    assert engine.run("d-cowscan", "-i", rules).stdout == "all ok\n"
    engine.call("exec", "dyt-cow-ok", "chmod", "+x", "/app/x")
    assert "/app/x" in engine.run("d-cowscan", "-i", rules, expect=1).stdout
    write(rules, "- path: /app/x\n  reason: a test\n  executable: true\n  until: 2020-01-01\n")
    assert "/app/x" in engine.run("d-cowscan", "-i", rules, expect=1).stdout


def test_rule_covers_no_other_name_of_a_file(engine: World, image: str) -> None:
    """A hard link of an expected name is told, under both names."""
    attacked(engine, image, "dyt-cow-link", "echo x >/app/x; ln /app/x /etc/y")
    settled(engine, ["dyt-cow-link"])
    rules = engine.root / "rules.yaml"
    write(rules, "- path: /app/x\n  reason: a test\n")
    told = json.loads(engine.run("d-cowscan", "--json", "-i", rules, expect=1).stdout)
    assert paths(told["containers"][0]) == {"/app/x", "/etc/y"}


def test_stopped_ones_are_scanned_where_asked_for(engine: World, image: str) -> None:
    """A container that was stopped keeps what it changed: --all tells it."""
    attacked(engine, image, "dyt-cow-stop", "echo x >/app/x")
    settled(engine, ["dyt-cow-stop"])
    engine.call("stop", "-t", "0", "dyt-cow-stop")
    assert "dyt-cow-stop" not in scanned(engine)
    assert paths(scanned(engine, "--all")["dyt-cow-stop"]) == {"/app/x"}


def test_scan_leaves_no_trace(engine: World, image: str) -> None:
    """Not even a time of access is other than before in the upper directory."""
    attacked(engine, image, "dyt-cow-trace", "echo x >>/app/conf/two; cp /bin/sh /app/nc; mkdir /app/d")
    settled(engine, ["dyt-cow-trace"])
    upper = Path(engine.inspect("dyt-cow-trace")["GraphDriver"]["Data"]["UpperDir"])
    entries = [upper, *upper.rglob("*")]

    def times() -> list[tuple[str, int, int, int]]:
        found = [(str(one), one.lstat()) for one in entries]
        return [(name, one.st_atime_ns, one.st_mtime_ns, one.st_ctime_ns) for name, one in found]

    for entry in entries:
        os.utime(entry, ns=(1, entry.lstat().st_mtime_ns), follow_symlinks=False)  # older than relatime leaves alone
    before = times()
    assert len(paths(scanned(engine)["dyt-cow-trace"])) == 3
    assert times() == before


def test_wrong_rules(engine: World) -> None:
    """A rule that covers everything, a word that nobody knows, no reason: each is told with its place."""
    wrong = {
        "- path: '/**'\n  reason: x": "covers everything",
        "- path: log\n  reason: x": "does not begin with `/`",
        "- path: /x": "no `reason`",
        "- path: /x\n  reason: x\n  whot: new": "unknown key `whot`",
        "- path: /x\n  reason: x\n  what: gone": "none of new",
        "- path: /x\n  reason: x\n  until: soon": "not a day",
        "path: /x": "not a list",
        "- [": "no YAML",
    }
    rules = engine.root / "wrong.yaml"
    for text, reason in wrong.items():
        write(rules, text)
        told = engine.run("d-cowscan", "-i", rules, expect=2).stderr
        assert reason in told, text
        assert str(rules) in told
