"""Child processes: always an argv, never a shell string."""

import errno
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple


class Done(NamedTuple):
    """How a child ended, and what it wrote."""

    exit_code: int
    stdout: str
    stderr: str


def _environment(extra: Mapping[str, str] | None) -> dict[str, str] | None:
    import os

    return {**os.environ, **extra} if extra else None


def capture(
    argv: tuple[str, ...],
    *,
    extra_environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
) -> Done:
    """Run a child to its end and return what it wrote. Bytes that are not UTF-8 survive as surrogates.

    Raises OSError where it cannot start; TimeoutError, which is one too, after `timeout` seconds.
    """
    try:
        done = subprocess.run(
            argv,
            env=_environment(extra_environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(errno.ETIMEDOUT, f"not done within {timeout} s", argv[0]) from None
    stdout, stderr = (raw.decode("utf-8", "surrogateescape") for raw in (done.stdout, done.stderr))
    return Done(done.returncode, stdout, stderr)


def attach(
    argv: tuple[str, ...],
    *,
    extra_environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    quiet: bool = False,
) -> int:
    """Run a child on our terminal and return its exit code; with `quiet` its output goes to stderr, as progress does.

    An interrupt reaches the child as well: it is waited for, so that it can put its things in order, and then raised.
    """
    sys.stdout.flush()
    with subprocess.Popen(
        argv, env=_environment(extra_environment), cwd=cwd, stdout=sys.stderr if quiet else None
    ) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=GRACE)  # a Ctrl-C has reached it too
            _end(child)
            raise
        except BaseException:
            _end(child)
            raise


GRACE = 3  # seconds for a child to end by itself


def _end(child: subprocess.Popen[bytes] | subprocess.Popen[str]) -> None:
    """End a child that still runs; one that does not within ten seconds of SIGTERM is killed."""
    child.terminate()
    try:
        child.wait(timeout=10)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


class FailedError(Exception):
    """A child ended with a status that is not zero."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


def lines(argv: tuple[str, ...], *, cwd: Path, extra_environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Yield what a child writes on stdout, line by line, and pass it on to stderr as progress.

    Raises FailedError where it ends with another status than 0, OSError where it cannot start.
    """
    with subprocess.Popen(
        argv,
        env=_environment(extra_environment),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as child:
        try:
            for line in child.stdout or ():
                sys.stderr.write(line)
                yield line
            exit_code = child.wait()
        except BaseException:
            _end(child)
            raise
    if exit_code:
        raise FailedError(exit_code)


Child = subprocess.Popen[bytes]


def start_detached(argv: tuple[str, ...], *, environment: Mapping[str, str], cwd: str, output: str = "") -> Child:
    """Start a program that outlives us, in a session of its own; what it writes goes to the end of a file, or nowhere.

    `environment` is all that it gets. Raises OSError where it cannot start.
    """
    with Path(output or "/dev/null").open("ab") as file:
        return subprocess.Popen(
            argv, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )


def own_programs_on_path() -> dict[str, str]:
    """Return a PATH on which scripts find dockyard's programs, after all that the user has there."""
    import os

    return {"PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])}
