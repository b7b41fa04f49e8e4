"""What becomes of a test where the machine lacks what it takes."""

import os
from typing import NoReturn

import pytest

REQUIRED = bool(os.environ.get("DOCKYARD_REQUIRE_ENGINES")) or os.environ.get("CI") == "true"


def missing(reason: str) -> NoReturn:
    """Skip the test; fail it where everything is to be there."""
    if REQUIRED:
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
