"""`d logs`: secrets are masked, and only root may see the original."""

from collections.abc import Iterable

import pytest

from dockyard import privilege
from dockyard.cli.verbs.inside import logs
from dockyard.engine.dialect import DOCKER
from dockyard.engine.engine import Engine
from dockyard.errors import UsageError
from dockyard.yard import Yard


class Untouched(Engine):
    """An engine that is not asked for a log."""

    def containers(self, names: Iterable[str]) -> list[object]:  # type: ignore[override]
        """Fail."""
        raise AssertionError(list(names))


def test_only_root_may_see_the_original(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another user is refused before the engine is asked."""
    yard = Yard()
    yard.__dict__["engine"] = Untouched("docker", DOCKER)
    monkeypatch.setattr(privilege, "is_hosts_root", lambda: False)
    with pytest.raises(UsageError, match="only root may read a log with unmasked secrets"):
        logs(yard, "web", follow=False, tail=None, raw=True)
