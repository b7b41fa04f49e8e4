"""Running a Test script: its flags, its instance, its tests by pytest. The verdict is the exit status."""

import ast
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType, ModuleType
from typing import NoReturn

import click
import pytest
from _pytest.assertion.rewrite import rewrite_asserts

from dockyard import process
from dockyard.cli.main import CONTEXT, run
from dockyard.errors import INTERRUPTED, WORK_FAILED, UsageError
from dockyard.service import Service
from dockyard.testing import plugin
from dockyard.testing.container import Container
from dockyard.testing.instance import Wanted, instance

PRODUCTION_SCRIPT = "Test-prod"


def main() -> None:
    """Run the tests of the script that calls this; the last line of a Test."""
    caller = sys._getframe(1)  # noqa: SLF001 - whose script it is
    if caller.f_globals.get("__name__") != "__main__":
        return  # pytest reads the script a second time, to collect its tests
    script = Path(caller.f_code.co_filename).absolute()
    sys.exit(run(_command(script.name, lambda wanted, rest: _run_pytest(script, wanted, rest)), sys.argv[1:]))


def run_other(argv: list[str]) -> NoReturn:
    """Run a Test that is not written with this library: it gets the facts of its instance through its environment."""
    if not argv:
        raise UsageError("no script", hint="python -m dockyard.testing SCRIPT [FLAGS]")
    script = Path(argv[0]).absolute()
    sys.exit(run(_command(script.name, lambda wanted, rest: _run_program(script, wanted, rest)), argv[1:]))


def _command(name: str, work: Callable[[Wanted, tuple[str, ...]], int]) -> click.Command:
    """Return the command line of a Test; what it does not know goes to the script's own runner."""

    @click.command(name, context_settings={**CONTEXT, "ignore_unknown_options": True})
    @click.option("-r", "--run", "launched", is_flag=True, help="Launch a test instance, test it, remove it.")
    @click.option("-p", "--prod", "production", is_flag=True, help="Test the container that runs in production.")
    @click.option("-n", "--name", default="", help="The container's name, in place of the service's.")
    @click.option("-o", "--out", default="", metavar="FILE", help="Where to write the instance's log; `-`: on stdout.")
    @click.option("-t", "--tag", default="", help="The image's tag, in place of `latest`.")
    @click.argument("rest", nargs=-1, type=click.UNPROCESSED)
    def command(  # noqa: PLR0913 - the flags of a program
        *, launched: bool, production: bool, name: str, out: str, tag: str, rest: tuple[str, ...]
    ) -> int:
        """Test a service. Without -r: the instance that is up already."""
        if launched and production:
            raise UsageError("--run and --prod exclude each other", hint="production is tested as it runs")
        is_production = production or (name_of_script == PRODUCTION_SCRIPT and not launched)
        return work(Wanted(launched, is_production, name, tag, out), rest)

    name_of_script = name
    return command


def _run_program(script: Path, wanted: Wanted, arguments: tuple[str, ...]) -> int:
    with instance(Service(script.parent), wanted) as container:
        return process.attach((str(script), *arguments), extra_environment=container.environment())


def _run_pytest(script: Path, wanted: Wanted, arguments: tuple[str, ...]) -> int:
    quiet = ("-q", "--no-header", "--tb=short", "-pno:cacheprovider")
    alone = ("--disable-plugin-autoload", f"-c{os.devnull}")  # no settings of a project that the service lies in
    place = str(script.parent)
    with instance(Service(script.parent), wanted) as container:
        signal.signal(signal.SIGTERM, _interrupt)
        verdict = pytest.main(
            [*quiet, *alone, "--rootdir", place, "--confcutdir", place, *arguments, str(script)],
            plugins=[plugin, _Script(script, container)],
        )
    if verdict == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise UsageError(f"{script}: no test in it", hint="a test is a function whose name begins with `test_`")
    if verdict == pytest.ExitCode.INTERRUPTED:
        return INTERRUPTED
    return 0 if verdict == pytest.ExitCode.OK else WORK_FAILED


def _interrupt(_signal: int, _frame: FrameType | None) -> NoReturn:
    """End as Ctrl-C does, which pytest knows how to do in good order."""
    raise KeyboardInterrupt


class _Script:
    """A pytest plugin that collects one script and hands its tests the container."""

    def __init__(self, script: Path, container: Container) -> None:
        self._script = script
        self._container = container

    def pytest_configure(self, config: pytest.Config) -> None:
        """Give the `container` fixture what it is to hand out."""
        config.stash[plugin.CONTAINER] = self._container

    def pytest_collect_file(self, file_path: Path, parent: pytest.Collector) -> pytest.Module | None:
        """Collect the script, whose name is no pattern of pytest's."""
        if file_path != self._script:
            return None
        return _ScriptModule.from_parent(parent, path=file_path)


class _ScriptModule(pytest.Module):
    def _getobj(self) -> ModuleType:
        return _imported(self.path, self.config)


def _imported(script: Path, config: pytest.Config) -> ModuleType:
    """Return the script as a module whose asserts explain themselves, as pytest does for files named *.py."""
    source = script.read_bytes()
    tree = ast.parse(source, filename=str(script))
    rewrite_asserts(tree, source, str(script), config)
    module = ModuleType(script.name.replace("-", "_"))
    module.__file__ = str(script)
    exec(compile(tree, str(script), "exec", dont_inherit=True), module.__dict__)  # noqa: S102 - the user's own script
    return module
