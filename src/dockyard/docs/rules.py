"""The reference of the rules for d-cowscan, from the table of their keys."""

from dockyard.docs.table import NONE, page, table, words
from dockyard.settings.rule_type import FIELDS, KINDS, WHAT, Rule


def rules_page() -> str:
    """Return the reference of d-cowscan's rules."""
    rows = ([f"`{name}`", field.help, field.type.expected, _default(name)] for name, field in FIELDS.items())
    head = ("key", "meaning", "value", "default")
    return page("Rules of d-cowscan", _INTRODUCTION, table(head, rows), _words_page())


def _default(name: str) -> str:
    if FIELDS[name].needed:
        return "required"
    value = Rule._field_defaults[name]
    if isinstance(value, tuple):
        return words(value)
    return {None: "any", "": NONE, True: "yes", False: "no"}[value]


def _words_page() -> str:
    return f"Values of `what`: {words(WHAT)}.\n\nValues of `kinds`: {words(KINDS)}.\n"


_INTRODUCTION = """\
A file of rules is a list of maps: `/etc/dockyard/cowscan.yaml`, or the file that `DOCKYARD_COWSCAN` names, and the
file that `-i` names. Rules of one service are in its settings.yaml, under `cowscan:`. [Scan for
changes](../how-to/scan-for-changes.md) explains how to write them, and what no rule can cover.
"""
