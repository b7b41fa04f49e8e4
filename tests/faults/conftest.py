"""The engines, as the tests in tests/engines have them."""

from tests.engines.conftest import engine, pytest_itemcollected, pytest_terminal_summary, session_world

__all__ = ["engine", "pytest_itemcollected", "pytest_terminal_summary", "session_world"]
