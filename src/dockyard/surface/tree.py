"""All that an image has, by path: read from its layers on the host, of which nothing is run and no link is followed."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from dockyard.copying.opening import opened, pin, readable
from dockyard.engine.models import IdMap
from dockyard.errors import DockyardError
from dockyard.scan.attributes import namespaces
from dockyard.scan.descent import allow_descriptors
from dockyard.scan.entries import Facts, check_depth, facts_of, without_marks
from dockyard.scan.image import Image, image_of
from dockyard.scan.lower import directories, missing

HEAD = 256
"""Bytes of each file that are read: they tell a program, and whose interpreter a script asks for (execve(2))."""


class Entry(NamedTuple):
    """One entry: what it is, which file (several paths may be one), and how it begins."""

    facts: Facts
    inode: tuple[int, int] = (0, 0)
    head: bytes = b""

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return self.facts.format == stat.S_IFDIR

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return self.facts.format == stat.S_IFLNK

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return self.facts.format == stat.S_IFREG

    @property
    def can_be_run(self) -> bool:
        """Whether somebody may execute it."""
        return self.is_file and bool(self.facts.mode & 0o111)


Tree = Mapping[str, Entry]
"""Entries by absolute path; `/` is the root itself."""


def read_tree(layers: Sequence[str], ids: IdMap) -> Tree:
    """Read an image's layers, the uppermost first, with owners as a container sees them.

    Raises DockyardError where they cannot be read.
    """
    found: dict[str, Entry] = {}
    allow_descriptors()
    try:
        with ExitStack() as stack:
            tops = [stack.enter_context(opened(pin(layer, follow=True))) for layer in layers]
            found["/"] = _entry(tops[0], ids)
            _read(found, "", tops, ids)
    except OSError as error:
        hint = "run it as root: only root can read its layers" if isinstance(error, PermissionError) else ""
        raise DockyardError(f"the image's layers cannot be read: {error.strerror}", hint) from None
    return found


def _read(found: dict[str, Entry], above: str, layers: list[int], ids: IdMap) -> None:
    check_depth(above.count("/"))
    marks = namespaces()
    for name, under in missing(layers, None, marks):
        path = f"{above}/{name}"
        with opened(pin(name, under.layer)) as pinned:
            found[path] = entry = _entry(pinned, ids)
        if entry.is_directory:
            with ExitStack() as stack:
                _read(found, path, directories(layers, name, marks, stack), ids)


def _entry(pinned: int, ids: IdMap) -> Entry:
    status = os.fstat(pinned)
    head = b""
    if stat.S_ISREG(status.st_mode) and status.st_size:
        with opened(readable(pinned)) as descriptor:
            head = os.pread(descriptor, HEAD, 0)
    facts = without_marks(facts_of(pinned))
    return Entry(facts._replace(owner=ids.owner(*facts.owner)), (status.st_dev, status.st_ino), head)


class Files:
    """The contents of an image's files."""

    def __init__(self, image: Image) -> None:
        self._image = image

    @contextmanager
    def opened(self, path: str) -> Iterator[int]:
        """Open a file of the image for reading. Raises FileNotFoundError, and other OSErrors."""
        with self._image.original(path.lstrip("/")) as original:
            if not original or not stat.S_ISREG(original.status.st_mode):
                raise FileNotFoundError(path)
            with opened(pin(original.name, original.holder)) as pinned, opened(readable(pinned)) as descriptor:
                yield descriptor

    def read(self, path: str, most: int) -> bytes:
        """Return the first bytes of a file. Raises FileNotFoundError, and other OSErrors."""
        with self.opened(path) as descriptor:
            return os.pread(descriptor, most, 0)

    def text(self, path: str, most: int = 2**20) -> str:
        """Return the beginning of a file as text; empty where there is none."""
        try:
            return self.read(path, most).decode("utf-8", "replace")
        except OSError:
            return ""


@contextmanager
def files_of(layers: Sequence[str]) -> Iterator[Files]:
    """Pin the layers of an image, to read its files. Raises OSError."""
    with image_of(layers) as image:
        yield Files(image)
