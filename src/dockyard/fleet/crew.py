"""Work on many services concurrently: one process each, with a limit and a timeout, managed in one place.

Processes, not threads: a service's work is then interrupted, timed out and recovered just as when it runs alone, and
its output is separate.
"""

import os
import selectors
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, NoReturn, Protocol

from dockyard.errors import ENGINE_UNREACHABLE, INTERRUPTED, WORK_FAILED, DockyardError, HeldError
from dockyard.masking import known
from dockyard.recovery import undisturbed

KEPT = 64 * 1024  # bytes of a service's output that are kept, the last ones
TICK = 0.1  # seconds
GRACE = 60.0  # seconds for a service's work that has timed out to put its things in order

INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Kept from coming while a process is forked: Python forgets what comes in the middle of that."""

OK, FAILED, SKIPPED, TIMEOUT, STOPPED, PARKED = "ok", "failed", "skipped", "timeout", "interrupted", "parked"
HELD = "held"  # not to be upgraded now, on purpose
RESULTS = (OK, HELD, FAILED, SKIPPED, TIMEOUT, STOPPED)
"""How the work on a service can end, in the order of the summary."""


class Link(NamedTuple):
    """The channel of a worker to its parent process."""

    events: int
    control: int

    def doing(self, what: str) -> None:
        """Report the current activity."""
        self._send({"doing": what})

    def park(self, data: Mapping[str, Any]) -> bool:
        """Report that everything but the commit is done, and wait; returns whether to commit.

        The end of the parent process means no.
        """
        self._send({"result": PARKED, "data": data})
        return os.read(self.control, 1) == b"+"

    def answer(self, message: Mapping[str, Any]) -> None:
        """Report how it ended."""
        self._send(message)

    def _send(self, message: Mapping[str, Any]) -> None:
        import json

        os.write(self.events, known.hide(json.dumps(message, default=str)).encode() + b"\n")


class Task(NamedTuple):
    """Work on one service; returns its result as JSON data."""

    name: str
    work: Callable[[Link], Mapping[str, Any]]


class Done(NamedTuple):
    """How the work on a service ended; `took` is in seconds."""

    name: str
    result: str
    reason: str = ""
    hint: str = ""
    data: Mapping[str, Any] = {}
    took: float = 0.0
    output: str = ""
    code: int = WORK_FAILED
    """The exit code that its failure alone would have."""

    @property
    def is_ok(self) -> bool:
        """Whether it was done, or was not to be done."""
        return self.result in {OK, HELD}

    @property
    def text(self) -> str:
        """The description of the result."""
        return str(self.data.get("text", "")) if self.result == OK else self.reason

    @property
    def row(self) -> dict[str, Any]:
        """The same for a list."""
        hint = {"hint": self.hint} if self.hint else {}
        told = {"service": self.name, "result": self.result, "seconds": round(self.took, 1), "what": self.text}
        return {**self.data, **told, **hint}


class Watcher(Protocol):
    """An observer that shows the progress."""

    def doing(self, name: str, what: str) -> None:
        """Report the current activity for a service."""

    def done(self, done: Done) -> None:
        """Report how it ended."""

    def tick(self) -> None:
        """Be called some times a second."""


class _Worker:
    """A process that works on one service, and what came from it so far."""

    def __init__(self, task: Task, timeout: float | None, mask: Iterable[int]) -> None:
        self.name = task.name
        self.began = time.monotonic()
        self.timeout = timeout
        self.deadline = self.began + timeout if timeout else None
        self.timed_out = False
        self.messages = b""
        self.written = deque[bytes]()
        self.size = 0
        self.answer: dict[str, Any] | None = None
        pipes = {name: os.pipe() for name in ("events", "output", "control")}
        self.pid = os.fork()
        if not self.pid:
            for ours in (pipes["events"][0], pipes["output"][0], pipes["control"][1]):
                os.close(ours)
            _work(task, Link(pipes["events"][1], pipes["control"][0]), pipes["output"][1], mask)
        for theirs in (pipes["events"][1], pipes["output"][1], pipes["control"][0]):
            os.close(theirs)
        self.events, self.output, self.control = pipes["events"][0], pipes["output"][0], pipes["control"][1]
        self.process = os.pidfd_open(self.pid)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What becomes readable when there is news."""
        return (self.events, self.output, self.process)

    @property
    def is_parked(self) -> bool:
        """Whether it waits for the decision whether to commit."""
        return bool(self.answer and self.answer["result"] == PARKED)

    def read_output(self) -> bool:
        """Take what it has written; returns False at the end."""
        chunk = os.read(self.output, KEPT)
        self.written.append(chunk)
        self.size += len(chunk)
        while self.size - len(self.written[0]) > KEPT:
            self.size -= len(self.written.popleft())
        return bool(chunk)

    def read_events(self) -> list[str] | None:
        """Read its messages, and return its current activity; None at the end."""
        import json

        chunk = os.read(self.events, KEPT)
        *lines, self.messages = (self.messages + chunk).split(b"\n")
        messages = [json.loads(line) for line in lines]
        for message in messages:
            if "result" in message:
                self.answer = message
        return [message["doing"] for message in messages if "doing" in message] if chunk else None

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Have it put its things in order and end."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.process, number)

    def wait(self) -> None:
        """Wait for its end and read its output in the meantime: a full pipe would block it."""
        while not _readable(self.process, TICK):
            while _readable(self.output) and self.read_output():
                pass

    def done(self) -> Done:
        """Return how it is doing, or how it ended."""
        answer = self.answer or {"result": FAILED, "reason": "ended without a result"}
        text = b"".join(self.written)[-KEPT:].decode("utf-8", "replace")
        return Done(self.name, took=time.monotonic() - self.began, output=text, **answer)

    def end(self) -> Done:
        """Return how it ended; it has."""
        while self.read_events() is not None:
            pass
        while _readable(self.output) and self.read_output():  # something that it started may still have the pipe
            pass
        _, status = os.waitpid(self.pid, 0)
        for descriptor in (*self.descriptors, self.control):
            os.close(descriptor)
        if not self.answer or self.is_parked:
            self.answer = {"result": FAILED, "reason": _how(os.waitstatus_to_exitcode(status))}
        if self.timed_out and self.answer["result"] != OK:
            self.answer = {**self.answer, "result": TIMEOUT, "reason": f"timed out after {self.timeout:g} s"}
        return self.done()


