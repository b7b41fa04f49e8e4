"""The archive of a trimmed image: its configuration as it was, its files as they were."""

import hashlib
import json
import os
import tarfile
from pathlib import Path

from dockyard.engine.models import IdMap
from dockyard.surface.archive import configuration_of, write_archive
from dockyard.surface.tree import files_of, read_tree

ANSWER = {
    "Id": "sha256:" + "1" * 64,
    "Created": "2026-01-01T00:00:00Z",
    "Architecture": "amd64",
    "Os": "linux",
    "Config": {
        "User": "web",
        "Env": ["PATH=/bin", 'ODD=a "quoted" $HOME\nline'],
        "Cmd": ["/bin/server", "a b"],
        "Labels": {"dockyard.source": "s"},
        "Volumes": {"/data": {}},
        "Image": "sha256:below",
    },
}


def test_the_configuration_stays_as_it_was_but_for_labels():
    found = configuration_of(ANSWER, "2" * 64, "asked")["config"]
    before = dict(ANSWER["Config"])  # type: ignore[call-overload]
    del before["Image"]
    assert found.pop("Labels") == {
        "dockyard.source": "s",
        "dockyard.trimmed": "1" * 64,
        "dockyard.trimmed-for": "asked",
    }
    del before["Labels"]
    assert found == before


def test_podmans_health_check_which_stands_beside_goes_along():
    check = {"Test": ["CMD", "/bin/true"]}
    assert configuration_of({**ANSWER, "Healthcheck": check}, "2" * 64, "")["config"]["Healthcheck"] == check


def test_an_archive_has_what_is_kept_as_it_was(tmp_path: Path):
    """Modes, owners, times, links and hard links; the id is the hash of the configuration, and the same each time."""
    layer = tmp_path / "layer"
    (layer / "etc").mkdir(parents=True)
    (layer / "etc/a").write_text("kept")
    (layer / "etc/a").chmod(0o4751)
    os.utime(layer / "etc/a", (5, 5))
    os.link(layer / "etc/a", layer / "etc/b")
    (layer / "etc/c").symlink_to("a")
    (layer / "etc/dropped").write_text("dropped")
    tree = read_tree([str(layer)], IdMap())
    keep = [path for path in tree if path != "/etc/dropped"]
    ids = []
    for number in range(2):
        place = tmp_path / str(number)
        place.mkdir()
        with files_of([str(layer)]) as files:
            archive = write_archive(place, tree, keep, files, ANSWER, "asked")
        ids.append(archive.id)
    with tarfile.open(archive.path) as outer:
        manifest = json.load(outer.extractfile("manifest.json"))[0]  # type: ignore[arg-type]
        configuration = outer.extractfile(manifest["Config"]).read()  # type: ignore[union-attr]
        with tarfile.open(fileobj=outer.extractfile(manifest["Layers"][0])) as inner:
            members = {member.name: member for member in inner}
    assert ids[0] == ids[1] == hashlib.sha256(configuration).hexdigest()
    assert sorted(members) == [".", "etc", "etc/a", "etc/b", "etc/c"]
    assert (members["etc/a"].mode, members["etc/a"].mtime, members["etc/a"].uid) == (0o4751, 5, os.geteuid())
    assert (members["etc/b"].islnk(), members["etc/b"].linkname) == (True, "etc/a")
    assert members["etc/c"].linkname == "a"
