"""The reference of engines, from the table of their differences."""

from dockyard.docs.table import NONE, page, table
from dockyard.engine.differences import TABLES

_HEAD = ("since", "difference", "what dockyard does", "what to set")

_INTRODUCTION = """\
dockyard needs Docker 20.10 or later, or podman 4.3 or later; see [the tested versions](tested-engines.md). Docker 29
and podman 6 are tested with stand-ins, programs that answer as these engines do. The tables list the differences
between versions.
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
hides the images and containers of the other one: they stay on the disk, and reappear after changing back. In the
meantime, services must be built again.
"""
