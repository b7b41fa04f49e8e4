"""The layers of images and containers, on the store of the tested engine, and as copies."""

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dockyard.engine.dialect import DOCKER
from dockyard.engine.engine import Engine, find_engine
from dockyard.engine.models import Container, Image
from dockyard.layers.containerd import chain_id
from dockyard.layers.store import Store
from dockyard.scan.scan import Options, scan
from dockyard.surface.tree import Tree, read_tree
from tests.engines.world import BASE, FORCED_REMOVAL, LABEL, World, write
from tests.unit.layers.test_unpack import tar_of

MANY = 70
IMAGE = f"""\
FROM {BASE}
LABEL {LABEL}
COPY one /app/
RUN chown 5:6 /app/first && ln /app/first /app/again && rm -r /app/gone && mkdir /app/gone && echo new >/app/gone/new
RUN echo app:x:1234:1235::/:/bin/sh >>/etc/passwd
COPY two /app/
USER app
"""
USE = "echo more >>/app/second; rm /app/third; mkdir /app/d; echo x >/app/d/x; chmod 4755 /app/first"


class Silent(Engine):
    """An engine whose store does not report the places of layers: only `save`, `export` and `cp` remain."""

    def __init__(self, engine: World) -> None:
        found = find_engine(engine.engine)
        nothing: dict[str, tuple[str, ...]] = dict.fromkeys(("snapshots", "mounting", "mounting_image"), ())
        super().__init__(found.program, found.dialect._replace(**nothing))

    def images(self, references: Any) -> dict[str, Image]:  # noqa: ANN401 - as the engine has it
        return {name: image._replace(layers=()) for name, image in super().images(references).items()}

    def containers(self, names: Any) -> list[Container]:  # noqa: ANN401
        return [one._replace(layer="", layers=()) for one in super().containers(names)]


@pytest.fixture(name="image")
def built(engine: World) -> Iterator[str]:
    """An image of several layers, of which the upper ones hide files of the lower ones."""
    directory = engine.root / "layers-image"
    for path in ("one/first", "one/second", "one/third", "one/gone/old", "two/second"):
        write(directory / path, f"{path}\n")
    write(directory / "Dockerfile", IMAGE)
    engine.call("build", "-t", "dytest/dyt-layers:latest", str(directory))
    try:
        yield "dytest/dyt-layers:latest"
    finally:
        shutil.rmtree(directory)
        if left := engine.containers("dyt-layers"):
            engine.call(*FORCED_REMOVAL[engine.engine], *left)


def image_of(client: Engine, reference: str) -> Image:
    """Return an image of the engine."""
    return client.images([reference])[reference]


def container_of(client: Engine, name: str) -> Container:
    """Return a container of the engine."""
    return next(iter(client.containers([name])))


def launched(engine: World, image: str, name: str, script: str = "true") -> None:
    """Run a container in which a script has run, and that keeps running."""
    command = f"{script}; touch /app/done; trap 'exit 0' TERM; sleep 1000 & wait"
    engine.call(
        *("run", "-d", "--name", name, "--label", LABEL, "--network", "none", "--user", "0"), image, "sh", "-c", command
    )
    engine.inside(name, "until [ -e /app/done ]; do sleep 0.05; done")


def changes_of(client: Engine, container: Container) -> dict[str, str]:
    """Return the findings of a scan of a container, by path."""
    done = scan(container, Store(client), Options(entries=client.dialect.entries))
    assert done.unjudged == {}
    return {finding.change.path: finding.change.what for finding in done.findings}


def tree_of(client: Engine, image: Image) -> Tree:
    """Return all files of an image, from its store."""
    with Store(client).image(image) as layers:
        return read_tree(layers, client.id_map)


def facts(tree: Tree) -> dict[str, tuple[Any, ...]]:
    """Return the metadata of a tree to compare, without times of directories, which archives may lack."""
    return {
        path: (one.facts.format, one.facts.mode, one.facts.owner, one.facts.size, one.facts.target, one.head)
        for path, one in tree.items()
        if path != "/"
    }


