"""Running a Test script: its flags, its instance, its tests by pytest. The verdict is the exit status."""

import ast
import os
import signal
import sys
from pathlib import Path
from types import FrameType, ModuleType
from typing import NoReturn

import pytest
from _pytest.assertion.rewrite import rewrite_asserts

from dockyard import process
from dockyard.cli.command import flag, option
from dockyard.cli.main import SIGNALLED, run
from dockyard.cli.parser import Parser
from dockyard.directives import environment_of_script, refuse_old_script
from dockyard.errors import NO_PROGRAM, WORK_FAILED, TestFailedError, UsageError
from dockyard.masked_output import masked_output
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
    sys.exit(run(script.name, lambda arguments: _run_pytest(script, *_read(script, arguments)), sys.argv[1:]))


def run_other(argv: list[str]) -> NoReturn:
    """Run a Test that is not written with this library: it gets the facts of its instance through its environment."""
    if not argv:
        sys.exit("usage: dockyard-python -m dockyard.testing SCRIPT [FLAGS]")
    script = Path(argv[0]).absolute()
    sys.exit(run(script.name, lambda arguments: _run_program(script, *_read(script, arguments)), argv[1:]))


OPTIONS = (
    flag("-r", "--run", dest="launched", help="launch a test instance, test it and remove it"),
    flag("-p", "--prod", dest="production", help="test the production container"),
    option("-n", "--name", help="name of the container (default: the service's)"),
    option("-o", "--out", metavar="FILE", help="file for the instance's log; `-`: stdout"),
    option("-t", "--tag", help="tag of the image (default: latest)"),
)
DESCRIPTION = "Test a service. Without -r: test the instance that is up. Other flags go to the test runner."


def _read(script: Path, arguments: list[str]) -> tuple[Wanted, list[str]]:
    """Return which instance is wanted, and the arguments that are the script's own. Raises UsageError."""
    given, rest = Parser(script.name, DESCRIPTION, OPTIONS).parse_known_args(arguments)
    if given.launched and given.production:
        raise UsageError("--run and --prod exclude each other", hint="leave out --run: production is tested as it runs")
    production = given.production or (script.name == PRODUCTION_SCRIPT and not given.launched)
    return Wanted(given.launched, production, given.name, given.tag, given.out), rest


def _run_program(script: Path, wanted: Wanted, arguments: list[str]) -> int:
    refuse_old_script(script)
    with instance(Service(script.parent), wanted) as container:
        environment = environment_of_script(container.environment())
        with masked_output():
            try:
                code = process.attach((str(script), *arguments), environment=environment)
            except OSError as error:
                raise TestFailedError(f"{script}: {error.strerror}", NO_PROGRAM) from None
        if code:
            raise _failed(script, code)
    return 0


def _failed(script: Path, code: int) -> TestFailedError:
    """Return the failure of a Test that ended with an exit code, which becomes ours."""
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    error = TestFailedError(f"{script.name} {how}")
    error.exit_code = code if code > 0 else SIGNALLED - code
    return error


def _run_pytest(script: Path, wanted: Wanted, arguments: list[str]) -> int:
    quiet = ("-q", "--no-header", "--tb=short", "-pno:cacheprovider")
    alone = ("--disable-plugin-autoload", f"-c{os.devnull}")  # no settings of a project that the service lies in
    place = str(script.parent)
    with instance(Service(script.parent), wanted) as container:
        signal.signal(signal.SIGTERM, _interrupt)
        with masked_output():
            verdict = pytest.main(
                [*quiet, *alone, "--rootdir", place, "--confcutdir", place, *arguments, str(script)],
                plugins=[plugin, _Script(script, container)],
            )
        if verdict == pytest.ExitCode.NO_TESTS_COLLECTED:
            raise UsageError(f"{script}: it has no tests", hint="write a function whose name begins with `test_`")
        if verdict == pytest.ExitCode.INTERRUPTED:
            raise KeyboardInterrupt
        if verdict != pytest.ExitCode.OK:
            raise _failed(script, WORK_FAILED)
    return 0


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
        """Collect the script, whose name does not match pytest's patterns."""
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
