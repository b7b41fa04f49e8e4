"""d-map: which container has which id."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from dockyard.cli.command import VERSION
from dockyard.cli.main import program
from dockyard.cli.parser import Parser
from dockyard.standalone import d_map as standalone

OPTIONS = (VERSION,)
PARSER = Parser("d-map", "List the running containers, `ID NAME` a line, by name.", OPTIONS)


def d_map(arguments: list[str]) -> NoReturn:
    """Become the program that is safe for anybody; here it is run for oneself."""
    PARSER.read(arguments)
    os.execv(sys.executable, (sys.executable, "-I", "-S", str(Path(standalone.__file__))))  # noqa: S606 - no shell


main = program("d-map", d_map)
