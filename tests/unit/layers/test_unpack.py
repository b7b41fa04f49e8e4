"""Archives of images and containers, from engines that are honest and from authors that are not."""

import gzip
import hashlib
import io
import json
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dockyard.errors import DockyardError
from dockyard.layers.unpack import ArchiveError, layer_names, parts_of, unpack_image, unpack_tree

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")

Member = tuple[str, Any]
"""A name, and bytes, None for a directory, `→ target` for a link, `= name` for another name, or a whole TarInfo."""


def tar_of(*members: Member) -> bytes:
    """Return a tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, what in members:
            if isinstance(what, tarfile.TarInfo):
                tar.addfile(what)
                continue
            info = tarfile.TarInfo(name)
            info.mode = 0o755 if what is None else 0o644
            if what is None:
                info.type = tarfile.DIRTYPE
            elif isinstance(what, str):
                info.type = tarfile.SYMTYPE if what[0] == "→" else tarfile.LNKTYPE
                info.linkname = what[2:]
            else:
                info.size = len(what)
            tar.addfile(info, io.BytesIO(what) if isinstance(what, bytes) else None)
    return out.getvalue()


def special(name: str, kind: bytes, **more: Any) -> Member:  # noqa: ANN401 - fields of a member
    """Return a member of any kind."""
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in more.items():
        setattr(info, field, value)
    return name, info


def saved(*layers: bytes, oci: bool = False) -> bytes:
    """Return what `save` writes of an image of these layers, the lowest first."""
    blobs = {f"blobs/sha256/{hashlib.sha256(layer).hexdigest()}": layer for layer in layers}
    named = list(blobs.items())
    if not oci:
        return tar_of(*named, ("manifest.json", json.dumps([{"Layers": list(blobs)}]).encode()))

    def blob(content: dict[str, Any]) -> tuple[str, Member]:
        data = json.dumps(content).encode()
        digest = hashlib.sha256(data).hexdigest()
        return f"sha256:{digest}", (f"blobs/sha256/{digest}", data)

    attestation, first = blob({"layers": [{"digest": "sha256:none"}]})
    manifest, second = blob({"layers": [{"digest": f"sha256:{name.rpartition('/')[2]}"} for name in blobs]})
    unknown = {"digest": attestation, "platform": {"os": "unknown", "architecture": "unknown"}}
    index, third = blob({"manifests": [unknown, {"digest": manifest, "platform": {"os": "linux"}}]})
    top = json.dumps({"manifests": [{"digest": index}]}).encode()
    return tar_of(*named, first, second, third, ("index.json", top))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Return an empty directory to unpack into; beside it is what must not be reached."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("as it was")
    place = tmp_path / "root"
    place.mkdir()
    return place


Unpack = Callable[..., dict[str, str]]


@pytest.fixture
def image(root: Path, tmp_path: Path) -> Unpack:
    """Return what unpacks an image of some layers, and tells the files that are there then."""

    def unpack(*layers: bytes, oci: bool = False) -> dict[str, str]:
        archive = tmp_path / "image.tar"
        archive.write_bytes(saved(*layers, oci=oci))
        unpack_image(str(archive), str(root))
        return files_in(root)

    return unpack


def files_in(root: Path) -> dict[str, str]:
    """Return all that is in a directory: texts of files, `→ target` of links, `/` of directories."""

    def what(path: Path) -> str:
        if path.is_symlink():
            return f"→ {path.readlink()}"
        return "/" if path.is_dir() else path.read_text() if path.is_file() else "?"

    return {str(path.relative_to(root)): what(path) for path in sorted(root.rglob("*"))}


def exported(root: Path, *members: Member) -> dict[str, str]:
    """Unpack a tree, and return what is there then."""
    unpack_tree(io.BytesIO(tar_of(*members)), str(root))
    return files_in(root)


# ------------------------------------------------------------------------------------------------------ honest ones
@pytest.mark.parametrize("oci", [False, True])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_layers_on_top_of_each_other(image: Unpack, pack: Callable[[bytes], bytes], oci: bool) -> None:
    """In the order of the manifest, compressed or not; attestations are no layers."""
    lower = pack(tar_of(("a", None), ("a/x", b"lower"), ("a/y", b"lower")))
    upper = pack(tar_of(("a", None), ("a/x", b"upper")))
    assert image(lower, upper, oci=oci) == {"a": "/", "a/x": "upper", "a/y": "lower"}


def test_layer_that_is_compressed_with_zstd(image: Unpack) -> None:
    """A program decompresses it, or is named by the hint."""
    if not shutil.which("zstd"):
        with pytest.raises(DockyardError, match="zstd") as raised:
            image(b"\x28\xb5\x2f\xfd" + b"\0" * 100)
        assert raised.value.hint == "install the program zstd"
        return
    packed = subprocess.run(("zstd", "-c"), input=tar_of(("x", b"1")), capture_output=True, check=True).stdout  # noqa: S607
    assert image(packed) == {"x": "1"}


def test_whiteouts(image: Unpack) -> None:
    """They remove what lower layers have, wherever in the tar they stand, and are nothing themselves."""
    lower = tar_of(("a", None), ("a/x", b"1"), ("b", None), ("b/y", b"1"), ("c", b"1"), ("d", None), ("d/z", b"1"))
    upper = tar_of(
        ("a/x", b"2"), ("a/.wh.x", b""), ("b/new", b"2"), ("b/.wh..wh..opq", b""), (".wh.c", b""), (".wh.d", b""),
        (".wh.none", b""), (".wh..wh.plnk", None),
    )  # fmt: skip
    assert image(lower, upper) == {"a": "/", "a/x": "2", "b": "/", "b/new": "2"}


def test_export_has_no_whiteouts_to_apply(root: Path) -> None:
    """A tree that is whole hides nothing."""
    assert exported(root, ("x", b"1")) == {"x": "1"}


def test_kinds_that_replace_each_other(image: Unpack) -> None:
    """A file, a link and a directory take each other's place."""
    lower = tar_of(("a", b"1"), ("b", None), ("b/x", b"1"), ("c", "→ b"))
    upper = tar_of(("a", None), ("a/y", b"2"), ("b", "→ a"), ("c", b"2"))
    assert image(lower, upper) == {"a": "/", "a/y": "2", "b": "→ a", "c": "2"}


