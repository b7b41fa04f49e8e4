"""The table that docs/reference/engines.md is written from."""

from dockyard.docs.engines import engines_page
from dockyard.engine.differences import TABLES


def test_each_difference_says_what_dockyard_does() -> None:
    for rows in TABLES.values():
        for row in rows:
            assert row.since
            assert row.what.endswith(".")
            assert row.dockyard.endswith(".")
            assert not row.set.endswith(".")


def test_page_has_a_row_for_each() -> None:
    page = engines_page()
    assert page.count("\n| ") == sum(len(rows) + 2 for rows in TABLES.values())