@pytest.mark.matrix
def test_directories_of_an_image(engine: World, image: str) -> None:
    """The uppermost layer first: files are in the layers where the builder put them, and the query leaves nothing."""
    client = find_engine(engine.engine)
    before = engine.listing()
    tree = tree_of(client, image_of(client, image))
    assert tree["/app/second"].head == b"two/second\n"
    assert "/app/gone/new" in tree
    assert "/app/gone/old" not in tree
    assert tree["/app/first"].facts.owner == (5, 6)
    assert tree["/app/first"].inode == tree["/app/again"].inode
    assert "/.dockerenv" not in tree
    assert not any(name.startswith("trusted.overlay.") for one in tree.values() for name in one.facts.attributes)
    assert engine.listing() == before
    assert views(engine) == []


def test_copy_of_an_image_is_the_image(engine: World, image: str) -> None:
    """The unpacked output of `save` equals the store: types, modes, owners, sizes, contents."""
    client, silent = find_engine(engine.engine), Silent(engine)
    expected, found = (facts(tree_of(one, image_of(one, image))) for one in (client, silent))
    assert found == expected


@pytest.mark.matrix
def test_changes_of_a_container(engine: World, image: str) -> None:
    """The findings are the same while it runs, after its stop, and from copies; copies are removed."""
    launched(engine, image, "dyt-layers-changed", USE)
    client, silent = find_engine(engine.engine), Silent(engine)
    running = changes_of(client, container_of(client, "dyt-layers-changed"))
    engine.call("stop", "-t", "1", "dyt-layers-changed")
    stopped = changes_of(client, container_of(client, "dyt-layers-changed"))
    before = engine.listing()
    copied = changes_of(silent, container_of(silent, "dyt-layers-changed"))
    assert engine.listing() == before
    wanted = {"/app/second", "/app/third", "/app/d", "/app/d/x", "/app/first", "/app/done"}
    assert (set(running), set(stopped), set(copied)) == (wanted, wanted, wanted)
    assert running == stopped
    assert (copied["/app/third"], copied["/app/d/x"], copied["/app/first"]) == ("deleted", "new", running["/app/first"])


def test_container_that_never_started(engine: World, image: str) -> None:
    """It has no changes."""
    engine.call("create", "--name", "dyt-layers-created", "--label", LABEL, image, "true")
    client = find_engine(engine.engine)
    assert changes_of(client, container_of(client, "dyt-layers-created")) == {}


def test_users_of_an_image_from_copies(engine: World, image: str) -> None:
    """Its passwd is read without its other files, and no container is left."""
    silent = Silent(engine)
    before = engine.listing()
    with Store(silent).image(image_of(silent, image), ("etc/passwd", "etc/none")) as (root,):
        assert "app:x:1234:1235:" in Path(root, "etc/passwd").read_text()
        assert not Path(root, "etc/none").exists()
    assert engine.listing() == before


def with_more_layers(engine: World, image: str, name: str) -> None:
    """Load an image with many layers of one file each on top of another image: building it would take minutes."""
    old, new = engine.root / "layers-old.tar", engine.root / "layers-new.tar"
    engine.call("save", "--output", str(old), image)
    with tarfile.open(old) as source, tarfile.open(new, "w") as target:
        manifest = json.load(source.extractfile("manifest.json") or io.BytesIO())[0]
        config = json.load(source.extractfile(manifest["Config"]) or io.BytesIO())
        for member in source:
            if member.name not in {"manifest.json", "index.json", "oci-layout", "repositories", manifest["Config"]}:
                target.addfile(member, source.extractfile(member) if member.isreg() else None)
        for number in range(MANY):
            layer = tar_of(("many", None), (f"many/{number}", f"{number}\n".encode()))
            digest = hashlib.sha256(layer).hexdigest()
            config["rootfs"]["diff_ids"].append(f"sha256:{digest}")
            config["history"].append({"created": config["created"], "created_by": f"layer {number}"})
            manifest["Layers"].append(f"{digest}.tar")
            _add(target, f"{digest}.tar", layer)
        text = json.dumps(config).encode()
        described = f"{hashlib.sha256(text).hexdigest()}.json"
        _add(target, described, text)
        _add(target, "manifest.json", json.dumps([{**manifest, "Config": described, "RepoTags": [name]}]).encode())
    engine.call("load", "--input", str(new))
    old.unlink()
    new.unlink()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


