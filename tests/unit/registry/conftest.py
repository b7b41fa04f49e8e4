import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from dockyard.registry.client import Registries
from dockyard.registry.configuration import read_configuration
from tests.unit.registry.servers import Answer, Authority, Server, create_authority, serve

Ask = Callable[..., Registries]
Run = Callable[..., Server]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return create_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def run() -> Iterator[Run]:
    """Start servers that run until the test ends."""
    with ExitStack() as stack:
        yield lambda answer, context=None: stack.enter_context(serve(answer, context))


@pytest.fixture
def registries(tmp_path: Path) -> Iterator[Ask]:
    """Return registries as files and environment variables of a test configure them; files are by path below `/`."""

    def configure(
        program: str = "docker",
        files: Mapping[str, object] = {},
        environment: Mapping[str, str] = {},
        seconds: float = 5,
    ) -> Registries:
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        known = {"HOME": str(tmp_path / "home"), "XDG_RUNTIME_DIR": str(tmp_path / "run"), **environment}
        configuration = read_configuration(program, known, tmp_path)
        return stack.enter_context(Registries(program, configuration=configuration, seconds=seconds))

    with ExitStack() as stack:
        yield configure


def answering(*replies: object) -> Answer:
    """Return an Answer that gives these one after the other, and then the last one for ever."""
    left = list(replies)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]  # type: ignore[return-value]
