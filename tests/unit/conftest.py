"""All unit tests: the same examples each time, however long they take."""

import pytest
from hypothesis import settings

from dockyard import telling

settings.load_profile("ci")


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the user is told."""
    texts: list[str] = []
    monkeypatch.setattr(telling, "listener", texts.append)
    return texts
