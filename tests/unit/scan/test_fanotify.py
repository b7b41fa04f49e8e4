"""What the kernel tells of a real overlay's upper directory, while a container's side of it is used."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dockyard.errors import DockyardError
from dockyard.scan import handles
from dockyard.scan.fanotify import (
    ATTRIBUTES,
    CREATED,
    DELETED,
    EXECUTED,
    MODIFIED,
    MOVED_FROM,
    MOVED_TO,
    Batch,
    Event,
    Journal,
    blind_spot,
    events_below,
)
from tests.unit.scan.conftest import Layered

LONG = 10.0  # seconds for an event to arrive: none is waited for in vain
QUEUE = int(Path("/proc/sys/fs/fanotify/max_queued_events").read_text(encoding="ascii"))


def others_do(script: str, directory: Path) -> None:
    """Run a script as another process: what we do ourselves is left out."""
    subprocess.run(("sh", "-ec", script), cwd=directory, check=True)  # noqa: S607


def seen(journal: Journal) -> dict[str, set[str]]:
    """Return the kinds of events that came, by path; nothing was lost."""
    batch = journal.read(LONG)
    assert batch.is_certain
    found: dict[str, set[str]] = {}
    for event in batch.events:
        found.setdefault(event.path, set()).update(event.kinds)
    return found


CASES = {
    "create": ("echo a > new", "/new", {CREATED, MODIFIED}),
    "edit": ("echo a >> etc/passwd", "/etc/passwd", {MODIFIED}),
    "mode": ("chmod 600 etc/passwd", "/etc/passwd", {CREATED}),
    "mode of a directory": ("chmod 700 bin", "/bin", {MOVED_TO}),
    "delete": ("rm etc/passwd", "/etc/passwd", {MOVED_TO}),
    "link": ("ln -s /etc/shadow etc/link", "/etc/link", {CREATED}),
    "pipe": ("mkfifo etc/pipe", "/etc/pipe", {CREATED}),
    "run": ("cp /bin/true bin/payload; bin/payload", "/bin/payload", {CREATED, EXECUTED}),
    "away": ("echo a > a; mv a b", "/a", {CREATED, MOVED_FROM}),
    "to": ("echo a > a; mv a b", "/b", {MOVED_TO}),
    "came and went": ("echo a > a; rm a", "/a", {CREATED, DELETED}),
    "changed and put back": ("touch a; chmod 755 a; chmod 644 a", "/a", {CREATED, ATTRIBUTES}),
    "in a directory that is gone": ("mkdir d; echo a > d/f; rm -r d", "/d/f", {CREATED, MODIFIED, DELETED}),
    "in one of the image's that is gone": ("echo a > etc/f; rm -r etc", "/etc/f", {CREATED, MODIFIED, DELETED}),
    "in one that was moved and is gone": ("mkdir -p d/e; echo a > d/e/f; mv d g; rm -r g", "/g/e/f", {CREATED}),
}


@pytest.mark.parametrize(("script", "path", "kinds"), CASES.values(), ids=CASES)
def test_what_a_container_does_is_told(layered: Layered, script: str, path: str, kinds: set[str]) -> None:
    """Each kind of change through the merged mount arrives with its path, also where its directory is gone by then."""
    with Journal([str(layered.upper)]) as journal:
        others_do(script, layered.merged)
        assert kinds <= seen(journal)[path]


def test_names_are_exact(layered: Layered) -> None:
    """Line breaks, bytes that are no UTF-8, dots and a name like the kernel's own mark of what is gone."""
    names = [b"a\nb", b"\xff\x1b", b"...", b" (deleted)", b"x" * 255]
    script = "import os, sys\nfor name in eval(sys.argv[1]): os.mkdir(name); os.mknod(name + b'/' + name)"
    with Journal([str(layered.upper)]) as journal:
        subprocess.run(("python3", "-c", script, repr(names)), cwd=layered.merged, check=True)  # noqa: S607
        batch = journal.read(LONG)
    assert batch.is_certain
    expected = {os.fsdecode(path) for name in names for path in (b"/" + name, b"/" + name + b"/" + name)}
    assert events_below(batch, str(layered.upper)) == expected


def test_process_is_told_and_our_own_is_left_out(layered: Layered) -> None:
    """A scan does not wake itself."""
    with Journal([str(layered.upper)]) as journal:
        (layered.merged / "ours").touch()
        with subprocess.Popen(("touch", "theirs"), cwd=layered.merged) as child:  # noqa: S607
            child.wait()
        events = journal.read(LONG).events
    assert {(event.path, event.pid) for event in events} == {("/theirs", child.pid)}


def test_rest_of_the_file_system_is_left_out(layered: Layered) -> None:
    """What the host does elsewhere is not told, nor leaves it a doubt, also where its directories are gone."""
    with Journal([str(layered.upper)]) as journal:
        others_do("mkdir -p a/b/c; touch a/b/c/d; rm -r a; mkdir ../upper2; touch ../upper2/x", layered.system / "host")
        assert journal.read(LONG) == Batch([])
        others_do("mkdir -p a/b/c; touch a/b/c/d; rm -r a", layered.system / "host")
        others_do("touch new", layered.merged)
        assert seen(journal).keys() == {"/new"}


