"""d-map: which container has which id."""

import click

from dockyard.cli.main import CONTEXT, program, version_option
from dockyard.cli.output import Result
from dockyard.yard import Yard


@click.command("d-map", context_settings=CONTEXT)
@version_option
def d_map() -> Result:
    """List the running containers, `ID NAME` a line, by name."""
    return Result([f"{identifier} {name}" for identifier, name in Yard().engine.running()])


main = program(d_map)
