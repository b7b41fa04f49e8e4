"""Child processes: always an argv, never a shell string."""

import errno
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple, Protocol

from dockyard.masking import known

STARTED: list[Callable[[int], None]] = []
"""Receives the pid of each child whose output is captured: locks record which processes work under them."""


class Done(NamedTuple):
    """How a child ended, and what it wrote."""

    exit_code: int
    stdout: str
    stderr: str


class Silence(NamedTuple):
    """What to do about a child that is silent for some seconds: `ask` gets its pid, and may raise to end it."""

    seconds: float
    ask: Callable[[int], None]


def environment_with(extra: Mapping[str, str] | None) -> dict[str, str] | None:
    import os

    return {**os.environ, **extra} if extra else None


def capture(
    argv: tuple[str, ...],
    *,
    extra_environment: Mapping[str, str] | None = None,
    timeout: float | None = None,
    silence: Silence | None = None,
    given: str = "",
) -> Done:
    """Run a child to its end and return what it wrote. Bytes that are not UTF-8 survive as surrogates.

    `given` is a short text that the child can read; by default it can read nothing.
    Raises OSError if it cannot start; TimeoutError, which is one too, after `timeout` seconds.
    """
    pipe = subprocess.PIPE
    with subprocess.Popen(
        argv,
        env=environment_with(extra_environment),
        stdin=pipe if given else subprocess.DEVNULL,
        stdout=pipe,
        stderr=pipe,
    ) as child:
        try:
            for tell in STARTED:
                tell(child.pid)
            if child.stdin:
                child.stdin.write(given.encode())  # fits into its buffer; sent with what follows
            written = _communicate(child, timeout, silence)
        except subprocess.TimeoutExpired:
            child.kill()
            raise TimeoutError(errno.ETIMEDOUT, f"timed out after {timeout} s", argv[0]) from None
        except BaseException:
            child.kill()
            raise
    stdout, stderr = (raw.decode("utf-8", "surrogateescape") for raw in written)
    return Done(child.returncode, stdout, stderr)


def _communicate(child: subprocess.Popen[bytes], timeout: float | None, silence: Silence | None) -> tuple[bytes, bytes]:
    """Return what a child writes until it ends. Raises subprocess.TimeoutExpired, or what `silence` raises."""
    if not silence:
        return child.communicate(timeout=timeout)
    import time

    deadline = time.monotonic() + timeout if timeout else float("inf")
    while True:
        try:
            return child.communicate(timeout=min(silence.seconds, max(deadline - time.monotonic(), 0)))
        except subprocess.TimeoutExpired:
            if time.monotonic() >= deadline:
                raise
            silence.ask(child.pid)


def stream(argv: tuple[str, ...], use: Callable[[IO[bytes]], object]) -> Done:
    """Run a child, and have its output read as it comes; what the reader leaves is read to its end.

    Raises OSError if it cannot start. If the reader raises, the child is killed.
    """
    import tempfile

    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as child,
    ):
        try:
            for tell in STARTED:
                tell(child.pid)
            assert child.stdout  # noqa: S101 - as it was started
            use(child.stdout)
            while child.stdout.read(KEPT):
                pass
        except BaseException:
            child.kill()
            raise
        code = child.wait()
        errors.seek(0)
        return Done(code, "", errors.read().decode("utf-8", "surrogateescape"))


@contextmanager
def filtered(argv: tuple[str, ...], source: IO[bytes]) -> Iterator[IO[bytes]]:
    """Have a child read a file, and yield what it writes. Raises OSError if it cannot start."""
    import threading

    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe) as child:
        assert child.stdin  # noqa: S101 - as it was started
        assert child.stdout  # noqa: S101
        feeder = threading.Thread(target=_feed, args=(source, child.stdin), daemon=True)
        feeder.start()
        try:
            yield child.stdout
        finally:
            child.kill()
            feeder.join()


def _feed(source: IO[bytes], target: IO[bytes]) -> None:
    with suppress(BrokenPipeError), target:
        while chunk := source.read(KEPT):
            target.write(chunk)


def attach(
    argv: tuple[str, ...],
    *,
    environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    quiet: bool = False,
    silence: Silence | None = None,
) -> int:
    """Run a child on our terminal and return its exit code; with `quiet` its output goes to stderr, as progress does.

    `environment` is all that it gets; by default it gets ours.
    What it writes is not seen here: `silence` asks once, when its seconds are over.
    An interrupt reaches the child as well: it is waited for, so that it can put its things in order, and then raised.
    """
    sys.stdout.flush()
    output = sys.stderr if quiet else None
    child = subprocess.Popen(argv, env=environment, cwd=cwd, stdout=output)
    with _ended(child):
        if silence:
            with suppress(subprocess.TimeoutExpired):
                return child.wait(timeout=silence.seconds)
            silence.ask(child.pid)
        return child.wait()


