"""docs/reference/, written from the tables: `python -m dockyard.docs`; `--check` tells whether it is up to date."""

import sys
from collections.abc import Iterable
from pathlib import Path

from dockyard.cli import d_build, d_cowscan, d_map, d_run, verbs
from dockyard.cli.command import Option
from dockyard.cli.explain import written
from dockyard.cli.verb import VERBS, On
from dockyard.errors import EXIT_CODES
from dockyard.settings.key import Key
from dockyard.settings.keys import KEYS
from dockyard.settings.values import Mode
from dockyard.testing import script

assert verbs  # noqa: S101 - importing it registers the verbs

REFERENCE = Path(__file__).parents[2] / "docs/reference"
NONE = "–"  # noqa: RUF001 - as it stands in tables
GENERATED = "<!-- Written by `python -m dockyard.docs` from the tables in the code; do not edit. -->\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _default(key: Key[object]) -> str:
    if key.shown_default:
        return key.shown_default
    text = written(key.default_in(Mode.PROD))
    return f"`{text}`" if text else NONE


def _key_row(key: Key[object]) -> list[str]:
    names = ", ".join(f"`{name}`" for name in key.names)
    variables = ", ".join(f"`{name}`" for name in key.environment)
    flags = ", ".join(f"`{flag}`" for flag in key.flags)
    return [names, _default(key), key.help, flags or NONE, variables or NONE, key.scope.value]


def settings_page() -> str:
    """Return the reference of settings.yaml."""
    sections: dict[str, list[Key[object]]] = {}
    for key in KEYS.values():
        sections.setdefault(key.section, []).append(key)
    head = ("key", "default", "meaning", "d-run flag", "environment", "where")
    tables = (f"## {section}\n\n{_table(head, map(_key_row, keys))}" for section, keys in sections.items())
    return "\n".join([f"# settings.yaml\n\n{GENERATED}\n{_SETTINGS_INTRODUCTION}", *tables])


_SETTINGS_INTRODUCTION = """\
For every key the first hit wins: flag of d-run, the service's `settings.yaml`, environment variable, host file,
default. The host file is `$DOCKYARD_HOST`, else `~/.config/dockyard/host.yaml`, else `/etc/dockyard/host.yaml`.
Besides the variables below, every key but `cowscan` can be set as `DOCKYARD_KEY`.

In test mode `test_KEY` wins over `KEY` of the same layer; in dev mode `dev_KEY` does, and where there is none
`test_KEY`. An override may be empty (`test_mount_ro: []`), and that empties the key. `d-run --explain` shows each
value's source.

A key that takes a list takes a single item too. A pair may be written `- a: b`, `- "a:b"` or `- "a, b"`. Files are
YAML 1.2: `- 2222:22` is a pair of ports, `log: NO` is a text.
"""


def _option_rows(options: Iterable[Option]) -> Iterable[list[str]]:
    for names, text, _ in options:
        if text and not text.startswith("=="):  # argparse's mark of what is not shown
            yield [", ".join(f"`{name}`" for name in names), text]


def commands_page() -> str:
    """Return the reference of the programs."""
    verb_rows = (
        [
            f"`{' '.join(filter(None, [verb.name, *verb.aliases, verb.usage]))}`",
            verb.help,
            "yes" if verb.report else NONE,
        ]
        for verb in VERBS.values()
    )
    programs = (
        ("d-run", d_run.DESCRIPTION, d_run.OPTIONS),
        ("d-build", d_build.DESCRIPTION, d_build.OPTIONS),
        ("d-map", d_map.PARSER.description or "", ()),
        ("d-cowscan", d_cowscan.PARSER.description or "", ()),
        ("Test, Test-prod", script.DESCRIPTION, script.OPTIONS),
    )
    parts = [
        f"# Commands\n\n{GENERATED}\n{_COMMANDS_INTRODUCTION}",
        f"## Exit codes\n\n{_table(('code', 'meaning'), ([str(code), text] for code, text in EXIT_CODES.items()))}",
        f"## d\n\n{_ON_X}\n\n{_table(('verb', 'does', '`--json`'), verb_rows)}",
    ]
    for name, description, options in programs:
        rows = list(_option_rows(options))
        parts.append(f"## {name}\n\n{description}\n" + (f"\n{_table(('flag', 'meaning'), rows)}" if rows else ""))
    return "\n".join(parts)


_COMMANDS_INTRODUCTION = """\
Data goes to stdout, everything else to stderr. All programs have `--help` and `--version`. A dry run changes nothing
at all.
"""

_ON_X = (
    f"X is the beginning of the name of a {On.SERVICE.value} or a {On.RUNNING.value}, as the verb has it. "
    "An exact name wins; several names that begin so, or none, are an error."
)

PAGES = {"settings.md": settings_page, "commands.md": commands_page}


def main(arguments: list[str]) -> int:
    """Write the pages, or with `--check` say which are out of date."""
    stale = 0
    for name, page in PAGES.items():
        path = REFERENCE / name
        text = page()
        if "--check" not in arguments:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            sys.stderr.write(f"docs/reference/{name} is out of date\nhint: python -m dockyard.docs\n")
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
