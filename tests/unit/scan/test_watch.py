"""Watching a real overlay, with an engine's client that tells what a test has it tell."""

import argparse
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dockyard.cli import scanning
from dockyard.errors import DockyardError
from dockyard.scan import engine_events, schedule
from dockyard.scan.engine_events import EngineEvent, EngineEvents, event_from, events_argv
from dockyard.scan.fanotify import Batch, Journal
from dockyard.scan.schedule import EVERYTHING, Moved
from dockyard.scan.watch import Tasks, Watcher, watch
from tests.unit.scan.conftest import Layered

ID = "1" * 64
LIMIT = 500  # turns within which anything happens that is waited for


class World:
    """What the watcher asks for and is told; `scans` are the ids of each scan, None for all."""

    def __init__(self, uppers: Mapping[str, str]) -> None:
        self.uppers = dict(uppers)
        self.scans: list[dict[str, Moved] | None] = []
        self.moved: list[Mapping[str, Moved]] = []
        self.captured: list[tuple[str, list[str]]] = []
        self.lost: list[tuple[str, str, str]] = []
        self.told: list[str] = []
        self.news: Collection[str] = ()
        self.fails = 0
        self.known: set[str] = set()

    def _uppers(self) -> dict[str, str]:
        self.known |= self.uppers.keys()
        return self.uppers

    def _scan(self, moved: Mapping[str, Moved], everything: bool) -> Collection[str]:
        self.scans.append(None if everything else dict(moved))
        self.moved.append(moved)
        if self.fails:
            self.fails -= 1
            raise DockyardError("the engine does not answer")
        return self.news

    def _capture(self, container: str, path: str, _moved: Moved) -> None:
        self.known.remove(container)  # each is looked at for the last time once, until it has been asked for again
        self.captured.append((container, sorted(os.listdir(path))))  # noqa: PTH208 - as the scan reads it

    def tasks(self) -> Tasks:
        """What is done for the watcher."""
        lost = lambda *words: self.lost.append(words)  # noqa: E731 - one line
        return Tasks(self._uppers, self._scan, self._capture, lost, self.told.append)


_PASSING_ON = 'while read -r line && [ "$line" != end ]; do printf "%s\\n" "$line"; done'


class Client:
    """An engine's client: it writes what `say` is given, until `restart`."""

    def __init__(self, directory: Path) -> None:
        self.program = directory / "engine"
        self._pipe = directory / "pipe"
        os.mkfifo(self._pipe)
        self.program.write_text(f'#!/bin/sh\necho "$@" >> {directory}/calls\n{_PASSING_ON} < {self._pipe}\n')
        self.program.chmod(0o755)
        self._writing = os.open(self._pipe, os.O_RDWR | os.O_CLOEXEC)
        self.calls = directory / "calls"

    def say(self, *lines: str) -> None:
        """Have the client write lines."""
        os.write(self._writing, "".join(f"{line}\n" for line in lines).encode())

    def restart(self) -> None:
        """Have the client end."""
        self.say("end")

    def close(self) -> None:
        """Have nobody at the other end."""
        os.close(self._writing)