@pytest.mark.matrix
def test_very_many_layers(engine: World, image: str) -> None:
    """More layers than fit into the mount options: image and container are read completely, running and stopped."""
    with_more_layers(engine, image, "dytest/dyt-layers-many:latest")
    client = find_engine(engine.engine)
    tree = tree_of(client, image_of(client, "dytest/dyt-layers-many:latest"))
    assert {f"/many/{number}" for number in range(MANY)} <= tree.keys()
    launched(engine, "dytest/dyt-layers-many:latest", "dyt-layers-many", "echo x >/many/3; rm /many/60")
    expected = {"/many/3": "edited", "/many/60": "deleted", "/app/done": "new"}
    assert changes_of(client, container_of(client, "dyt-layers-many")) == expected
    told = json.loads(engine.run("d-cowscan", "--json", "dyt-layers-many", cwd="/", expect=1).stdout)["containers"][0]
    assert told["incomplete"] == []
    engine.call("stop", "-t", "1", "dyt-layers-many")
    assert changes_of(client, container_of(client, "dyt-layers-many")) == expected


# ------------------------------------------------------------------------------------------------- the containerd store
def ctr(engine: World, *words: str) -> str:
    """Query containerd's snapshots, as dockyard does. Skips on other stores."""
    driver = engine.call("info", "--format", "{{.Driver}}").strip() if engine.engine == "docker" else ""
    if driver not in DOCKER.snapshotters:
        pytest.skip("no containerd image store")
    socket = next(one for one in DOCKER.snapshot_sockets if os.path.exists(one))  # noqa: PTH110
    program, *options = (word.format(socket=socket, driver=driver) for word in DOCKER.snapshots)
    return engine.run(program, *options, *words).stdout


def views(engine: World) -> list[str]:
    """Return the views that are left in containerd; none on other stores."""
    try:
        return [row.split()[0] for row in ctr(engine, "ls").splitlines() if row.startswith("dockyard-")]
    except pytest.skip.Exception:
        return []


def test_view_that_was_left(engine: World, image: str) -> None:
    """A killed program leaves a view: the next one uses and removes it, or containerd does, with the image."""
    client = find_engine(engine.engine)
    chain = chain_id(image_of(client, image).diffs)
    view = f"dockyard-view-{chain.removeprefix('sha256:')}"
    ctr(engine, "view", view, chain)
    assert views(engine) == [view]
    assert "/app/gone/new" in tree_of(client, image_of(client, image))
    assert views(engine) == []
    ctr(engine, "view", view, chain)
    engine.call("rmi", "-f", image)
    assert views(engine) == []


# ---------------------------------------------------------------------------------------------------- whole trees (vfs)
@pytest.fixture(name="trees")
def other_podman(engine: World, image: str) -> Iterator[Engine]:
    """A podman whose storage driver is vfs, with the image."""
    if engine.engine != "podman":
        pytest.skip("it is podman's driver")
    place, client = engine.root / "vfs", shutil.which("podman")
    program = write(
        engine.root / "bin/podman",
        f'#!/bin/sh\nexec {client} --storage-driver vfs --root {place}/root --runroot {place}/run "$@"\n',
        mode=0o755,
    )
    saved = engine.root / "vfs.tar"
    engine.call("save", "--output", str(saved), image)
    engine.run(program, "load", "--input", saved)
    try:
        yield find_engine(str(program))
    finally:
        engine.run(program, "rm", "--all", "--force", "--time", "0")
        engine.run(program, "rmi", "--all", "--force")
        subprocess.run(("umount", "-l", str(place / "root")), check=False, capture_output=True)  # noqa: S607
        saved.unlink()


@pytest.mark.matrix
def test_whole_trees_of_podman(engine: World, trees: Engine, image: str) -> None:
    """Vfs has a tree for each: changes are found by comparing whole trees, running or not."""
    client = find_engine(engine.engine)
    reference = f"localhost/{image}"
    assert facts(tree_of(trees, image_of(trees, reference))) == facts(tree_of(client, image_of(client, image)))
    command = ("sh", "-c", f"{USE}; trap 'exit 0' TERM; sleep 1000 & wait")
    engine.run(trees.program, "run", "-d", "--name", "whole", "--network", "none", "--user", "0", reference, *command)
    wanted = {"/app/second", "/app/third", "/app/d", "/app/d/x", "/app/first", "/app/again"}
    engine.run(trees.program, "stop", "-t", "1", "whole")
    found = changes_of(trees, container_of(trees, "whole"))
    assert set(found) & {path for path in found if path.startswith("/app")} == wanted
    assert (found["/app/third"], found["/app/d/x"]) == ("deleted", "new")
