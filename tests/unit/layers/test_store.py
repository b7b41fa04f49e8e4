"""Where an engine's files are: what it says itself first, then its store, then a copy."""

import io
import json
import os
import tarfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from dockyard.engine.about import About
from dockyard.engine.dialect import DOCKER, PODMAN
from dockyard.engine.engine import Engine
from dockyard.engine.models import Answer, Container, Image
from dockyard.errors import DockyardError, EngineError
from dockyard.layers import copies
from dockyard.layers.copies import private_directory, remove_abandoned
from dockyard.layers.directories import Directories
from dockyard.layers.store import Store
from tests.unit.layers.test_unpack import as_root, saved, tar_of

ID, IMAGE = "c" * 64, "1" * 64
STOPPED = Container(ID, "web", "exited", IMAGE, driver="btrfs")


class Copying(Engine):
    """An engine that names no directory, and has one image and what was changed in one container of it."""

    def __init__(self) -> None:
        super().__init__("/nonexistent/docker", DOCKER._replace(snapshot_sockets=(), snapshots=()))
        self.calls: list[tuple[str, ...]] = []

    def call(self, *argv: str, secrets: object = None) -> str:
        assert secrets is None
        self.calls.append(argv)
        return "new\n" if argv[0] == "create" else ""

    def stream(self, argv: tuple[str, ...], use: Callable[[io.BytesIO], object]) -> None:  # type: ignore[override]
        self.calls.append(argv)
        trees = {
            ("save", f"sha256:{IMAGE}"): saved(
                tar_of(("etc", None), ("etc/passwd", b"app:x:7:8::/:\n"), ("x", b"image"))
            ),
            ("export", ID): tar_of(("x", b"changed")),
            ("export", "new"): tar_of(("x", b"image")),
        }
        use(io.BytesIO(trees[argv]))

    def images(self, references: Iterable[str]) -> dict[str, Image]:
        return {name: Image(IMAGE, driver="btrfs") for name in references}

    def inspect(self, kind: str, *names: str) -> list[Answer]:
        return [{"Size": 1000}] if (kind, names) == ("image", (IMAGE,)) else []

    def read_file(self, container: str, path: str) -> str:
        if path != "/etc/passwd":
            raise EngineError(("docker", "cp"), 1, "no such file")
        assert container == "new"
        return "app:x:7:8::/:\n"

    def remove(self, container: str, *, with_volumes: bool = False) -> None:
        assert with_volumes
        self.calls.append(("remove", container))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the directory for what is temporary."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_what_the_engine_says(tmp_path: Path) -> None:
    """Directories that it names are taken, if they are on this host."""
    store = Store(Copying())
    here = STOPPED._replace(layer=str(tmp_path), layers=("/a",))
    assert store.directories_of(here) == Directories(str(tmp_path), ("/a",))
    assert store.upper_of(here) == str(tmp_path)
    assert store.directories_of(here._replace(layer="/nonexistent")) is None
    with store.image(Image(IMAGE, layers=(str(tmp_path), "/a"))) as layers:
        assert layers == (str(tmp_path), "/a")


@as_root
def test_copy_of_an_image(temporary: Path) -> None:
    """Without directories its archive is unpacked, for its reader alone, and nothing is left."""
    with Store(Copying()).image(Image(IMAGE, driver="btrfs")) as (root,):
        assert Path(root, "x").read_text() == "image"
        assert [path.stat().st_mode & 0o777 for path in temporary.iterdir()] == [0o700]
    assert list(temporary.iterdir()) == []


def test_copy_of_a_few_files(temporary: Path) -> None:
    """They come out of a container that never starts and is removed, with its volumes; what is not there is not."""
    engine = Copying()
    with Store(engine).image(Image(IMAGE, driver="btrfs"), ("etc/passwd", "etc/group")) as (root,):
        assert {str(path.relative_to(root)) for path in Path(root).rglob("*")} == {"etc", "etc/passwd"}
        assert Path(root, "etc/passwd").read_text() == "app:x:7:8::/:\n"
    assert [argv[0] for argv in engine.calls] == ["ps", "create", "remove"]
    assert list(temporary.iterdir()) == []


@as_root
def test_copy_of_a_stopped_container(temporary: Path) -> None:
    """It is a whole tree, beside that of a new container of the same image."""
    with Store(Copying()).opened(STOPPED) as found:
        assert (found.is_whole, found.is_copy) == (True, True)
        assert Path(found.upper, "x").read_text() == "changed"
        assert [Path(lower, "x").read_text() for lower in found.lowers] == ["image"]
    assert list(temporary.iterdir()) == []


def test_running_container_that_is_not_copied() -> None:
    """It moves on while it is read: it is said that its store names nothing, and what it takes."""
    running = STOPPED._replace(status="running")
    with pytest.raises(DockyardError, match="btrfs, does not report") as raised, Store(Copying()).opened(running):
        pass
    assert raised.value.hint == "use the storage driver overlay2, on this host"