def _readable(descriptor: int, patience: float = 0) -> bool:
    import select

    return bool(select.select([descriptor], [], [], patience)[0])


def _how(exit_code: int) -> str:
    return f"was killed by signal {-exit_code}" if exit_code < 0 else f"ended with exit code {exit_code}"


def _work(task: Task, link: Link, output: int, mask: Iterable[int]) -> NoReturn:
    """Do a task in this process, which is its own, and end it; `mask` is what it had of signals before the fork."""
    import sys

    code = WORK_FAILED
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(output, 1)
        os.dup2(output, 2)
        answer = _answer(task, link, mask)
        sys.stdout.flush()
        sys.stderr.flush()
        link.answer(answer)
        code = 0
    except BaseException:  # noqa: BLE001 - the end of a process
        import traceback

        with suppress(OSError):
            os.write(output, known.hide(traceback.format_exc()).encode("utf-8", "replace"))
    finally:
        os._exit(code)


def _answer(task: Task, link: Link, mask: Iterable[int]) -> dict[str, Any]:
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        return {"result": OK, "data": dict(task.work(link))}
    except DockyardError as error:
        return failure(error)
    except (KeyboardInterrupt, SystemExit):
        return {"result": STOPPED, "reason": "interrupted"}


def failure(error: DockyardError) -> dict[str, Any]:
    """Return how work ended that failed."""
    first, *more = error.lines()
    result = HELD if isinstance(error, HeldError) else FAILED
    return {"result": result, "reason": first, "hint": "\n".join(more), "code": error.exit_code}


