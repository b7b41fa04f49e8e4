"""d's verbs, by topic. Importing this registers them all."""

from dockyard.cli.verbs import build, check, inside, lifecycle, lists, one, others, userns

__all__ = ["build", "check", "inside", "lifecycle", "lists", "one", "others", "userns"]