def test_hint_for_the_containerd_store(monkeypatch: pytest.MonkeyPatch) -> None:
    """There it is containerd's program that is needed, not another storage driver."""
    monkeypatch.setenv("PATH", "/nonexistent")
    engine = Copying()
    engine.dialect = DOCKER._replace(snapshot_sockets=("/dev/null",))
    store = Store(engine)
    running = STOPPED._replace(status="running", driver="overlayfs")
    assert store.directories_of(running) is None
    error = store.unknown(running)
    assert str(error) == (
        "its storage driver, overlayfs, does not report where its layers are (`ctr` is not installed)"
    )
    assert error.hint == "run it as root, with `ctr`, which is part of containerd, on this host"


class Mounting(Copying):
    """A podman whose driver has whole trees."""

    def __init__(self, place: Path) -> None:
        super().__init__()
        self.dialect = PODMAN
        self.place = place

    def call(self, *argv: str, secrets: object = None) -> str:
        super().call(*argv, secrets=secrets)
        return f"{self.place}/{argv[-1]}\n"


def test_whole_trees(tmp_path: Path) -> None:
    """An engine that can mount is asked to, and to undo it."""
    engine = Mounting(tmp_path)
    for name in (ID, IMAGE):
        (tmp_path / name).mkdir()
    with Store(engine).opened(STOPPED._replace(driver="vfs")) as found:
        assert found == Directories(f"{tmp_path}/{ID}", (f"{tmp_path}/{IMAGE}",), is_whole=True)
    assert engine.calls == [
        ("mount", ID),
        ("image", "mount", IMAGE),
        ("image", "unmount", IMAGE),
        ("unmount", ID),
    ]


@as_root
def test_whole_trees_of_another_host(temporary: Path) -> None:
    """What is mounted elsewhere is not read here: it is copied."""
    engine = Mounting(Path("/nonexistent"))
    with Store(engine).image(Image(IMAGE, driver="vfs")) as (root,):
        assert Path(root, "x").read_text() == "image"
    assert [argv[:2] for argv in engine.calls] == [
        ("image", "mount"),
        ("image", "unmount"),
        ("save", f"sha256:{IMAGE}"),
    ]
    assert list(temporary.iterdir()) == []


def test_merged_root() -> None:
    """Where the engine mounts a container's root; the containerd store has its own directory for it."""
    assert Store(Copying()).merged_root_of(STOPPED._replace(root="/merged")) == "/merged"
    engine = Copying()
    engine.__dict__["about"] = About(root="/var/lib/docker", driver="overlayfs")
    assert Store(engine).merged_root_of(STOPPED) == f"/var/lib/docker/rootfs/overlayfs/{ID}"


# --------------------------------------------------------------------------------------------------------- the place
def test_place_without_room(temporary: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The state directory is the second place; where neither has room, nothing is begun."""
    monkeypatch.setattr(copies, "state_directory", lambda: tmp_path / "state")
    full = lambda path: os.statvfs_result((4096, 4096, 9, 9, 9 if "state" in str(path) else 0, 0, 0, 0, 0, 255))  # noqa: E731
    monkeypatch.setattr(os, "statvfs", full)
    with private_directory(4096) as place:
        assert place.parent == temporary / "state"
    with pytest.raises(DockyardError, match="there is no space") as raised, private_directory(40960):
        pass
    assert "TMPDIR" in raised.value.hint


def test_what_a_killed_program_has_left(temporary: Path) -> None:
    """It is removed by the next one; what is in use, too young or not a directory of ours stays."""
    later = time.time() + 3600
    for name in ("left", "young"):
        (temporary / f"{copies.PREFIX}{name}/root").mkdir(parents=True)
    (temporary / "other").mkdir()
    (temporary / f"{copies.PREFIX}link").symlink_to(temporary / "other")
    os.utime(temporary / f"{copies.PREFIX}young", (later, later))
    with private_directory() as used:
        remove_abandoned(temporary, later)
        assert {path.name for path in temporary.iterdir()} == {
            used.name, f"{copies.PREFIX}young", f"{copies.PREFIX}link", "other",
        }  # fmt: skip


def test_archive_that_breaks_off(temporary: Path) -> None:
    """What the engine says of it counts, not what was missing for that."""
    program = temporary / "docker"
    program.write_text("#!/bin/sh\necho 'Error: no such image' >&2; exit 1\n")
    program.chmod(0o755)
    engine = Engine(str(program), DOCKER)

    def use(stream: object) -> None:
        tarfile.open(fileobj=stream, mode="r|")  # type: ignore[call-overload]  # noqa: SIM115 - it raises

    def reported(stream: object) -> None:
        try:
            use(stream)
        except tarfile.TarError as error:
            raise DockyardError(str(error)) from None

    with pytest.raises(EngineError, match="no such image"):
        engine.stream(("save", "x"), reported)


def test_json_of_an_image_is_read_as_text() -> None:
    """The fields that say where layers are come from inspect."""
    from dockyard.engine.models import image_from

    answer = {"Id": "sha256:1", "GraphDriver": {"Name": "overlayfs", "Data": None}, "RootFS": {"Layers": ["a", "b"]}}
    image = image_from(json.loads(json.dumps(answer)))
    assert (image.driver, image.diffs, image.layers) == ("overlayfs", ("a", "b"), ())
