"""Test copies of production's directories in a test area, created without changing anything in production.

Production's side is only read through descriptors, without following links. It may change in the meantime: files that
are removed before they are read are left out.
"""

from dockyard.copying.facts import copy_facts
from dockyard.copying.twin import copy

__all__ = ["copy", "copy_facts"]
