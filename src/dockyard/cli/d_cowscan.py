"""d-cowscan: what changed in the copy-on-write layers of containers."""

from typing import NoReturn

from dockyard.cli.command import VERSION
from dockyard.cli.main import program
from dockyard.cli.parser import Parser
from dockyard.errors import UsageError

OPTIONS = (VERSION,)
PARSER = Parser(
    "d-cowscan", "Report unexpected changes in the copy-on-write layer of every container. Not yet built.", OPTIONS
)


def d_cowscan(arguments: list[str]) -> NoReturn:
    """Say that it is not yet built."""
    PARSER.parse_known_args(arguments)
    raise UsageError("not yet built", hint="until then, `docker diff NAME` shows most changes of one container")


main = program("d-cowscan", d_cowscan)
