"""Tests that pass whatever the service does, known by their text."""

import pytest

from dockyard.check.emptiness import tests_nothing as is_empty
from dockyard.directives import FIRST_LINE

PYTHON = "#!/usr/bin/env dockyard-python\nfrom dockyard.testing import Container, main\n\n\n{}\n\nmain()\n"
LAUNCHES = FIRST_LINE


def python(body: str) -> str:
    """Return a Test with a function of this body."""
    return PYTHON.format(f"def test_it(container):\n    {body}\n")


@pytest.mark.parametrize(
    "text",
    [
        "#!/bin/sh\n",
        "#!/bin/sh\nexit 0\n",
        f"#!/bin/sh\nset -e\n# nothing yet\n{LAUNCHES}\necho fine\n",
        f"#!/bin/bash\n{LAUNCHES}\ncurl --fail web \\\n  --silent || true\n",
        python("pass"),
        python('"""It works."""'),
        python("assert True"),
        python("print('fine')"),
        python("container.wait_ready()"),
        PYTHON.format("def helper():\n    assert x"),
    ],
)
def test_it_tests_nothing(text: str) -> None:
    assert is_empty(text, is_observable=False)


@pytest.mark.parametrize(
    "text",
    [
        f"#!/bin/sh\n{LAUNCHES}\ncurl --fail web\n",
        f"#!/bin/sh\nset -e\n{LAUNCHES}\ndocker exec $CONTAINER_NAME true\n",
        "#!/usr/bin/perl\nexit 0\n",
        "\x7fELF",
        python("container.expect_http(80)"),
        python("assert container.logs()"),
        python("check(container)"),
        python("raise ValueError"),
        "#!/usr/bin/env python3\nimport unittest\n",
        PYTHON.format("def test_it(:"),
    ],
)
def test_it_may_fail(text: str) -> None:
    assert not is_empty(text, is_observable=False)


def test_waiting_proves_something_if_there_is_something_to_wait_for() -> None:
    assert not is_empty(python("container.wait_ready()"), is_observable=True)
