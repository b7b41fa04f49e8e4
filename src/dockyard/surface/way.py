"""Where a path of an image leads, and through which links. Pure."""

from collections import deque
from typing import NamedTuple

from dockyard.surface.tree import Tree

MOST = 40  # links on one way, as Linux has it: path_resolution(7)


class Way(NamedTuple):
    """Where a path ends, without any link in it, and the links that it led through; no end: nowhere in the image."""

    end: str
    links: tuple[str, ...] = ()


def way(tree: Tree, path: str) -> Way:
    """Follow an absolute path within an image; `..` and links never lead out of its root."""
    here, links = "", list[str]()
    waiting = deque(path.split("/"))
    while waiting:
        part = waiting.popleft()
        if part in {"", "."}:
            continue
        if part == "..":
            here = here.rpartition("/")[0]
            continue
        entry = tree.get(f"{here}/{part}")
        if entry is None or len(links) > MOST:
            return Way("", tuple(links))
        if not entry.is_link:
            here = f"{here}/{part}"
            continue
        links.append(f"{here}/{part}")
        target = entry.facts.target
        here = "" if target.startswith("/") else here
        waiting.extendleft(reversed(target.split("/")))
    return Way(here or "/", tuple(links))
