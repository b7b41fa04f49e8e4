"""Tables in Markdown, and the frame of every page of the reference."""

from collections.abc import Iterable

NONE = "–"  # noqa: RUF001 - the dash of tables
GENERATED = "<!-- Written by `python -m dockyard.docs` from the tables in the code; do not edit. -->\n"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table; characters that would end a cell are escaped."""
    columns = list(head)
    lines = [columns, ["---"] * len(columns), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def page(title: str, *parts: str) -> str:
    """Return a page of the reference."""
    return "\n".join([f"# {title}\n", GENERATED, *parts])


def words(names: Iterable[str]) -> str:
    """Return names as code, separated by commas; a dash for none."""
    return ", ".join(f"`{name}`" for name in names) or NONE


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
