"""A test whose machine lacks something is skipped, or fails where everything is to be there."""

import pytest

from tests import missing


@pytest.mark.parametrize(("required", "outcome"), [(False, pytest.skip.Exception), (True, pytest.fail.Exception)])
def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch, required: bool, outcome: type[BaseException]):
    monkeypatch.setattr(missing, "REQUIRED", required)
    with pytest.raises(outcome, match="no podman"):
        missing.missing("no podman")