class Crew:
    """The processes of one run: at most `jobs` at work, each with `timeout` seconds."""

    def __init__(self, watcher: Watcher, jobs: int, timeout: float | None = None) -> None:
        self.watcher, self.jobs, self.timeout = watcher, jobs, timeout
        self.working: dict[int, _Worker] = {}
        self.parked: list[_Worker] = []

    def run(self, tasks: Iterable[Task]) -> list[Done]:
        """Do tasks side by side; returns how each ended, as it did, or that it is parked.

        The next task is asked for when there is room for it. One that fails stops no other. An interrupt stops all of
        them, each puts its things in order, and it is raised.
        """
        waiting = iter(tasks)
        finished: list[Done] = []
        with selectors.DefaultSelector() as selector:
            try:
                while self._fill(waiting, selector) or self.working:
                    finished += self._turn(selector)
            except BaseException:
                self._end_all()
                raise
        return finished

    def release(self, *, final: bool) -> list[Done]:
        """Have the waiting workers commit or roll back, and return how each ended."""
        workers, self.parked = self.parked, []
        with undisturbed():
            for worker in workers:
                with suppress(BrokenPipeError):
                    os.write(worker.control, b"+" if final else b"-")
            finished = []
            for worker in workers:
                worker.wait()
                finished.append(worker.end())
                self.watcher.done(finished[-1])
        return finished

    def _fill(self, waiting: Iterator[Task], selector: selectors.BaseSelector) -> bool:
        """Begin what there is room for; returns whether there may be more."""
        while len(self.working) < self.jobs:
            task = next(waiting, None)
            if task is None:
                return False
            self._begin(task, selector)
        return True

    def _begin(self, task: Task, selector: selectors.BaseSelector) -> None:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
        try:
            worker = _Worker(task, self.timeout, before)
            self.working[worker.pid] = worker
            for descriptor in worker.descriptors:
                selector.register(descriptor, selectors.EVENT_READ, worker)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _turn(self, selector: selectors.BaseSelector) -> list[Done]:
        """Take what there is from the workers; returns those that are done or parked."""
        for key, _ in selector.select(TICK):
            worker: _Worker = key.data
            if key.fd == worker.events:
                self._told(worker, selector)
            elif key.fd == worker.output and not worker.read_output():
                selector.unregister(worker.output)
        finished = [self._over(worker, selector) for worker in list(self.working.values()) if _is_over(worker)]
        self._stop_late_ones()
        self.watcher.tick()
        return finished

    def _told(self, worker: _Worker, selector: selectors.BaseSelector) -> None:
        told = worker.read_events()
        if told is None:
            selector.unregister(worker.events)
        for what in told or ():
            self.watcher.doing(worker.name, what)

    def _over(self, worker: _Worker, selector: selectors.BaseSelector) -> Done:
        """Return how a worker ended, or is doing while it is parked."""
        del self.working[worker.pid]
        for descriptor in set(worker.descriptors) & set(selector.get_map()):
            selector.unregister(descriptor)
        if worker.is_parked and not _readable(worker.process):
            self.parked.append(worker)
            return worker.done()
        done = worker.end()
        self.watcher.done(done)
        return done

    def _stop_late_ones(self) -> None:
        now = time.monotonic()
        for worker in self.working.values():
            if worker.deadline and now > worker.deadline:
                first, last = not worker.timed_out, now > worker.deadline + GRACE
                worker.timed_out = True
                if first or last:
                    worker.stop(signal.SIGKILL if last else signal.SIGTERM)

    def _end_all(self) -> None:
        """Stop all workers, and wait until each has put its things in order."""
        with undisturbed():
            workers = [*self.working.values(), *self.parked]
            for worker in workers:
                worker.stop()
            for worker in workers:
                worker.wait()
                self.watcher.done(worker.end())


def _is_over(worker: _Worker) -> bool:
    return worker.is_parked or _readable(worker.process)


def exit_code(finished: Iterable[Done]) -> int:
    """Return the exit code for how the work on many services ended; all failures may be that of one engine."""
    every = list(finished)
    results = {done.result for done in every}
    codes = {done.code for done in every if done.result == FAILED}
    if results & {FAILED, TIMEOUT, SKIPPED}:
        return ENGINE_UNREACHABLE if codes == {ENGINE_UNREACHABLE} and TIMEOUT not in results else WORK_FAILED
    return INTERRUPTED if STOPPED in results else 0
