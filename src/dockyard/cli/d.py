"""d: everything, tersely."""

import click

from dockyard.cli import verbs
from dockyard.cli.main import CONTEXT, program, version_option
from dockyard.cli.verb import VERBS, WORDS
from dockyard.cli.verbs.others import help_lines
from dockyard.text import did_you_mean

assert verbs  # noqa: S101 - importing it registers the verbs


class Verbs(click.Group):
    """The verbs of the registry, by any of their words."""

    def list_commands(self, _context: click.Context) -> list[str]:
        """Return the verbs' names, for completion."""
        return list(VERBS)

    def get_command(self, _context: click.Context, word: str) -> click.Command | None:
        """Return the command of a word."""
        return WORDS[word].command if word in WORDS else None

    def resolve_command(
        self, context: click.Context, arguments: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command of the first argument; an unknown word is told with its nearest neighbour."""
        if arguments and arguments[0] not in WORDS and not context.resilient_parsing:
            hint = did_you_mean(arguments[0], WORDS) or "`d help` lists the verbs"
            raise click.UsageError(f"no verb `{arguments[0]}`: {hint}", context)
        return super().resolve_command(context, arguments)

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the verbs as `d help` does."""
        with formatter.section("Verbs"):
            formatter.write("\n".join(f"  {line}" for line in help_lines(list(VERBS.values()))) + "\n")


@click.command("d", cls=Verbs, context_settings=CONTEXT)
@version_option
def d() -> None:
    """Do one thing to one service or container: `d VERB [X]`."""


main = program(d)