def told(action: str, identifier: str = ID, kind: str = "container", number: int = 0) -> str:
    """Return a line as docker writes it."""
    actor = {"ID": identifier, "Attributes": {"name": "web"}}
    return json.dumps({"Type": kind, "Action": action, "Actor": actor, "timeNano": number})


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """A client that runs."""
    one = Client(tmp_path)
    yield one
    one.close()


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses are as short as may be: their lengths are tested elsewhere."""
    monkeypatch.setattr(schedule, "PAUSE", 0.001)
    monkeypatch.setattr(schedule, "LONGEST", 0.002)
    monkeypatch.setattr(schedule, "SHARE", 0)
    monkeypatch.setattr(engine_events, "FIRST_PAUSE", 0.001)


@contextmanager
def watching(world: World, client: Client) -> Iterator[Watcher]:
    """Yield a watcher that has looked at everything for the first time."""
    hangups, hanging = os.pipe()
    engine = EngineEvents(str(client.program), time.time())
    with Journal() as journal:
        watcher = Watcher(world.tasks(), journal, engine, hangups)
        try:
            watcher.turn()
            assert world.scans == [None]
            world.scans.clear()
            yield watcher
        finally:
            engine.close()
            os.close(hangups)
            os.close(hanging)


def until(watcher: Watcher, is_so: Callable[[], bool]) -> None:
    """Let the watcher go on until something is so."""
    for _ in range(LIMIT):
        if is_so():
            return
        watcher.turn()
    pytest.fail("it did not come to that")


def others_do(script: str, directory: Path) -> None:
    """Run a script as another process."""
    subprocess.run(("sh", "-ec", script), cwd=directory, check=True)  # noqa: S607


def test_change_is_scanned(layered: Layered, client: Client) -> None:
    """What moved is told to the scan, and that container alone is scanned."""
    other = layered.system / "other"
    other.mkdir()
    world = World({ID: str(layered.upper), "2": str(other)})
    with watching(world, client) as watcher:
        others_do("echo a > new", layered.merged)
        until(watcher, lambda: bool(world.scans))
    assert [list(scan or ()) for scan in world.scans] == [[ID]]
    assert world.scans[0] is not None
    assert {"created", "modified"} <= world.scans[0][ID].kinds["/new"]


def test_nothing_happens_while_nothing_happens(layered: Layered, client: Client) -> None:
    """Noise elsewhere wakes us without a scan, and silence does not wake us at all."""
    world = World({ID: str(layered.upper)})
    with watching(world, client) as watcher:
        others_do("touch noise", layered.system / "host")
        watcher.turn()
        assert world.scans == []
        turns = watcher.turns
        signal.signal(signal.SIGALRM, _wake)
        signal.setitimer(signal.ITIMER_REAL, 1)
        with pytest.raises(_WokenError):
            until(watcher, lambda: False)
    assert watcher.turns == turns + 1
    assert world.scans == []


class _WokenError(Exception):
    pass


def _wake(_number: int, _frame: object) -> None:
    raise _WokenError


def test_full_queue_is_a_scan_of_everything(layered: Layered, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the kernel could not keep may have been anywhere."""
    world = World({ID: str(layered.upper)})
    monkeypatch.setattr(Journal, "read", lambda *_: Batch([], overflowed=True))
    with watching(world, client) as watcher:
        others_do("touch a", layered.merged)
        until(watcher, lambda: bool(world.scans))
    assert world.scans[0] is None


_PASSING = {"created", "executed", "deleted"}


