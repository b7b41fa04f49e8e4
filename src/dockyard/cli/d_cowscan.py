"""d-cowscan: what changed in the copy-on-write layers of containers."""

import click

from dockyard.cli.main import CONTEXT, program, version_option
from dockyard.errors import UsageError


@click.command("d-cowscan", context_settings={**CONTEXT, "ignore_unknown_options": True})
@click.argument("_arguments", nargs=-1, type=click.UNPROCESSED)
@version_option
def d_cowscan(_arguments: tuple[str, ...]) -> None:
    """Report unexpected changes in the copy-on-write layer of every container. Not yet built."""
    raise UsageError("not yet built", hint="until then, `docker diff NAME` shows most changes of one container")


main = program(d_cowscan)
