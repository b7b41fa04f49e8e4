"""The engines: each test runs on docker and on root podman, and leaves nothing behind."""

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.engines.world import PODMAN_CONFIGURATION, World
from tests.missing import missing
from tests.results import Results

# Two runs, each with one of them, can run concurrently.
ENGINES = os.environ.get("DOCKYARD_TEST_ENGINES", "docker podman").split()


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark the tests that need an engine."""
    if {"engines", "faults"} & set(item.path.parts):
        item.add_marker(pytest.mark.engine)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add a flag for the longest tests: continuous integration has half an hour."""
    parser.addoption(
        "--long", action="store_true", help="also run tests that are marked `long`, on the engines that the mark names"
    )
    parser.addoption("--results", type=Path, help="write the results to this file, for the table of tested engines")


def pytest_configure(config: pytest.Config) -> None:
    """Write the results to a file if requested; restore the effect of Ctrl-C.

    A shell without job control starts background commands with Ctrl-C ignored, and child processes inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    if path := config.getoption("--results"):
        is_part = config.getoption("keyword") or any("::" in word for word in config.args)
        subset = "part" if is_part else config.getoption("markexpr") or "all"
        config.pluginmanager.register(Results(path, ENGINES[0], subset))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests of engines that are not here, and long ones; report their number."""
    long = config.getoption("--long")
    left_out = {
        item
        for item in items
        if not _is_of_an_engine_here(item) or (not long and any(f"[{engine}" in item.name for engine in _long_on(item)))
    }
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=list(left_out))


def _is_of_an_engine_here(item: pytest.Item) -> bool:
    """Return whether a test runs with these engines; a test that names no engine runs with only one of two."""
    if not item.get_closest_marker("engine") or "session_world" in item.fixturenames:
        return True
    return ("podman" if item.path.name == "test_rootless.py" else "docker") in ENGINES


def _long_on(item: pytest.Item) -> tuple[str, ...]:
    return tuple(engine for marker in item.iter_markers("long") for engine in marker.args)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the measurements that tests recorded as `figure`."""
    passed = terminalreporter.stats.get("passed", [])
    figures = [text for report in passed for name, text in report.user_properties if name == "figure"]
    if figures:
        terminalreporter.section("figures")
        for line in figures:
            terminalreporter.line(str(line))


def _why_not(engine: str) -> str:
    """Return why an engine cannot be used; empty if it can."""
    if not shutil.which(engine):
        return f"{engine} is not installed"
    if engine == "podman" and os.geteuid():
        return "podman is to run as root, and we are not root"
    configuration = {**os.environ, "CONTAINERS_CONF": str(PODMAN_CONFIGURATION)}
    words = ("info",) if engine == "podman" else ("version", "--format", "{{.Server.Version}}")
    asked = subprocess.run([engine, *words], capture_output=True, text=True, check=False, env=configuration)
    return f"{engine} does not answer: {asked.stderr.strip()}" if asked.returncode else ""


@contextmanager
def alone(engine: str) -> Iterator[None]:
    """Wait for another run of these tests on this machine and engine: both use the same names."""
    with Path(tempfile.gettempdir(), f"dockyard-tests-{engine}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session", params=ENGINES)
def session_world(request: pytest.FixtureRequest) -> Iterator[World]:
    """One engine with the base image."""
    engine: str = request.param
    if reason := _why_not(engine):
        missing(reason)
    with alone(engine), tempfile.TemporaryDirectory(prefix=f"dytest-{engine}-", ignore_cleanup_errors=True) as root:
        world = World(engine, Path(root))
        world.remove()
        others = _others(world)
        try:
            world.make()
            yield world
        finally:
            world.remove()
        left = world.left_over()
        assert not left, f"left on {engine}: {left}"
        assert _others(world) == others, "the tests touched what is not theirs"


def _others(world: World) -> list[str]:
    """Return what `make demo` may have left, which no test may touch."""
    web = world.inspect("web")
    images = world.call("images", "--no-trunc", "--format", "{{.ID}} {{.Repository}}:{{.Tag}}").splitlines()
    container = f"{web['Id']} {web['State']['StartedAt']}" if web else "no web"
    return [container, *sorted(row for row in images if " ktools/" in row)]


@pytest.fixture
def engine(session_world: World) -> Iterator[World]:
    """The engine with the tests' resources; everything that a test created is removed after it."""
    yield session_world
    session_world.tidy()


@pytest.fixture
def own_fleet(engine: World) -> Iterator[World]:
    """The engine with only the services of the test."""
    others = engine.source.rename(engine.source.with_name("src-of-others"))
    engine.source.mkdir()
    yield engine
    engine.run("rm", "-rf", engine.source)
    others.rename(engine.source)
