"""The one place where programs begin and end: errors become words and an exit code here, and nowhere else."""

import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import NoReturn

from dockyard.cli.output import Result, complain, show
from dockyard.errors import INTERRUPTED, WORK_FAILED, DockyardError
from dockyard.text import printable

SIGNALLED = 128  # what shells add to a signal's number

COMPLETE = "--complete"
"""The first argument by which shells ask what may follow; see share/completions."""

Work = Callable[[list[str]], Result | int]
"""What a program does with its arguments."""


def program(name: str, work: Work) -> Callable[[], NoReturn]:
    """Return the entry point of a program."""

    def start() -> NoReturn:
        for name_of_stream in ("stdout", "stderr"):
            if getattr(sys, name_of_stream) is None:  # it was closed: what is written goes nowhere
                setattr(sys, name_of_stream, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 - stays open
        _end(run(name, work, sys.argv[1:]))

    return start


def _end(exit_code: int) -> NoReturn:
    """End at once: what Python does before, taking modules apart one by one, is of no use and takes 6 ms of 70."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # its reader has gone
            stream.flush()
    os._exit(exit_code)


def run(name: str, work: Work, arguments: list[str]) -> int:
    """Run a program and return its exit code."""
    if arguments[:1] == [COMPLETE]:
        work = _completion(name)
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup has it
        signal.signal(signal.SIGHUP, _terminate)
    try:
        outcome = work(arguments)
        exit_code = show(outcome) if isinstance(outcome, Result) else outcome
        sys.stdout.flush()
    except DockyardError as error:
        complain(name, error.lines())
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone; Python would complain once more when it closes stdout.
        sys.stderr.close()
        return WORK_FAILED
    except OSError as error:
        if error.filename is None:
            raise  # no file of the user's: a bug
        complain(name, [printable(f"{os.fsdecode(error.filename)}: {error.strerror}")])
        return WORK_FAILED
    return exit_code


def _completion(name: str) -> Work:
    """Return what answers a shell that asks what may follow."""
    from dockyard.cli.complete import complete

    return lambda arguments: Result(complete(name, arguments[1:]))


def _terminate(number: int, _frame: FrameType | None) -> NoReturn:
    """Raise an exception that ends the program, so that unfinished work is cleaned up."""
    sys.exit(SIGNALLED + number)
