"""The manual pages, written from the tables that the programs read, in the language of man(7)."""

import re
from collections.abc import Iterable

from dockyard.cli import d_build, d_cowscan, d_map, d_run, verbs
from dockyard.cli.command import Option
from dockyard.cli.d import DESCRIPTION
from dockyard.cli.verb import VERBS, WAIT, On, Verb
from dockyard.errors import EXIT_CODES
from dockyard.settings.key import Key
from dockyard.settings.keys import KEYS

assert verbs  # noqa: S101 - importing it registers the verbs

SUPPRESSED = "=="  # argparse's mark of a hidden option
SETTINGS_PAGE = "dockyard-settings.5"
FILES = {
    "/etc/dockyard/host.yaml": "Settings of the host, unless the user has a ~/.config/dockyard/host.yaml or "
    "$DOCKYARD_HOST names another file.",
    "settings.yaml": "Settings of a service, in its directory: dockyard-settings(5).",
}


def pages(version: str) -> dict[str, str]:
    """Return the pages by the names of their files."""
    programs = {
        "d": (DESCRIPTION, "d VERB [X] […]", _verbs()),
        "d-run": (d_run.DESCRIPTION, "d-run [OPTION…]", _options(d_run.OPTIONS)),
        "d-build": (d_build.DESCRIPTION, "d-build [OPTION…]", _options(d_build.OPTIONS)),
        "d-cowscan": (d_cowscan.PARSER.description or "", "d-cowscan [OPTION…]", _options(d_cowscan.OPTIONS)),
        "d-map": (d_map.PARSER.description or "", "d-map", _SAFE),
    }
    written = {f"{name}.1": _program(name, version, *parts) for name, parts in programs.items()}
    return {**written, SETTINGS_PAGE: _settings(version)}


_SAFE = """\
It takes no arguments and reads no environment and no configuration. If the fragment for sudo is installed, every user
may run
.B sudo d\\-map
without a password.
"""


def escaped(text: str) -> str:
    """Return a text escaped for roff; text between backticks becomes bold."""
    plain = text.replace("\\", "\\e").replace("-", "\\-")
    bold = re.sub(r"`([^`]*)`", r"\\fB\1\\fR", plain)
    return "\n".join(f"\\&{line}" if line.startswith((".", "'")) else line for line in bold.splitlines())


def _program(name: str, version: str, description: str, usage: str, body: str) -> str:
    first, _, rest = description.strip().partition("\n")
    others = [f"{other}(1)" for other in ("d", "d-run", "d-build", "d-cowscan", "d-map") if other != name]
    return "\n".join(
        [
            _head(name, 1, version, first.rstrip(".")),
            f".SH SYNOPSIS\n{escaped(usage)}",
            f".SH DESCRIPTION\n{escaped(first)}{_paragraphs(rest)}",
            body.rstrip("\n"),
            ".SH EXIT STATUS",
            *(_entry(str(code), text) for code, text in EXIT_CODES.items()),
            ".SH FILES",
            *(_entry(path, text) for path, text in FILES.items()),
            f".SH SEE ALSO\n{escaped(', '.join([*others, 'dockyard-settings(5)']))}\n",
        ]
    )


def _head(name: str, section: int, version: str, what: str) -> str:
    title = f'.TH "{escaped(name.upper())}" {section} "" "dockyard {version}" "dockyard"'
    return f"{title}\n.nh\n.SH NAME\n{escaped(name)} \\- {escaped(what)}"


def _paragraphs(text: str) -> str:
    """Return paragraphs after a first one."""
    parts = re.split(r"\n\s*\n", text.strip())
    return "".join(f"\n.PP\n{escaped(' '.join(part.split()))}" for part in parts if part)


def _entry(head: str, text: str) -> str:
    return f".TP\n.B {escaped(head)}\n{escaped(text)}"


def _shown(options: Iterable[Option]) -> list[Option]:
    return [entry for entry in options if entry.help and not entry.help.startswith(SUPPRESSED)]


def _option(entry: Option) -> str:
    value = entry.more.get("metavar") or ("" if entry.more.get("action") else "VALUE")
    names = ", ".join(entry.names)
    return _entry(f"{names} {value}".rstrip(), entry.help)


def _options(options: Iterable[Option]) -> str:
    return "\n".join([".SH OPTIONS", *map(_option, _shown(options))])


def _verbs() -> str:
    about = (
        f"X is the name of a {On.SERVICE.value} or a {On.RUNNING.value}, depending on the verb, or a unique prefix. "
    )
    lines = [escaped(f"{about}An exact name wins; a prefix of several names, or of none, is an error.")]
    topic = ""
    for verb in VERBS.values():
        if verb.topic != topic:
            topic = verb.topic
            lines.append(f".SH VERBS: {escaped(topic.upper())}")
        lines.append(_verb(verb))
    return "\n".join(lines)


def _verb(verb: Verb) -> str:
    """Return a verb with its aliases, its description, and its options, indented."""
    head = ", ".join([verb.name, *verb.aliases])
    text = _entry(f"{head} {verb.usage}".rstrip(), verb.help) + _further(verb.description)
    options = [*verb.options, *([WAIT] if verb.locks else []), *([_JSON] if verb.report else [])]
    shown = [_option(entry) for entry in _shown(options) if entry.names[0].startswith("-")]
    return "\n".join([text, ".RS", *shown, ".RE"]) if shown else text


_JSON = Option(("--json",), "as JSON", {"action": "store_true"})


def _further(description: str) -> str:
    """Return the rest of a verb's description, after its first line, as paragraphs of its entry."""
    return _paragraphs(description.partition("\n")[2]).replace(".PP", ".IP")


def _settings(version: str) -> str:
    parts = [
        _head("dockyard-settings", 5, version, "how a service runs: settings.yaml, and the host file"),
        ".SH DESCRIPTION\nFor every key the first match wins: flag of d\\-run, settings.yaml, environment variable,",
        "host file, default. In tests test_KEY wins over KEY of the same layer; in development dev_KEY, else test_KEY.",
        "Files are YAML 1.2.\n.B d\\-run \\-\\-explain\nshows each value and where it comes from;\n.B d schema",
        "prints the JSON Schema for editors.",
    ]
    section = ""
    for key in KEYS.values():
        if key.section != section:
            section = key.section
            parts.append(f".SH {escaped(section.upper())}")
        parts.append(_key(key))
    return "\n".join([*parts, ".SH SEE ALSO\nd\\-run(1), d(1)\n"])


def _key(key: Key[object]) -> str:
    where = [f"In the {key.scope.value}."]
    where += [f"Flags: {', '.join(key.flags)}."] if key.flags else []
    where += [f"Environment: {', '.join(key.environment)}."] if key.environment else []
    example = f"\n.IP\n.EX\n{escaped(key.example)}\n.EE" if key.example else ""
    return f"{_entry(', '.join(key.names), key.help)}{_details(key.details)}\n.br\n{escaped(' '.join(where))}{example}"


def _details(text: str) -> str:
    """Return the details of a key as paragraphs of its entry, each item of a list on a line of its own."""
    lines = text.replace("\n- ", "\n\n- ")
    return _paragraphs(lines).replace(".PP", ".IP").replace("\n.IP\n\\- ", "\n.br\n")