def test_parents_that_no_member_is(root: Path) -> None:
    """They are created."""
    assert exported(root, ("./a/b/x", b"1")) == {"a": "/", "a/b": "/", "a/b/x": "1"}


def test_several_names_of_a_file(root: Path) -> None:
    """They are one file again."""
    assert exported(root, ("x", b"1"), ("y", "= x"), ("a", None), ("a/z", "= ./x")) == {
        "x": "1",
        "y": "1",
        "a": "/",
        "a/z": "1",
    }
    assert (root / "x").stat().st_nlink == 3


@as_root
def test_all_of_an_entry(root: Path) -> None:
    """Mode, owner, times, attributes and device numbers are as in the archive."""
    capability = b"\x01\0\0\x02\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    pax = {
        "SCHILY.xattr.security.capability": capability.decode("utf-8", "surrogateescape"),
        "SCHILY.xattr.trusted.overlay.opaque": "y",
        "SCHILY.xattr.user.told": "a",
    }
    exported(
        root,
        special("d", tarfile.DIRTYPE, mode=0o2750, uid=7, gid=8, mtime=1_000_000_000),
        special("d/x", tarfile.REGTYPE, mode=0o4711, uid=5, gid=6, mtime=1_500_000_000.25, pax_headers=pax),
        special("d/p", tarfile.FIFOTYPE, mode=0o600),
        special("d/c", tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3),
    )
    status = (root / "d/x").stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o4711, 5, 6)
    assert status.st_mtime_ns == 1_500_000_000_250_000_000
    assert os.getxattr(root / "d/x", "security.capability") == capability
    assert {name for name in os.listxattr(root / "d/x") if name != "security.selinux"} == {
        "security.capability",
        "user.told",
    }
    above = (root / "d").stat()
    assert (stat.S_IMODE(above.st_mode), above.st_uid, above.st_gid, above.st_mtime) == (0o2750, 7, 8, 1_000_000_000)
    assert stat.S_ISFIFO((root / "d/p").stat().st_mode)
    assert (root / "d/c").stat().st_rdev == os.makedev(1, 3)


def test_layers_of_an_old_engine_that_are_links(tmp_path: Path, root: Path) -> None:
    """Docker 20.10 has a layer that comes twice as a link to the first one."""
    layer = tar_of(("x", b"1"))
    members = [("one/layer.tar", layer), ("two/layer.tar", "→ ../one/layer.tar")]
    manifest = json.dumps([{"Layers": ["two/layer.tar"]}]).encode()
    (tmp_path / "image.tar").write_bytes(tar_of(*members, ("manifest.json", manifest)))
    unpack_image(str(tmp_path / "image.tar"), str(root))
    assert files_in(root) == {"x": "1"}


# ----------------------------------------------------------------------------------------------------- hostile ones
@pytest.mark.parametrize("name", ["../outside/new", "a/../../outside/new", "..", "/../outside/new"])
def test_names_that_lead_out(root: Path, name: str) -> None:
    """They are refused."""
    with pytest.raises(ArchiveError, match="leads out"):
        exported(root, (name, b"bad"))
    assert sorted(path.name for path in (root.parent / "outside").iterdir()) == ["secret"]


