"""The reference of the checks of `d check`, from the table of checks."""

from dockyard.check import run
from dockyard.check.registry import CHECKS, Check
from dockyard.check.score import LEFT
from dockyard.docs.table import NONE, page, table

assert run  # noqa: S101 - importing it registers the checks


def checks_page() -> str:
    """Return the reference of checks, by topic."""
    topics: dict[str, list[Check]] = {}
    for check in CHECKS.values():
        topics.setdefault(check.topic, []).append(check)
    head = ("check", "severity", "finds", "why it matters", "CIS")
    rows = {
        topic: ([f"`{one.id}`", one.severity.value, one.title, one.why, one.cis or NONE] for one in checks)
        for topic, checks in topics.items()
    }
    tables = (f"## {topic.capitalize()}\n\n{table(head, lines)}" for topic, lines in rows.items())
    return page("Checks", _INTRODUCTION, *tables)


_LEFT = ", ".join(f"{severity.value} {part:.0%}" for severity, part in LEFT.items())

_INTRODUCTION = f"""\
What `d check X` and `d check-all` find; [how to use them](../how-to/check-services.md). The severity is the usual
one: some checks find better and worse cases. Numbers are from the CIS Docker Benchmark v1.6.0.

A service's score starts at 100. Each finding that is not accepted reduces it to a part: {_LEFT}.
"""
