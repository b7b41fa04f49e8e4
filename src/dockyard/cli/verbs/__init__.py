"""d's verbs, by topic. Importing this registers them all."""

from dockyard.cli.verbs import build, inside, lifecycle, lists, one, others

__all__ = ["build", "inside", "lifecycle", "lists", "one", "others"]
