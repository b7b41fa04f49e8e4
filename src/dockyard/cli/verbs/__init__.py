"""d's verbs, by topic. Importing this registers them all."""

from dockyard.cli.verbs import (
    build,
    check,
    fleet,
    host,
    inside,
    lifecycle,
    lists,
    moving,
    one,
    orphans,
    others,
    records,
    setup,
    surface,
    updates,
    userns,
)

__all__ = [
    "build",
    "check",
    "fleet",
    "host",
    "inside",
    "lifecycle",
    "lists",
    "moving",
    "one",
    "orphans",
    "others",
    "records",
    "setup",
    "surface",
    "updates",
    "userns",
]
