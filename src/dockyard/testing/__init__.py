"""For Test scripts: an instance of the service, what to expect of it, and `main`, which runs the tests.

#!/usr/bin/env dockyard-python
from dockyard.testing import Container, main

def test_page(container: Container) -> None:
    container.expect_http(8080, contains="It works")

main()
"""

from dockyard.testing.container import Container, Unexpected
from dockyard.testing.script import main

__all__ = ["Container", "Unexpected", "main"]
