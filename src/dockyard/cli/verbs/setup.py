"""Setting up: what editors know of settings."""

from dockyard.cli.command import flag
from dockyard.cli.output import Result
from dockyard.cli.verb import verb
from dockyard.yard import Yard


@verb("schema", settles=False, options=(flag("--host", help="of the host file, in place of settings.yaml"),))
def schema(_yard: Yard, *, host: bool) -> Result:
    """Print the JSON Schema of settings.yaml: with it, editors complete and check.

    See docs/how-to/use-an-editor.md.
    """
    from dockyard.settings.key import Scope
    from dockyard.settings.schema import text

    return Result(text(Scope.HOST if host else Scope.SERVICE).splitlines())
