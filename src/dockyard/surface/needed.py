"""What of an image is needed: what was opened, what that needs to start, and what is kept in any case. Pure."""

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from dockyard.settings.rule_pattern import read
from dockyard.surface.elf import Needs
from dockyard.surface.surface import SCRIPT, is_program
from dockyard.surface.tree import Entry, Tree
from dockyard.surface.way import way

USED, KEPT, ALWAYS, VOLUME = "used", "kept by `keep`", "always", "the initial content of a volume"

ESSENTIAL = (
    "/etc/passwd",
    "/etc/group",
    "/etc/nsswitch.conf",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/mtab",
    "/etc/os-release",
    "/usr/lib/os-release",
)
"""What engines look up users in or mount over, what the C library looks up names by, what scanners of images ask."""

Why = dict[str, str]
"""Paths of an image that stay, with the reason for each."""


class Opened(NamedTuple):
    """A file that was opened: where it is, and how it was asked for; empty where that is not known."""

    path: str
    asked: str = ""


class Wanted(NamedTuple):
    """What is to stay: files that were opened, patterns to keep, directories whose content becomes a volume's."""

    opened: Iterable[Opened]
    keep: Iterable[str] = ()
    volumes: Iterable[str] = ()


def needed(tree: Tree, wanted: Wanted, needs: Callable[[str], Needs]) -> Why:
    """Return what of an image stays; `needs` tells what a program asks for when it starts.

    Directories all stay, as nothing tells which a program looks for. So do links that lead to none of the programs: to
    directories, to data that stay, and out of the image (`/dev/stdout`). A link to a program is a name that it can be
    called by, and stays only where somebody did.
    """
    found = _Needed(tree, needs)
    for one in wanted.opened:
        found.add(one.path, USED)
        if way(tree, one.asked).end == one.path:
            found.add(one.asked, USED)
    for path in ESSENTIAL:
        found.add(path, ALWAYS)
    patterns = [read(text) for text in wanted.keep]
    for path in tree:
        if any(pattern.matches(path) for pattern in patterns):
            found.add(path, KEPT)
        if any(path.startswith(f"{volume.rstrip('/')}/") for volume in wanted.volumes):
            found.add(path, VOLUME)
    found.add_links()
    found.why |= {path: "a directory" for path, entry in tree.items() if entry.is_directory}
    return found.why


class _Needed:
    def __init__(self, tree: Tree, needs: Callable[[str], Needs]) -> None:
        self._tree, self._needs = tree, needs
        self._by_name: dict[str, list[str]] = {}
        for path in tree:
            self._by_name.setdefault(path.rpartition("/")[2], []).append(path)
        self.why: Why = {}

    def add(self, path: str, why: str) -> None:
        """Keep a path, the links that lead to it, and what it needs to start."""
        waiting = [(path, why)]
        while waiting:
            path, why = waiting.pop()
            end, links = way(self._tree, path)
            for one in (*links, end):
                if one in self._tree and one not in self.why:
                    self.why[one] = why
                    waiting += [(inner, f"needed by {one}") for inner in self._asked_for(one, self._tree[one])]

    def _asked_for(self, path: str, entry: Entry) -> Iterator[str]:
        if entry.head.startswith(SCRIPT) and entry.can_be_run:
            yield interpreter(entry.head)
        elif entry.is_file:
            needs = self._needs(path)
            yield from filter(None, [needs.loader])
            for name in needs.libraries:
                yield from self._libraries(name)

    def _libraries(self, name: str) -> Iterable[str]:
        """Return where a library may be: wherever its name is, as search paths differ from loader to loader."""
        return [name] if name.startswith("/") else self._by_name.get(name, ())

    def add_links(self) -> None:
        """Keep links that are no names of programs, and lead to what stays or out of the image."""
        for path, entry in self._tree.items():
            if entry.is_link and path not in self.why:
                end = way(self._tree, path).end
                if not end or self._tree[end].is_directory:
                    self.why[path] = "a link to a directory" if end else "a link out of the image"
                elif end in self.why and not is_program(end, self._tree[end]):
                    self.why[path] = f"a link to {end}"


def interpreter(head: bytes) -> str:
    """Return the path of the interpreter that a script asks for; empty where there is none."""
    words = head.partition(b"\n")[0].removeprefix(SCRIPT).split()
    return words[0].decode("utf-8", "surrogateescape") if words else ""
