"""The reference of settings.yaml and of the host file, from the table of keys."""

from collections.abc import Iterable
from typing import Any

from dockyard.cli.explain import written
from dockyard.docs.table import NONE, page, table, words
from dockyard.settings.key import Key, Scope
from dockyard.settings.keys import KEYS
from dockyard.settings.values import Mode


def settings_page() -> str:
    """Return the reference of settings.yaml."""
    sections = dict.fromkeys(key.section for key in KEYS.values())
    return page("settings.yaml", _SETTINGS, *(_section(section) for section in sections))


def _section(section: str) -> str:
    """Return a table of the section's keys, and below it what does not fit into the table."""
    keys = [key for key in KEYS.values() if key.section == section]
    head = ("key", "default", "meaning", "d-run flag", "file")
    own = [key for key in keys if key.scope is not Scope.HOST]
    return f"## {section}\n\n{table(head, map(_row, keys))}{_more(own, 'settings.yaml')}"


def host_file_page() -> str:
    """Return the reference of the host file."""
    own = [key for key in KEYS.values() if key.scope is Scope.HOST]
    shared = [key for key in KEYS.values() if key.scope is Scope.ANYWHERE]
    rows = ([words(key.names), default(key), _meaning(key, ""), words(key.variables())] for key in own)
    own_table = table(("key", "default", "meaning", "environment"), rows)
    return page(
        "The host file",
        _HOST,
        f"## Only in the host file\n\n{own_table}{_more(own, 'host.yaml')}",
        f"## For all services\n\n{_SHARED}\n\n{words(_names(shared))}\n",
    )


def _more(keys: Iterable[Key[Any]], file: str) -> str:
    """Return the details and the examples of keys, each below a heading."""
    return "".join(
        f"\n### `{key.name}`\n" + "".join(f"\n{part}\n" for part in (key.details, _example(key, file)) if part)
        for key in keys
        if _has_more(key)
    )


def _has_more(key: Key[Any]) -> bool:
    """Return whether there is more to say of a key than fits into a table."""
    return bool(key.details or "\n" in key.example)


def _example(key: Key[Any], file: str) -> str:
    return f"```yaml\n# {file}\n{key.example}\n```" if key.example else ""


def _meaning(key: Key[Any], page_of_key: str) -> str:
    """Return a key's help, with its example or a link to it; `page_of_key` is empty on that page itself."""
    if _has_more(key):
        return f"{key.help} [More]({page_of_key}#{key.name})"
    return f"{key.help} Example: `{key.example}`." if key.example else key.help


def _names(keys: Iterable[Key[Any]]) -> list[str]:
    return [name for key in keys for name in key.names]


def default(key: Key[Any]) -> str:
    """Return a key's built-in value in words."""
    if key.shown_default:
        return key.shown_default
    text = written(key.default_in(Mode.PROD))
    return f"`{text}`" if text else NONE


def _row(key: Key[Any]) -> list[str]:
    page_of_key = "host-file.md" if key.scope is Scope.HOST else ""
    return [words(key.names), default(key), _meaning(key, page_of_key), words(key.flags), key.scope.value]


_SETTINGS = """\
For every key, the first of these that sets it wins: a flag of d-run, the service's `settings.yaml`, an environment
variable, the [host file](host-file.md), the default. `updates` is merged field by field. Every key except `check` and
`cowscan` has a variable, `DOCKYARD_KEY`; some have [an older one](environment.md) too.

In test mode, `test_KEY` wins over `KEY` of the same layer. In dev mode, `dev_KEY` wins, or `test_KEY` if there is no
`dev_KEY`. An override may be empty: `test_mount_ro: []` empties the key. `d-run --explain` prints each value and its
source.

A key that takes a list also takes a single item. A pair is written `- a: b`, `- "a:b"` or `- "a, b"`. Files are YAML
1.2: `- 2222:22` is a pair of ports, `log: NO` is a text.

`d schema --sample` prints a commented sample with every key. `d schema` prints a JSON Schema for
[editors](../how-to/use-an-editor.md).
"""

_HOST = """\
Settings that depend on the host and not on the service. The file is `$DOCKYARD_HOST` if that is set, else
`~/.config/dockyard/host.yaml`, else `/etc/dockyard/host.yaml`. It has the same format as [settings.yaml](settings.md).
settings.yaml and the environment take precedence over it.

`d schema --host --sample` prints a commented sample with every key.
"""

_SHARED = """\
Keys that set the default for every service. A service's settings.yaml takes precedence. With the prefixes `test_` and
`dev_`, they apply to test and dev only:"""
