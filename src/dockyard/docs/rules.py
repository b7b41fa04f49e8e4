"""The reference of the rules of what d-cowscan expects, from the table of their keys."""

from dockyard.docs.table import NONE, page, table, words
from dockyard.settings.rule_type import FIELDS, KINDS, WHAT, Rule


def rules_page() -> str:
    """Return the reference of d-cowscan's rules."""
    rows = ([f"`{name}`", field.help, field.type.expected, _default(name)] for name, field in FIELDS.items())
    head = ("key", "means", "is", "without it")
    return page("Rules of d-cowscan", _INTRODUCTION, table(head, rows), _words_page())


def _default(name: str) -> str:
    if FIELDS[name].needed:
        return "an error"
    value = Rule._field_defaults[name]
    if isinstance(value, tuple):
        return words(value)
    return {None: "any", "": NONE, True: "yes", False: "no"}[value]


def _words_page() -> str:
    return f"`what` is of {words(WHAT)}.\n\n`kinds` is of {words(KINDS)}.\n"


_INTRODUCTION = """\
A file of rules is a list of maps: `/etc/dockyard/cowscan.yaml`, or what `DOCKYARD_COWSCAN` names, and what `-i` names.
A service's own stand in its settings.yaml, under `cowscan:`. [Scan for changes](../how-to/scan-for-changes.md) tells
how to write them, and what no rule covers.
"""