def test_upper_that_is_named_through_a_link_is_told_by_that_name(layered: Layered) -> None:
    """Directories are below the name that was given, whatever the kernel calls them."""
    link = layered.system / "link"
    link.symlink_to(layered.upper)
    with Journal([str(link)]) as journal:
        others_do("touch etc/new", layered.merged)
        batch = journal.read(LONG)
    assert f"{link}/etc" in {event.directory for event in batch.events}
    assert "/etc/new" in events_below(batch, str(link))
    assert events_below(batch, str(layered.upper)) == set()


def test_full_queue_is_told(layered: Layered) -> None:
    """More events than the kernel keeps: what is missing is not passed over."""
    with Journal([str(layered.upper)]) as journal:
        script = f"import os\nfor n in range({QUEUE + 1}): os.mknod(f'{{n}}')"
        subprocess.run(("python3", "-c", script), cwd=layered.merged, check=True)  # noqa: S607
        batch = journal.read(LONG)
        assert batch.overflowed
        assert not batch.is_certain
        others_do("touch after", layered.merged)
        assert "/after" in seen(journal)


def test_deeper_than_any_path(layered: Layered) -> None:
    """Of a directory whose path the kernel does not tell, the nearest above stands for it."""
    with Journal([str(layered.upper)]) as journal:
        script = "import os\nfor _ in range(40): os.mkdir('x' * 200); os.chdir('x' * 200)\nopen('payload', 'x')"
        subprocess.run(("python3", "-c", script), cwd=layered.merged, check=True)  # noqa: S607
        batch = journal.read(LONG)
    assert batch.is_certain
    longest = max(batch.events, key=lambda event: len(event.path))
    assert set(longest.path.split("/")) == {"", "x" * 200}
    assert [event for event in batch.events if not event.name and MODIFIED not in event.kinds]


def test_directories_that_take_too_long_to_find_are_an_overflow(
    layered: Layered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attacker's tree does not keep us: what is left is scanned."""
    monkeypatch.setattr(handles, "PATIENCE", -1.0)
    with Journal([str(layered.upper)]) as journal:
        others_do("touch new", layered.merged)
        assert journal.read(LONG) == Batch([], overflowed=True)


def test_directory_that_nothing_tells_of_is_a_doubt(layered: Layered) -> None:
    """Where the entry that led to it is not told, it may have been anybody's."""
    (layered.merged / "d").mkdir()
    with Journal([str(layered.upper)]) as journal:
        others_do("touch d/f; rm -r d", layered.merged)
        gone = [raw for raw in _raws(journal) if not raw.mask & handles._ON_DIRECTORY]  # noqa: SLF001
        events, is_whole = handles.located(gone, journal.uppers)
    assert is_whole
    assert {(event.directory, event.name, event.upper, event.is_gone) for event in events} == {("", "f", "", True)}
    assert not Batch(events).is_certain


def _raws(journal: Journal) -> list[handles.Raw]:
    """Return what is in the queue, before anything is made of it."""
    return [raw for chunk in journal._chunks() for raw in handles.raw_events(chunk)]  # noqa: SLF001


def test_uppers_come_and_go(layered: Layered) -> None:
    """One that is watched no longer is silent, and another one on the same file system still speaks."""
    other = layered.system / "other"
    other.mkdir()
    with Journal([str(layered.upper), str(other)]) as journal:
        journal.remove(str(layered.upper))
        others_do("touch new", layered.merged)
        others_do("touch new", other)
        batch = journal.read(LONG)
        assert {(event.upper, event.path) for event in batch.events} == {(str(other), "/new")}
        journal.remove(str(other))
        others_do("touch silent", other)
        assert journal.read(0) == Batch([])
        journal.add(str(other))
        others_do("touch again", other)
        assert seen(journal).keys() == {"/again"}


def test_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    """It says which, and no descriptor is left over."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    with pytest.raises(DockyardError, match="missing: cannot be watched: No such file"):
        Journal([str(tmp_path / "missing")])
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_file_system_that_cannot_be_watched_is_an_error() -> None:
    """The kernel's reason is told."""
    with Journal() as journal, pytest.raises(DockyardError, match="/proc: its file system cannot be watched"):
        journal.add("/proc")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its rights away")
def test_rights_that_are_missing_are_an_error() -> None:
    """Without root's rights there is a reason and a hint."""
    script = (
        "import ctypes, os, dockyard.overlay\nfrom dockyard.scan.fanotify import Journal\n"
        "from dockyard.errors import DockyardError\nos.setuid(65534)\n"
        "try: Journal(['/'])\nexcept DockyardError as error: print(error.lines())"
    )
    done = subprocess.run((sys.executable, "-c", script), capture_output=True, text=True, check=True)
    assert "cannot be watched: Operation not permitted" in done.stdout


@pytest.mark.parametrize(("release", "is_blind"), [("5.10.0-28-amd64", True), ("6.4.16", True), ("6.5", False)])
def test_older_kernels_do_not_tell_of_every_write(release: str, is_blind: bool) -> None:
    """What cannot be seen is said."""
    assert bool(blind_spot(release)) == is_blind


def test_path_of_the_upper_directory_itself() -> None:
    """It is called as the root of a container is."""
    assert Event("/u", "", frozenset(), 1, "/u").path == "/"
