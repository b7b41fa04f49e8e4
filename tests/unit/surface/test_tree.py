"""An image's layers, read as the kernel merges them, whatever is in them."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dockyard.engine.models import IdMap, IdRange
from dockyard.errors import DockyardError
from dockyard.surface.tree import files_of, read_tree
from tests.unit.scan.conftest import Mount, mount

assert mount  # the fixture
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts overlays, and marks what they hide")


@pytest.fixture
def layers(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Make an image of two layers: the upper one has deleted, replaced and hidden what is in the lower one."""
    upper, lower = tmp_path / "upper", tmp_path / "lower"
    for path in ("etc/old", "etc/text", "opt/hidden/x", "var/type"):
        (lower / path).parent.mkdir(parents=True, exist_ok=True)
        (lower / path).write_text("lower")
    for path in ("etc/text", "opt/shown", "var/type/inner"):
        (upper / path).parent.mkdir(parents=True, exist_ok=True)
        (upper / path).write_text("upper")
    os.mknod(upper / "etc/old", 0o020000, 0)
    os.setxattr(upper / "opt", "trusted.overlay.opaque", b"y")
    return upper, lower


def test_the_tree_is_what_the_kernel_shows(layers: tuple[Path, Path], mount: Mount):
    """The same names, kinds, modes and bytes as a mounted overlay of the same layers has."""
    tree = read_tree([str(layer) for layer in layers], IdMap())
    merged = mount(*layers).merged
    shown = {f"/{path.relative_to(merged)}": path.lstat().st_mode for path in merged.rglob("*")}
    assert {path: entry.facts.format | entry.facts.mode for path, entry in tree.items() if path != "/"} == shown
    with files_of([str(layer) for layer in layers]) as files:
        assert (files.text("/etc/text"), files.text("/etc/old"), files.text("/opt/hidden/x")) == ("upper", "", "")


def test_no_link_is_followed(tmp_path: Path):
    """A link that an image has made leads nowhere but in the image, whatever it points to on the host."""
    (tmp_path / "secret").write_text("of the host")
    layer = tmp_path / "layer"
    layer.mkdir()
    (layer / "etc").symlink_to(tmp_path)
    (layer / "passwd").symlink_to(tmp_path / "secret")
    tree = read_tree([str(layer)], IdMap())
    assert set(tree) == {"/", "/etc", "/passwd"}
    with files_of([str(layer)]) as files:
        assert files.text("/passwd") == ""
        assert files.text("/etc/secret") == ""


def test_owners_are_as_a_container_sees_them(tmp_path: Path):
    owner = IdMap((IdRange(0, os.geteuid(), 1),), (IdRange(7, os.getegid(), 1),))
    (tmp_path / "a").touch()
    os.chown(tmp_path / "a", os.geteuid(), os.getegid())
    assert read_tree([str(tmp_path)], owner)["/a"].facts.owner == (0, 7)


def test_layers_that_are_not_there_are_an_error_that_says_so(tmp_path: Path):
    with pytest.raises(DockyardError, match="layers cannot be read: No such file"):
        read_tree([str(tmp_path / "gone")], IdMap())


def test_a_tree_that_is_too_deep_is_an_error(tmp_path: Path):
    """No image can have us go down without end."""
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=here)
        inner = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(here)
    with pytest.raises(DockyardError, match="directories deep"):
        read_tree([str(tmp_path)], IdMap())
