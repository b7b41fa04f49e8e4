"""Private copies of an image's or a container's files, for as long as they are read: the last resort of `Store`.

A copy is in a directory of its own that only its owner may enter, in $TMPDIR, or in the state directory if that has
more room. It is locked while it is used; one that a killed program has left is removed by the next copy.
"""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from dockyard.errors import DockyardError, EngineError
from dockyard.layers.directories import Directories
from dockyard.layers.unpack import archive_errors, unpack_image, unpack_tree
from dockyard.secrets import state_directory

if TYPE_CHECKING:
    from dockyard.engine.engine import Engine
    from dockyard.engine.models import Container, Image

PREFIX = "dockyard-layers-"
NAME = "dockyard-reads-"  # a container that is only read, and the pid of its reader
ROOM = 2  # times the size that the engine tells: an archive, and what is unpacked of it
SETTLED_SECONDS = 60  # a younger directory may not be locked yet


@contextmanager
def copy_of_image(engine: "Engine", image: "Image") -> Iterator[str]:
    """Yield a directory with all files of an image, merged. Raises DockyardError."""
    _require_root()
    with save_image(engine, image) as archive:
        root = archive.with_name("root")
        root.mkdir(mode=0o755)
        unpack_image(str(archive), str(root))
        archive.unlink()
        yield str(root)


@contextmanager
def save_image(engine: "Engine", image: "Image") -> Iterator[Path]:
    """Yield an archive of an image, in a private directory that has room to unpack it. Raises DockyardError."""
    answer = engine.inspect("image", image.id)
    with private_directory(int(answer[0].get("Size") or 0) * ROOM if answer else 0) as place:
        archive = place / "image.tar"
        engine.stream(("save", f"sha256:{image.id}"), partial(_write, archive))
        yield archive


@contextmanager
def copy_of_container(engine: "Engine", container: "Container") -> Iterator[Directories]:
    """Yield the whole tree of a stopped container, and that of a new one of its image. Raises DockyardError.

    Both come by `export`: what an engine puts into every container is in both.
    """
    _require_root()
    with private_directory() as place, _created(engine, container.image_id) as new:
        for name, identifier in (("container", container.id), ("image", new)):
            (place / name).mkdir(mode=0o755)
            engine.stream(("export", identifier), partial(unpack_tree, root=str(place / name)))
        yield Directories(str(place / "container"), (str(place / "image"),), is_whole=True, is_copy=True)


@contextmanager
def copy_of_files(engine: "Engine", image: "Image", paths: Sequence[str]) -> Iterator[str]:
    """Yield a directory with a few files of an image, as far as it has them. Raises DockyardError."""
    with private_directory() as place, _created(engine, image.id) as new:
        for path in paths:
            with suppress(EngineError):  # it has no such file
                text = engine.read_file(new, f"/{path}")
                (place / path).parent.mkdir(parents=True, exist_ok=True)
                (place / path).write_text(text, "utf-8", "surrogateescape")
        yield str(place)


@contextmanager
def _created(engine: "Engine", image: str) -> Iterator[str]:
    """Create a container that never starts, for its files; those that killed programs have left are removed first."""
    for left in engine.call("ps", "--all", "--filter", f"name={NAME}", "--format", "{{.Names}}").split():
        if left.startswith(NAME) and not Path("/proc", left.rpartition("-")[2]).exists():
            engine.remove(left, with_volumes=True)
    name = f"{NAME}{image[:12]}-{os.getpid()}"
    created = engine.call("create", "--name", name, "--network", "none", "--entrypoint", "/none", image).split()
    try:
        yield created[-1]
    finally:
        engine.remove(name, with_volumes=True)


def _write(archive: Path, stream: IO[bytes]) -> None:
    with archive_errors(), archive.open("wb") as file:
        shutil.copyfileobj(stream, file)


def _require_root() -> None:
    if os.geteuid():
        raise DockyardError("only root can copy the files of an image with their owners", hint="run it as root")


@contextmanager
def private_directory(size: int = 0) -> Iterator[Path]:
    """Create a directory for its owner alone that has room for `size` bytes, and remove it after the block."""
    above = _place(size)
    remove_abandoned(above)
    place = Path(tempfile.mkdtemp(prefix=PREFIX, dir=above))
    descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        os.close(descriptor)


def _place(size: int) -> Path:
    """Return where to create a copy: the first place that has room for it."""
    places = [Path(tempfile.gettempdir()), state_directory()]
    for place in places:
        with suppress(OSError):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            free = os.statvfs(place)
            if free.f_bavail * free.f_frsize > size:
                return place
    raise DockyardError(
        f"there is no space for a copy of {size >> 20} MiB in {' or '.join(map(str, places))}",
        hint="set TMPDIR to a directory on a disk with more room",
    )


def remove_abandoned(above: Path, now: float | None = None) -> None:
    """Remove the copies that killed programs of ours have left in a directory."""
    for place in above.glob(f"{PREFIX}*"):
        with suppress(OSError):
            descriptor = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                status = os.fstat(descriptor)
                is_settled = (now or time.time()) - status.st_mtime > SETTLED_SECONDS
                if status.st_uid == os.geteuid() and is_settled:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(place, ignore_errors=True)
            finally:
                os.close(descriptor)
