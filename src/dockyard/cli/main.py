"""The one place where commands begin and end: errors become words and an exit code here, and nowhere else."""

import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import click

from dockyard.cli.output import Result, complain, show
from dockyard.errors import INTERRUPTED, WORK_FAILED, WRONG_USAGE, DockyardError

TERMINATED = 128 + signal.SIGTERM


def program(command: click.Command) -> Callable[[], NoReturn]:
    """Return the entry point of a program."""

    def start() -> NoReturn:
        sys.exit(run(command, sys.argv[1:]))

    return start


def run(command: click.Command, arguments: list[str]) -> int:
    """Run a program and return its exit code."""
    name = command.name or "dockyard"
    signal.signal(signal.SIGTERM, _terminate)
    try:
        outcome = command.main(arguments, prog_name=name, standalone_mode=False)
        if isinstance(outcome, Result):
            outcome = show(outcome)
        sys.stdout.flush()
        return outcome if isinstance(outcome, int) else 0
    except click.UsageError as error:
        hint = f"hint: `{error.ctx.command_path if error.ctx else name} --help` shows what there is"
        complain(name, [error.format_message(), hint])
        return WRONG_USAGE
    except DockyardError as error:
        complain(name, error.lines())
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone; Python would complain once more when it closes stdout.
        sys.stderr.close()
        return WORK_FAILED


def _terminate(_signal: int, _frame: FrameType | None) -> NoReturn:
    """End as an exception does, so that whatever was begun is put in order."""
    sys.exit(TERMINATED)


def version_option(command: Callable[..., object]) -> Callable[..., object]:
    """Add `--version`, which costs an import only when asked for."""

    def show_version(context: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
        if wanted and not context.resilient_parsing:
            from importlib.metadata import version

            click.echo(f"{context.find_root().info_name} (dockyard {version('dockyard')})")
            context.exit()

    return click.option(
        "--version", is_flag=True, is_eager=True, expose_value=False, callback=show_version, help="Show the version."
    )(command)


CONTEXT = {"help_option_names": ["-h", "--help"], "max_content_width": 110}
"""How all programs answer `-h`."""
