"""Putting an installation in place and taking it away: what is not ours stays, whatever happens in between."""

import os
from pathlib import Path

import pytest

from dockyard.errors import DockyardError
from dockyard.installation import place
from dockyard.installation.item import Item, read_manifest
from dockyard.installation.placing import Done, Installation
from dockyard.settings.schema import MODELINE
from dockyard.share import SCHEMA

HOME = "/opt/dockyard"
ITEMS = (
    Item(f"{HOME}/current", target="environments/1"),
    Item("/usr/local/bin/d", target=f"{HOME}/current/bin/d"),
    Item("/usr/local/bin/d-map", "#!/usr/bin/python3\n", mode=0o755),
    Item("/etc/sudoers.d/dockyard-d-map", "ALL ALL=(root) NOPASSWD: /usr/local/bin/d-map\n", mode=0o440),
    Item("/usr/local/share/man/man1/d.1", ".TH D 1\n"),
)


@pytest.fixture
def host(tmp_path: Path) -> Installation:
    """A host with something in it, of which nothing is ours."""
    for directory in ("usr/local/bin", "usr/local/share", "etc/sudoers.d", "opt"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "usr/local/bin/other").write_text("other")
    return Installation(str(tmp_path), HOME)


def tree(installation: Installation) -> dict[str, tuple[int, str]]:
    """Return all that is there: mode, and content or target."""
    found = {}
    for path in sorted(Path(installation.root).rglob("*")):
        content = str(path.readlink()) if path.is_symlink() else path.read_text() if path.is_file() else ""
        found[str(path.relative_to(installation.root))] = (path.lstat().st_mode, content)
    return found


def test_uninstall_leaves_what_was_before(host: Installation):
    """Files, links and directories are there once installed, and the tree is what it was once they are gone."""
    before = tree(host)
    assert {done.what for done in host.install(ITEMS)} == {"written"}
    assert host.at("/usr/local/bin/d-map").stat().st_mode & 0o777 == 0o755
    assert host.at("/etc/sudoers.d/dockyard-d-map").stat().st_mode & 0o777 == 0o440
    assert str(host.at("/usr/local/bin/d").readlink()) == f"{HOME}/current/bin/d"
    host.uninstall([f"{HOME}/environments"])
    assert tree(host) == before


def test_installing_again_changes_nothing(host: Installation):
    """A second installation leaves the same tree, and says so."""
    host.install(ITEMS)
    once = tree(host)
    assert {done.what for done in host.install(ITEMS)} == {"unchanged"}
    assert tree(host) == once


def test_what_somebody_else_has_there_is_in_the_way(host: Installation):
    """Nothing at all is changed where one path is taken, by a file or by a directory."""
    host.at("/usr/local/bin/d").write_text("another d")
    host.at("/usr/local/bin/d-map").mkdir()
    before = tree(host)
    with pytest.raises(DockyardError, match=r"in its way: .*bin/d, /usr/local/bin/d-map"):
        host.install(ITEMS)
    assert tree(host) == before


def test_force_writes_over_a_file_never_over_a_directory(host: Installation):
    """Forced, a file of somebody else's becomes ours; a directory stays in the way."""
    host.at("/usr/local/bin/d").write_text("another d")
    forced = host._replace(force=True)
    forced.install(ITEMS)
    assert host.at("/usr/local/bin/d").is_symlink()
    host.at("/usr/local/bin/d-map").unlink()
    host.at("/usr/local/bin/d-map").mkdir()
    with pytest.raises(DockyardError, match=r"in its way: .*d-map"):
        forced.install(ITEMS)


def test_what_was_changed_stays_and_is_told(host: Installation):
    """A file that the user changed survives an upgrade and an uninstallation, with the directory that it is in."""
    host.install(ITEMS)
    mine = host.at("/usr/local/share/man/man1/d.1")
    mine.write_text("mine")
    newer = [*ITEMS[:-1], Item("/usr/local/share/man/man1/d.1", ".TH D 1 newer\n")]
    kept = Done("/usr/local/share/man/man1/d.1", "kept: it was changed")
    assert kept in host.install(newer)
    assert kept in host.uninstall([])
    assert mine.read_text() == "mine"
    assert not host.at("/usr/local/bin/d").is_symlink()


def test_a_fragment_that_was_removed_stays_away(host: Installation):
    """What an administrator took out of /etc is not put back by an upgrade; a program that is missing is."""
    host.install(ITEMS)
    host.at("/etc/sudoers.d/dockyard-d-map").unlink()
    host.at("/usr/local/bin/d-map").unlink()
    for _ in range(2):
        done = host.install(ITEMS)
        assert Done("/etc/sudoers.d/dockyard-d-map", "left out: it was removed") in done
    assert not host.at("/etc/sudoers.d/dockyard-d-map").exists()
    assert host.at("/usr/local/bin/d-map").exists()


def test_upgrade_takes_away_what_is_no_longer(host: Installation):
    """A file that the newer version does not have goes, and what it has changes at one stroke: no draft is left."""
    before = tree(host)
    host.install(ITEMS)
    host.install([Item(f"{HOME}/current", target="environments/2"), *ITEMS[1:-1]])
    assert str(host.at(f"{HOME}/current").readlink()) == "environments/2"
    assert not host.at("/usr/local/share/man/man1/d.1").exists()
    host.uninstall([])
    assert tree(host) == before


@pytest.mark.parametrize("cut", range(1, len(ITEMS)))
def test_installation_that_was_cut_short_can_be_taken_away(
    host: Installation, cut: int, monkeypatch: pytest.MonkeyPatch
):
    """Wherever an upgrade was cut short, what is there goes: the older version's files, the newer's, and drafts."""
    before = tree(host)
    host.install([item if item.target else item._replace(content="older") for item in ITEMS])
    replace, left = Path.replace, [cut]

    def until_cut(self: Path, target: Path) -> Path:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", until_cut)
    with pytest.raises(KeyboardInterrupt):
        host.install(ITEMS)
    monkeypatch.undo()
    host.uninstall([])
    assert tree(host) == before


def test_directories_that_were_made_before_are_removed(host: Installation):
    """Directories that scripts/install made for the environment go with it; a tree that is not there is no error."""
    before = tree(host)
    host.at(f"{HOME}/environments/1/bin").mkdir(parents=True)
    host.install(ITEMS, made=[HOME, f"{HOME}/environments"])
    host.uninstall([f"{HOME}/environments", f"{HOME}/nothing"])
    assert tree(host) == before


def test_a_record_that_is_damaged_is_no_crash(host: Installation):
    """A manifest that is none is told as an error, and nothing is removed by it."""
    host.install(ITEMS)
    host.record.write_text('{"files": []}')
    with pytest.raises(DockyardError, match="not written by an installation"):
        host.uninstall([])
    assert host.at("/usr/local/bin/d-map").exists()


def test_manifest_names_every_path(host: Installation):
    """The record has each path once, with one digest when all is done."""
    host.install(ITEMS)
    assert {path: len(digests) for path, digests in read_manifest(host.record).files.items()} == {
        item.path: 1 for item in ITEMS
    }


def test_an_installation_of_the_host_knows_its_lasting_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Units and modelines name the prefix, not the environment that the next upgrade replaces."""
    assert place.prefix() is None
    assert place.schema() == SCHEMA
    (tmp_path / place.MARK).write_text("prefix=/usr/local\nextras=\n")
    monkeypatch.setattr("sys.prefix", os.fspath(tmp_path))
    assert place.program("d") == Path("/usr/local/bin/d")
    assert f"{MODELINE}{place.schema()}".endswith("=/usr/local/share/dockyard/settings.schema.json")
