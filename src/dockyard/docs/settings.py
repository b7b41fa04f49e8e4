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
    head = ("key", "default", "meaning", "d-run flag", "where")
    sections = dict.fromkeys(key.section for key in KEYS.values())
    tables = (
        f"## {section}\n\n{table(head, (_row(key) for key in KEYS.values() if key.section == section))}"
        for section in sections
    )
    return page("settings.yaml", _SETTINGS, *tables)


def host_file_page() -> str:
    """Return the reference of the host file."""
    own = [key for key in KEYS.values() if key.scope is Scope.HOST]
    shared = [key for key in KEYS.values() if key.scope is Scope.ANYWHERE]
    rows = ([words(key.names), default(key), key.help, words(key.variables())] for key in own)
    return page(
        "The host file",
        _HOST,
        f"## What stands here alone\n\n{table(('key', 'default', 'meaning', 'environment'), rows)}",
        f"## What may stand here for all services\n\n{_SHARED}\n\n{words(_names(shared))}\n",
    )


def _names(keys: Iterable[Key[Any]]) -> list[str]:
    return [name for key in keys for name in key.names]


def default(key: Key[Any]) -> str:
    """Return a key's built-in value in words."""
    if key.shown_default:
        return key.shown_default
    text = written(key.default_in(Mode.PROD))
    return f"`{text}`" if text else NONE


def _row(key: Key[Any]) -> list[str]:
    return [
        words(key.names),
        default(key),
        key.help,
        words(key.flags),
        key.scope.value,
    ]


_SETTINGS = """\
For every key the first hit wins: flag of d-run, the service's `settings.yaml`, environment variable, [host
file](host-file.md), default. `updates` is merged field by field. Every key but `check` and `cowscan` has a variable,
`DOCKYARD_KEY`; some have [an older one](environment.md) too.

In test mode `test_KEY` wins over `KEY` of the same layer; in dev mode `dev_KEY` does, and where there is none
`test_KEY`. An override may be empty (`test_mount_ro: []`), and that empties the key. `d-run --explain` shows each
value's source.

A key that takes a list takes a single item too. A pair may be written `- a: b`, `- "a:b"` or `- "a, b"`. Files are
YAML 1.2: `- 2222:22` is a pair of ports, `log: NO` is a text.
"""

_HOST = """\
What depends on the host and not on the service: `$DOCKYARD_HOST` if it is set, else `~/.config/dockyard/host.yaml`,
else `/etc/dockyard/host.yaml`. It is written like [settings.yaml](settings.md), and is weaker than that and than the
environment.
"""

_SHARED = """\
Every service that does not say otherwise in its settings.yaml takes these from here, with `test_` and `dev_` in front
too:"""
