"""The reference of the programs, from the verbs and the options that they read."""

from collections.abc import Iterable

from dockyard.cli import d_build, d_cowscan, d_map, d_run, verbs
from dockyard.cli.command import Option
from dockyard.cli.verb import VERBS, WAIT, On, Verb
from dockyard.docs.table import NONE, page, table, words
from dockyard.testing import script

assert verbs  # noqa: S101 - importing it registers the verbs

PROGRAMS = (
    ("d-run", d_run.DESCRIPTION, d_run.OPTIONS),
    ("d-build", d_build.DESCRIPTION, d_build.OPTIONS),
    ("d-map", d_map.PARSER.description or "", d_map.OPTIONS),
    ("d-cowscan", d_cowscan.DESCRIPTION, d_cowscan.OPTIONS),
    ("Test, Test-prod", script.DESCRIPTION, script.OPTIONS),
)


def commands_page() -> str:
    """Return the reference of the programs."""
    verbs_table = table(("verb", "does", "`--json`"), map(_verb_row, VERBS.values()))
    flags_table = table(("verb", "flag", "meaning"), _flag_rows(VERBS.values()))
    return page(
        "Commands",
        _INTRODUCTION,
        f"## d\n\n{_ON_X}\n\n{verbs_table}",
        f"### Flags of verbs\n\n{flags_table}\n{_WAITING}\n",
        *(_program(*program) for program in PROGRAMS),
    )


def _verb_row(verb: Verb) -> list[str]:
    words_of_it = " ".join(filter(None, [verb.name, *verb.aliases, verb.usage]))
    return [f"`{words_of_it}`", verb.help, "yes" if verb.report else NONE]


def _flag_rows(every: Iterable[Verb]) -> Iterable[list[str]]:
    for verb in every:
        for flags, text in option_rows(verb.options):
            yield [f"`{verb.name}`", flags, text]


def _program(name: str, description: str, options: Iterable[Option]) -> str:
    return f"## {name}\n\n{description}\n\n{table(('flag', 'meaning'), option_rows(options))}"


def option_rows(options: Iterable[Option]) -> Iterable[list[str]]:
    """Yield the names and the meaning of each option that is shown to users."""
    for names, text, more, *_ in options:
        if text and not text.startswith("=="):  # argparse's mark of what is not shown
            value = f" `{more['metavar']}`" if "metavar" in more else ""
            yield [words(names) + value, text]


_INTRODUCTION = """\
Data goes to stdout, everything else to stderr. All programs have `--help` and `--version`, and end with one of these
[exit codes](exit-codes.md). A dry run changes nothing at all.
"""

_ON_X = (
    f"X is the name of a {On.SERVICE.value} or a {On.RUNNING.value}, depending on the verb, or a unique prefix. "
    "An exact name wins; a prefix of several names, or of none, is an error."
)

_WAITING = (
    f"{words(verb.name for verb in VERBS.values() if verb.locks)} also have `{WAIT.names[0]} SECONDS`: {WAIT.help}."
)
