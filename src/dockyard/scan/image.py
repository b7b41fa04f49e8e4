"""What an image has, read from its layers: they are merged as the kernel does, with its whiteouts and opaque ones."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple, Self

from dockyard.copying.data import copy_data
from dockyard.copying.opening import opened, pin, readable
from dockyard.overlay import at
from dockyard.scan.attributes import namespaces
from dockyard.scan.confined import PIN_DIRECTORY, opened_beneath
from dockyard.scan.entries import Facts, check_depth, facts_of, give, make, names_in, without_marks
from dockyard.scan.lower import directories
from dockyard.scan.lower import found as found_in

LINKED = 256  # files with several names whose copies are known at once


class Original(NamedTuple):
    """An entry of an image: the directories that may hold it, the uppermost first, its name, and what it is."""

    layers: list[int]
    name: str
    status: os.stat_result
    holder: int

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.status.st_mode)

    def facts(self) -> Facts:
        """Return what it is, as a container sees it."""
        with opened(pin(self.name, self.holder)) as pinned:
            return without_marks(facts_of(pinned))

    def copy(self, above: int, name: str, links: "Links", depth: int = 0) -> os.stat_result:
        """Make a copy in a pinned directory, with all that is in it; return its status. Raises OSError."""
        check_depth(depth)
        again = links.made_again(self.status, above, name)
        if again:
            return again
        facts = self.facts()
        made = make(above, name, facts, self._fill if stat.S_ISREG(facts.format) else None)
        if self.is_directory:
            with opened(opened_beneath(above, name, PIN_DIRECTORY)) as inner:
                self._copy_inner(inner, links, depth)
                give(inner, facts)
                return os.fstat(inner)
        links.remember(self.status, above, name)
        return made

    def _fill(self, target: int) -> None:
        with opened(pin(self.name, self.holder)) as pinned, opened(readable(pinned)) as source:
            copy_data(source, target, os.fstat(source).st_size, lambda _: None)

    def _copy_inner(self, inner: int, links: "Links", depth: int) -> None:
        with ExitStack() as stack:
            layers = directories(self.layers, self.name, namespaces(), stack)
            for name in dict.fromkeys(name for layer in layers for name in names_in(layer)):
                found = _original(layers, name)
                if found:
                    found.copy(inner, name, links, depth + 1)


def _original(layers: list[int], name: str) -> Original | None:
    under = found_in(layers, name, namespaces())
    return Original(layers, name, under.status, under.layer) if under else None


class Links:
    """Copies of the image's files that have several names: what was one file is one again."""

    def __init__(self) -> None:
        self._pinned: dict[tuple[int, int], int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pinned in self._pinned.values():
            os.close(pinned)

    def made_again(self, like: os.stat_result, above: int, name: str) -> os.stat_result | None:
        """Give a copy another name, and return its status; None where there is no copy."""
        pinned = self._pinned.get((like.st_dev, like.st_ino))
        # One that nothing names any more cannot be named again.
        if pinned is None or not os.fstat(pinned).st_nlink:
            return None
        os.link(at(pinned), name, dst_dir_fd=above, follow_symlinks=True)
        return os.fstat(pinned)

    def remember(self, like: os.stat_result, above: int, name: str) -> None:
        """Remember a copy, if its file has more names and there are not too many such."""
        which = (like.st_dev, like.st_ino)
        if stat.S_ISREG(like.st_mode) and like.st_nlink > 1 and len(self._pinned) < LINKED:
            self._pinned.setdefault(which, opened_beneath(above, name))


class Image:
    """The layers of an image, pinned, the uppermost first."""

    def __init__(self, layers: list[int]) -> None:
        self._layers = layers

    @contextmanager
    def original(self, path: str) -> Iterator[Original | None]:
        """Find what the image has at a path, which has no `/` at its beginning; None where it has nothing."""
        *above, name = path.split("/")
        with ExitStack() as stack:
            layers = self._layers
            for part in above:
                layers = directories(layers, part, namespaces(), stack)
            yield _original(layers, name)


@contextmanager
def image_of(layers: Sequence[str]) -> Iterator[Image]:
    """Pin the layers of an image. Raises OSError."""
    with ExitStack() as stack:
        yield Image([stack.enter_context(opened(pin(layer, follow=True))) for layer in layers])