def test_scan_of_everything_knows_what_moved(layered: Layered, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a program that was made, run and deleted its events alone tell, whatever else the kernel could not tell."""
    world = World({ID: str(layered.upper)})
    read = Journal.read
    monkeypatch.setattr(Journal, "read", lambda *given: read(*given)._replace(overflowed=True))
    with watching(world, client) as watcher:
        others_do("cp /bin/true brief && ./brief && rm brief", layered.merged)
        until(watcher, lambda: any(moved[ID].kinds.get("/brief", set()) >= _PASSING for moved in world.moved))
    assert set(world.scans) == {None}


def test_container_that_starts_is_watched(layered: Layered, client: Client) -> None:
    """It is scanned at once, and again when something moves in it."""
    world = World({})
    with watching(world, client) as watcher:
        world.uppers[ID] = str(layered.upper)
        client.say(told("start"))
        until(watcher, lambda: bool(world.scans))
        assert [list(scan or ()) for scan in world.scans] == [[ID]]
        others_do("touch new", layered.merged)
        until(watcher, lambda: len(world.scans) > 1)
    assert world.scans[1] is not None
    assert "/new" in world.scans[1][ID].kinds


def test_container_that_ends_is_looked_at_even_when_its_directory_has_been_moved(
    layered: Layered, client: Client
) -> None:
    """What is still there is read through the descriptor; after that it is watched no longer."""
    upper = layered.system / "u"
    upper.mkdir()
    (upper / "payload").touch()
    world = World({ID: str(upper)})
    with watching(world, client) as watcher:
        upper.rename(layered.system / "removing")
        world.uppers.clear()
        client.say(told("die"), told("destroy"))
        until(watcher, lambda: bool(world.captured))
        assert not watcher._journal.uppers  # noqa: SLF001
    assert world.captured == [(ID, ["payload"])]
    assert world.lost == []


def test_container_that_ends_twice_at_once_is_looked_at_twice(layered: Layered, client: Client) -> None:
    """As one does that fails as soon as the engine has started it again."""
    world = World({ID: str(layered.upper)})
    with watching(world, client) as watcher:
        for action in ("die", "start", "die"):
            watcher._hear_one(EngineEvent(action, ID, "web"))  # noqa: SLF001 - as if one reading had them all
    assert world.captured == [(ID, []), (ID, [])]
    assert world.lost == []


def test_what_was_lost_is_told(layered: Layered, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that went too fast is named with what is known of it, and so is one that nobody saw."""
    world = World({ID: str(layered.upper)})

    def fails(*_: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(world, "_capture", fails)
    for pause in ("PAUSE", "LONGEST"):
        monkeypatch.setattr(schedule, pause, 1000.0)  # what moved is not scanned before it ends
    with watching(world, client) as watcher:
        watcher.schedule.note(ID, "/payload\nall ok\udcff", {"created"})
        client.say(told("die"), told("die", "3" * 64))
        until(watcher, lambda: len(world.lost) > 1)
    (first, name, reason), second = world.lost
    assert (first, name) == (ID, "web")
    assert "No such file" in reason
    assert r"/payload\x0aall ok\xff" in reason
    assert second == ("3" * 64, "web", "it started and ended before it was scanned")


def test_container_that_is_gone_without_a_word_is_looked_at(layered: Layered, client: Client) -> None:
    """As when the engine was not running, or its events were lost."""
    world = World({ID: str(layered.upper)})
    (layered.upper / "payload").touch()
    with watching(world, client) as watcher:
        world.uppers.clear()
        client.say(told("start", "4"))
        until(watcher, lambda: bool(world.captured))
    assert world.captured == [(ID, ["payload"])]


@pytest.mark.parametrize("line", [told("rename"), told("commit")])
def test_other_name_is_a_scan_of_that_container(layered: Layered, client: Client, line: str) -> None:
    """Its name decides which rules hold for it."""
    world = World({ID: str(layered.upper)})
    with watching(world, client) as watcher:
        client.say(line)
        until(watcher, lambda: bool(world.scans))
    assert [list(scan or ()) for scan in world.scans] == [[ID]]


@pytest.mark.parametrize("line", [told("tag", "sha256:1", "image"), "no JSON", "[]", "{}"])
def test_other_tag_and_what_cannot_be_read_is_a_scan_of_everything(layered: Layered, client: Client, line: str) -> None:
    """Nothing that the engine says is passed over."""
    world = World({ID: str(layered.upper)})
    with watching(world, client) as watcher:
        client.say(line)
        until(watcher, lambda: bool(world.scans))
    assert world.scans[0] is None


def test_engine_that_is_restarted_is_asked_again(layered: Layered, client: Client) -> None:
    """Its client is started anew, everything is scanned, and nothing is taken for new that was told twice."""
    world = World({ID: str(layered.upper)})
    with watching(world, client) as watcher:
        client.say(told("die", number=1))
        until(watcher, lambda: bool(world.captured))
        client.restart()
        until(watcher, lambda: None in world.scans)
        client.say(told("die", number=1), told("die", number=2))
        until(watcher, lambda: len(world.captured) > 1)
    assert len(world.captured) == 2
    assert world.told == ["the engine no longer reports events; it is asked again until it does"]
    assert client.calls.read_text().count("events --since") == 2


def test_scan_that_fails_is_done_again(layered: Layered, client: Client) -> None:
    """An engine that does not answer ends nothing."""
    world = World({ID: str(layered.upper)})
    with watching(world, client) as watcher:
        world.fails = 2
        others_do("touch new", layered.merged)
        until(watcher, lambda: len(world.scans) > 2)
    assert world.scans[1:3] == [None, None]
    assert len(world.told) == 2
    assert "does not answer" in world.told[0]


def test_engine_that_does_not_answer_is_asked_again(layered: Layered, client: Client) -> None:
    """What is watched stays watched meanwhile."""
    world = World({ID: str(layered.upper)})

    def unknown() -> dict[str, str]:
        world.told.append("asked")
        raise DockyardError("no answer")

    with watching(world, client) as watcher:
        watcher._tasks = world.tasks()._replace(uppers=unknown)  # noqa: SLF001
        client.say(told("start", "5"))
        until(watcher, lambda: world.told.count("asked") > 2)
        assert watcher._journal.uppers.keys() == {str(layered.upper)}  # noqa: SLF001


def test_container_that_cannot_be_watched_is_scanned_by_the_clock(layered: Layered, client: Client) -> None:
    """That is told once, and it does not keep others from being watched."""
    world = World({"proc": "/proc", ID: str(layered.upper)})
    with watching(world, client) as watcher:
        client.say(told("start", "6"), told("tag", "sha256:1", "image"))
        until(watcher, lambda: None in world.scans)
        assert watcher._journal.uppers.keys() == {str(layered.upper)}  # noqa: SLF001
        client.say(told("die", "proc"))
        until(watcher, lambda: bool(world.lost))
    assert len(world.told) == 1
    assert "/proc: its file system cannot be watched" in world.told[0]
    assert world.lost == [("proc", "web", "it ended, and could not be watched")]


def test_clock_scans_everything(layered: Layered, client: Client) -> None:
    """The truth is what is there, not what was told."""
    world = World({ID: str(layered.upper)})
    with watching(world, client) as watcher:
        watcher._every = 0.001  # noqa: SLF001
        watcher._full_at = 0.0  # noqa: SLF001
        until(watcher, lambda: world.scans.count(None) > 3)


def test_signals(layered: Layered, client: Client) -> None:
    """SIGHUP scans everything, SIGTERM ends watching well, SIGINT as everywhere; handlers are put back."""
    world = World({ID: str(layered.upper)})
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)]

    def scan(*_: object) -> Collection[str]:
        world.scans.append(None)
        os.kill(os.getpid(), signal.SIGHUP if len(world.scans) < 3 else ending)
        return ()

    tasks = world.tasks()._replace(scan=scan)
    ending = signal.SIGTERM
    watch(tasks, str(client.program))
    assert len(world.scans) == 3
    ending = signal.SIGINT
    with pytest.raises(KeyboardInterrupt):
        watch(tasks, str(client.program))
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)] == before