def test_absolute_names(root: Path, tmp_path: Path) -> None:
    """They are below the directory, as engines take them."""
    name = f"{tmp_path}/outside/secret"
    assert exported(root, (name, b"bad"))[name[1:]] == "bad"
    assert (tmp_path / "outside/secret").read_text() == "as it was"


@pytest.mark.parametrize("target", ["../outside", "/", "{outside}", "."])
def test_links_on_the_way(root: Path, tmp_path: Path, target: str) -> None:
    """A link is created and never followed: what is below one replaces it."""
    outside = tmp_path / "outside"
    found = exported(root, ("l", f"→ {target.format(outside=outside)}"), ("l/secret", b"bad"))
    assert found == {"l": "/", "l/secret": "bad"}
    assert (outside / "secret").read_text() == "as it was"


def test_links_on_the_way_of_a_lower_layer(image: Unpack, tmp_path: Path) -> None:
    """Nor is one of another layer, for files, directories and whiteouts."""
    lower = tar_of(("l", "→ ../outside"), ("m", "→ ../outside"), ("n", "→ ../outside"))
    upper = tar_of(("l/secret", b"bad"), ("m/.wh.secret", b""), ("n/.wh..wh..opq", b""))
    assert image(lower, upper) == {"l": "/", "l/secret": "bad", "m": "→ ../outside", "n": "→ ../outside"}
    assert (tmp_path / "outside/secret").read_text() == "as it was"


def test_link_at_the_end(root: Path, tmp_path: Path) -> None:
    """A file replaces a link, and is not written through it."""
    found = exported(root, ("l", "→ ../outside/secret"), ("l", b"bad"))
    assert found == {"l": "bad"}
    assert (tmp_path / "outside/secret").read_text() == "as it was"


@pytest.mark.parametrize("target", ["../outside/secret", "l/secret", "none", ".", ""])
def test_other_names_of_what_is_outside(root: Path, target: str) -> None:
    """A hard link leads to a member, through no link; to anything else it is refused."""
    with pytest.raises(ArchiveError):
        exported(root, ("l", "→ ../outside"), ("x", f"= {target}"))


@pytest.mark.parametrize("whiteout", [".wh...", ".wh..", "a/.wh."])
def test_whiteouts_of_nothing(image: Unpack, tmp_path: Path, whiteout: str) -> None:
    """A whiteout of `..`, `.` or nothing removes nothing that is not in the directory."""
    image(tar_of(("a", None), ("a/x", b"1")), tar_of((whiteout, b"")))
    assert (tmp_path / "outside/secret").read_text() == "as it was"


def test_root_that_is_a_file(root: Path) -> None:
    """It is refused."""
    with pytest.raises(ArchiveError, match="root"):
        exported(root, special("./", tarfile.SYMTYPE, linkname="/"))


def test_very_deep_and_very_long(root: Path) -> None:
    """What no file system takes is an error, not a crash."""
    with pytest.raises(DockyardError):
        exported(root, ("a" * 300, b"1"))


@pytest.mark.parametrize(
    "archive",
    [
        b"",
        b"no tar" * 200,
        tar_of(("x", b"1")),
        tar_of(("manifest.json", b"[]")),
        tar_of(("manifest.json", b'[{"Layers": ["none"]}]')),
        tar_of(("manifest.json", b'{"Layers": 1}')),
        tar_of(("manifest.json", b'[{"Layers": ["l"]}]'), ("l", b"no tar" * 200)),
        tar_of(("manifest.json", b'[{"Layers": ["l"]}]'), ("l", b"\x1f\x8b" + b"no gzip" * 200)),
        tar_of(("manifest.json", b'[{"Layers": ["l"]}]'), ("l", "→ l")),
        tar_of(("index.json", b'{"manifests": [{"digest": "sha256:none"}]}')),
        tar_of(("index.json", b"[1]")),
    ],
)
def test_broken_archives(tmp_path: Path, root: Path, archive: bytes) -> None:
    """They are told as what they are."""
    (tmp_path / "image.tar").write_bytes(archive)
    with pytest.raises(ArchiveError):
        unpack_image(str(tmp_path / "image.tar"), str(root))


def test_index_that_contains_itself() -> None:
    """It ends."""
    index = {"manifests": [{"digest": "sha256:1"}]}
    with pytest.raises(ArchiveError, match="no image"):
        layer_names({"index.json": index, "blobs/sha256/1": index}.get)


def test_parts() -> None:
    """Neither `.` nor empty parts count."""
    assert parts_of("/./a//b/.") == ["a", "b"]
    assert parts_of("./") == []
