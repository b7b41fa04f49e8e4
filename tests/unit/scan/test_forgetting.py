"""What becomes of the alerts of containers whose service is forgotten."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dockyard.scan import alert_store
from dockyard.scan.forgetting import count, forget


def test_all_tables_forget_a_container_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its alerts, scans and acknowledgements are removed, and whatever else there is about it."""
    monkeypatch.setattr("dockyard.secrets.state_directory", lambda: tmp_path)
    monkeypatch.setattr(alert_store, "state_directory", lambda: tmp_path)
    assert count(["web"]) == 0
    with alert_store.opened() as opened:
        for name in ("web", "mail"):
            opened.execute(
                "INSERT INTO alerts (container, fingerprint, identifier, row, since, state, what, severity) "
                "VALUES (?, ?, '', '{}', 0, '', 'new', 1)",
                (name, f"f-{name}"),
            )
            opened.execute("INSERT INTO scans VALUES (?, 0, '')", (name,))
    assert count(["web", "other"]) == 1
    forget(["web"])
    with closing(sqlite3.connect(alert_store.path())) as database:
        for table in ("alerts", "scans"):
            rows = database.execute(f"SELECT container FROM {table}").fetchall()  # noqa: S608 - ours
            assert rows == [("mail",)]