def test_engine_s_client_that_is_missing_is_tried_again(layered: Layered, tmp_path: Path) -> None:
    """Watching the layers goes on without it."""
    engine = EngineEvents(str(tmp_path / "missing"), 0)
    assert not engine.start(100)
    assert engine.begins == pytest.approx(100.001)
    assert engine.fileno is None
    del layered


PODMAN = b'{"ID":"7","Image":"x","Name":"web","Status":"%s","Type":"container","Attributes":{"a":"b"}}'


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (told("start").encode(), EngineEvent("start", ID, "web")),
        (told("tag", "sha256:1", "image").encode(), EngineEvent("tag", "sha256:1", "web", "image")),
        (PODMAN % b"died", EngineEvent("die", "7", "web")),
        (PODMAN % b"remove", EngineEvent("destroy", "7", "web")),
        (b"\xff", EngineEvent("")),
        (b"3", EngineEvent("")),
    ],
)
def test_events_of_both_engines(line: bytes, event: EngineEvent) -> None:
    """Docker's and podman's words come to the same."""
    assert event_from(line) == event


def test_health_checks_are_left_out_by_the_engine() -> None:
    """What a container runs all the time does not wake us."""
    argv = events_argv("docker", 1.5)
    assert argv[:4] == ("docker", "events", "--since", "1.500000")
    assert not any("exec" in word or "health" in word for word in argv)
    assert EVERYTHING not in argv


def test_end_of_what_is_not_known_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container that ends twice, while the engine does not answer, is told as lost: the watch goes on."""
    given: list[Tasks] = []
    monkeypatch.setattr("dockyard.scan.watch.watch", lambda tasks, *_, **__: given.append(tasks))
    yard = cast("Any", SimpleNamespace(engine=SimpleNamespace(program="docker")))
    scanning.watch(yard, argparse.Namespace(every=1))
    with pytest.raises(DockyardError):
        given[0].capture(ID, "/", Moved({}))
