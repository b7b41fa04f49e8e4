"""The reference of engines, from the table of their differences."""

from dockyard.docs.table import NONE, page, table
from dockyard.engine.differences import TABLES

_HEAD = ("since", "what is different", "what dockyard does about it", "what to set")

_INTRODUCTION = """\
Docker works from 20.10 on, podman from 4.3 on; [the tested versions](tested-engines.md). Docker 29 and podman 6 are
tested with programs that answer as they do, not with the engines themselves. This is what differs between versions.
"""


def engines_page() -> str:
    """Return the reference of engines: a table for each, and one for the host below them."""
    tables = (
        f"## {title}\n\n{table(_HEAD, ([one.since, one.what, one.dockyard, one.set or NONE] for one in rows))}"
        for title, rows in TABLES.items()
    )
    return page("Engines", _INTRODUCTION, *tables, _STORES)


_STORES = """\
## Which store docker uses

    docker info --format '{{.Driver}} {{.DriverStatus}}'

`overlayfs` with `io.containerd.snapshotter.v1` is the containerd image store; `overlay2` is a graph driver. Changing it
hides the images and containers of the other one: they stay on the disk, and are there again after changing back.
Services have to be built again in between.
"""