@contextmanager
def _ended(child: subprocess.Popen[bytes]) -> Iterator[None]:
    """Have a child ended where the block is, by whatever; after an interrupt it is given time to end by itself."""
    with child:
        try:
            yield
        except KeyboardInterrupt:
            with suppress(subprocess.TimeoutExpired):
                child.wait(timeout=GRACE)  # a Ctrl-C has reached it too
            _end(child)
            raise
        except BaseException:
            _end(child)
            raise


KEPT = 256 * 1024  # characters of a child's output that are kept, the last ones


class LateError(TimeoutError):
    """A child was not done in its time; `output` is the last of what it wrote."""

    def __init__(self, program: str, seconds: float, output: str) -> None:
        super().__init__(errno.ETIMEDOUT, f"timed out after {seconds:g} s", program)
        self.output = output


class Ran(NamedTuple):
    """How a child ended, and the last of what it wrote."""

    exit_code: int
    output: str


class Output(Protocol):
    """Where what a child writes goes. Both methods return what is saved of it."""

    def write(self, text: str) -> str:
        """Take the next part of what the child wrote."""

    def end(self) -> str:
        """Take the end of it."""


class _Stderr:
    """Shows what a child writes on our stderr, and saves it, without secrets."""

    def __init__(self) -> None:
        self._masked = known.stream()

    def write(self, text: str) -> str:
        return self._show(self._masked.write(text))

    def end(self) -> str:
        return self._show(self._masked.end())

    def _show(self, text: str) -> str:
        sys.stderr.write(text)
        sys.stderr.flush()
        return text


def tee(  # noqa: PLR0913 - all but the first by name
    argv: tuple[str, ...],
    *,
    extra_environment: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    timeout: float | None = None,
    output: Output | None = None,
    silence: Silence | None = None,
) -> Ran:
    """Run a child whose output goes to `output`, or else to stderr, and is kept; interrupts as in `attach`.

    Raises OSError if it cannot start, LateError, which is one too, if it is not done in `timeout` seconds.
    """
    sys.stdout.flush()
    child = subprocess.Popen(
        argv, env=environment_with(extra_environment), cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    with _ended(child):
        return _passed_on(child, argv[0], timeout, output or _Stderr(), silence)


def _passed_on(
    child: subprocess.Popen[bytes], program: str, timeout: float | None, output: Output, silence: Silence | None
) -> Ran:
    """Pass on what a child writes until it ends: something that it started may have the pipe for longer."""
    import codecs
    import os
    import select
    import time

    assert child.stdout  # noqa: S101 - as it was started
    pipe, is_open, kept = child.stdout.fileno(), True, ""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    deadline = time.monotonic() + timeout if timeout else float("inf")
    patience = silence.seconds if silence else float("inf")
    heard = time.monotonic()
    while True:
        ended = child.poll() is not None
        if is_open and select.select([pipe], [], [], 0 if ended else TICK)[0]:
            chunk = os.read(pipe, KEPT)
            is_open = bool(chunk)
            kept = (kept + output.write(decoder.decode(chunk)))[-KEPT:]
            heard = time.monotonic()
        elif ended:
            return Ran(child.returncode, (kept + output.end())[-KEPT:])
        elif not is_open:
            time.sleep(TICK)
        if silence and not ended and time.monotonic() > heard + patience:
            silence.ask(child.pid)
            heard = time.monotonic()
        if not ended and time.monotonic() > deadline:
            raise LateError(program, timeout or 0, kept + output.end())


TICK = 0.05  # seconds between two polls of a child
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


def lines(
    argv: tuple[str, ...], *, cwd: Path, extra_environment: Mapping[str, str] | None = None, hidden: str = ""
) -> Iterator[str]:
    """Yield what a child writes on stdout, line by line, and pass it on to stderr as progress, all but `hidden`.

    Raises FailedError if it ends with another status than 0, OSError if it cannot start.
    """
    with subprocess.Popen(
        argv,
        env=environment_with(extra_environment),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as child:
        try:
            for line in child.stdout or ():
                if not hidden or line.strip() != hidden:
                    sys.stderr.write(known.hide(line))
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

    `environment` is all that it gets. Raises OSError if it cannot start.
    """
    with Path(output or "/dev/null").open("ab") as file:
        return subprocess.Popen(
            argv, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, stdout=file, stderr=file, start_new_session=True
        )


def start_piped(argv: tuple[str, ...]) -> Child:
    """Start a program whose stdout is read while it runs, by its descriptor; `end` ends it. Raises OSError."""
    return subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0
    )


def end(child: Child) -> None:
    """End a child, whether it still runs or not, and close what it wrote to."""
    with child:
        _end(child)


def find(program: str) -> str | None:
    """Return the path of a program, a name or a path, as a shell finds it; None if there is none.

    It is what shutil.which does; that module takes its time to import.
    """
    import os

    directories = [""] if "/" in program else os.environ.get("PATH", os.defpath).split(os.pathsep)
    paths = (Path(directory, program) for directory in directories)
    return next((str(path) for path in paths if os.access(path, os.X_OK) and path.is_file()), None)


def own_programs_on_path() -> dict[str, str]:
    """Return a PATH on which scripts find dockyard's programs, after all that the user has there."""
    import os

    return {"PATH": os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])}
