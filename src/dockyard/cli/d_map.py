"""d-map: which container has which id."""

from dockyard.cli.command import VERSION
from dockyard.cli.main import program
from dockyard.cli.output import Result
from dockyard.cli.parser import Parser
from dockyard.yard import Yard

OPTIONS = (VERSION,)
PARSER = Parser("d-map", "List the running containers, `ID NAME` a line, by name.", OPTIONS)


def d_map(arguments: list[str]) -> Result:
    """Return the lines."""
    PARSER.read(arguments)
    return Result([f"{identifier} {name}" for identifier, name in Yard().engine.running()])


main = program("d-map", d_map)
