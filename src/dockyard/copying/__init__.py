"""Test copies: the twin of a production directory in a test area, made without changing anything in production.

Production's side is walked by descriptors alone, through no link, and may change meanwhile: what is gone when its turn
comes is left out.
"""

from dockyard.copying.facts import copy_facts
from dockyard.copying.twin import copy

__all__ = ["copy", "copy_facts"]
