"""`dockyard-python`: the Python in which dockyard is importable, for the first line of Test scripts."""

import os
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Become that Python."""
    os.execv(sys.executable, [sys.executable, *sys.argv[1:]])  # noqa: S606 - an argv, no shell
