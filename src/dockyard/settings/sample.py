"""A commented sample of settings.yaml and of the host file, from the table of keys."""

from textwrap import wrap
from typing import Any

from dockyard.settings.key import Key, Scope
from dockyard.settings.keys import KEYS
from dockyard.settings.values import Mode

_WIDTH = 100
_COMMENT = "## "
"""Begins a line of prose. A line that begins with `# ` is YAML that is commented out."""

_FILES = {
    Scope.SERVICE: ("settings.yaml: the settings of one service", "d schema --sample"),
    Scope.HOST: ("host.yaml: the settings of this host, and defaults for all services", "d schema --host --sample"),
}


def render_sample(scope: Scope) -> list[str]:
    """Return the lines of a sample file: every key that is allowed in it, commented out, by section."""
    keys = [key for key in KEYS.values() if key.scope in {Scope.ANYWHERE, scope}]
    sections = dict.fromkeys(key.section for key in keys)
    lines = _head(scope)
    for section in sections:
        lines += ["", "", f"{_COMMENT}---------- {section} ----------"]
        for key in keys:
            if key.section == section:
                lines += ["", *_render_entry(key)]
    return lines


def _head(scope: Scope) -> list[str]:
    title, command = _FILES[scope]
    return [
        f"{_COMMENT}{title}. Printed by `{command}`.",
        _COMMENT.rstrip(),
        *_prose(
            "Every key is commented out: remove `# ` from the lines of a key to set it. Values are examples, or the "
            "defaults of keys that have one. `test_KEY` and `dev_KEY` replace KEY in test and in dev."
        ),
    ]


def _render_entry(key: Key[Any]) -> list[str]:
    """Return the help of a key, its default, and the lines that set it, commented out."""
    value = _plain_default(key)
    default = key.shown_default or (f"`{value}`" if value and key.example else "")
    text = f"{key.help} Default: {default}." if default else key.help
    return [*_prose(text), *(f"# {line}" for line in (key.example or f"{key.name}: {value}").splitlines())]


def _plain_default(key: Key[Any]) -> str:
    """Return a key's default as a file would have it; empty if it is not a scalar."""
    value = key.default_in(Mode.PROD)
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, (int, str)) else ""


def _prose(text: str) -> list[str]:
    return [f"{_COMMENT}{line}" for line in wrap(text, _WIDTH - len(_COMMENT), break_on_hyphens=False)]
