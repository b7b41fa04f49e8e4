"""The program `d`: one verb per task."""

from dockyard.cli import verbs
from dockyard.cli.command import VERSION
from dockyard.cli.main import program
from dockyard.cli.output import Result
from dockyard.cli.verb import VERBS, WORDS
from dockyard.cli.verbs.others import help_lines
from dockyard.errors import UsageError
from dockyard.text import did_you_mean

assert verbs  # noqa: S101 - importing it registers the verbs

DESCRIPTION = "Run one verb on a service or container, or on all services."


def d(arguments: list[str]) -> Result | int:
    """Run the verb that the first argument names."""
    if not arguments or arguments[0].startswith("-"):
        return _without_verb(arguments)
    word, *rest = arguments
    if word not in WORDS:
        raise UsageError(f"there is no verb `{word}`", hint=did_you_mean(word, WORDS) or "`d help` lists the verbs")
    return WORDS[word].run(rest)


def _without_verb(arguments: list[str]) -> Result:
    from dockyard.cli.parser import Parser

    parser = Parser("d", DESCRIPTION, [VERSION], add_help=False)
    if arguments and arguments[0] not in {"-h", "--help"}:
        parser.read(arguments)
    lines = ["usage: d VERB [X] […]", "", DESCRIPTION, "", *help_lines(list(VERBS.values()))]
    return Result([*lines, "", "`d VERB --help` shows a verb's options; `d --version` shows the version."])


main = program("d", d)
