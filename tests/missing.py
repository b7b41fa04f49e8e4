"""Skip or fail a test if the machine lacks something that it needs."""

import os
from typing import NoReturn

import pytest

REQUIRED = bool(os.environ.get("DOCKYARD_REQUIRE_ENGINES")) or os.environ.get("CI") == "true"


def missing(reason: str) -> NoReturn:
    """Skip the test; fail it if nothing may be missing."""
    if REQUIRED:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
