"""The pytest plugin: the `container` fixture, for tests that live in files of their own.

    pytest -p dockyard.testing.plugin --service examples/web tests/

launches a test instance of the service when the first test asks for it and removes it after the last. A Test script
needs none of this: its `main` brings the fixture along.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dockyard.testing.container import Container

CONTAINER: "pytest.StashKey[Container]" = pytest.StashKey()
"""Where the `main` of a Test script leaves the container that it launched."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--service`."""
    parser.addoption(
        "--service", default="", metavar="DIR", help="dockyard: the service whose test instance `container` is"
    )


@pytest.fixture(scope="session")
def container(request: pytest.FixtureRequest) -> "Iterator[Container]":
    """The container of a Test script, else a test instance of the service that --service names."""
    given = request.config.stash.get(CONTAINER, None)
    if given:
        yield given
        return
    from dockyard.service import Service
    from dockyard.testing.instance import Wanted, instance, report

    directory = request.config.getoption("--service")
    if not directory:
        pytest.fail("the `container` fixture needs --service DIR", pytrace=False)
    with instance(Service(Path(directory).absolute()), Wanted(launched=True)) as launched:
        yield launched
        if request.session.testsfailed:
            report(launched)
