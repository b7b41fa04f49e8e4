"""Tables in Markdown, and what every page of the reference says of itself."""

from collections.abc import Iterable

NONE = "–"  # noqa: RUF001 - as it stands in tables
GENERATED = "<!-- Written by `python -m dockyard.docs` from the tables in the code; do not edit. -->\n"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table; what would end a cell is escaped."""
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def page(title: str, *parts: str) -> str:
    """Return a page of the reference."""
    return "\n".join([f"# {title}\n", GENERATED, *parts])


def words(names: Iterable[str]) -> str:
    """Return names as code, one after the other; a dash for none."""
    return ", ".join(f"`{name}`" for name in names) or NONE


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
