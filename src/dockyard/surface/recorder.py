"""Which files of an image are opened, and by whom, while its Test runs: nothing is missed, not even at the start.

A container's overlay is mounted as it starts, and everything counts from its first instruction on: the mark has to be
on the overlay after it is mounted, and before anything runs. An engine that can mount a container's root beforehand
does so; with another, the files that it writes between the two are asked for, and it waits for the answer.

Whoever launches the instance asks at a socket whose path is in its environment, before it starts what it has created.
"""

import os
import select
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from dockyard.directives import RECORD
from dockyard.engine.engine import Engine
from dockyard.engine.models import Container
from dockyard.errors import DockyardError, EngineError
from dockyard.layers.store import store_of
from dockyard.surface.asked import asked_by
from dockyard.surface.permission import Question, Questions
from dockyard.surface.processes import Processes

READY = b"ready"
_LONGEST = 4096
_TURN = 0.2  # seconds after which it is looked whether all is over


class Use(NamedTuple):
    """A file that was opened: where it is, how it was asked for (empty: not known), whether it was run, and by whom."""

    path: str
    asked: str
    is_run: bool
    by: str


class _Watched:
    """One container under the marks."""

    def __init__(self, container: Container) -> None:
        self.container = container
        self.processes = Processes(container.id, container.check_command)
        self.is_marked = False

    def within(self, path: str) -> str:
        """Return a path as the container has it, that the kernel may tell as seen from the host."""
        root = self.container.root
        return path[len(root) :] or "/" if root and path.startswith(f"{root}/") else path


class Recorder:
    """Records what containers of one image open, until it is closed."""

    def __init__(self, engine: Engine, image: str) -> None:
        self._engine, self._image = engine, image
        self._questions = Questions()
        self._watched: list[_Watched] = []
        self._starting = ""
        self._uses: set[Use] = set()
        self._failed: DockyardError | None = None
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def watch(self, container: str) -> None:
        """Record a container that has been created and not started; one of another image is let go.

        Raises DockyardError where nothing could be recorded from its start on.
        """
        found = next(iter(self._engine.containers([container])), None)
        if not found or found.image_id != self._image:
            return
        dialect = self._engine.dialect
        if dialect.mounting:
            mounted = self._engine.call(*dialect.mounting, found.id).strip()
            found = found._replace(root=mounted)
        else:
            found = found._replace(root=store_of(self._engine).merged_root_of(found))
        watched = _Watched(found)
        with self._lock:
            self._watched.append(watched)
        if dialect.mounting:
            self._mark(watched)
        else:
            self._starting = self._starting or self._engine.call(*dialect.starting).strip()
            self._questions.ask_in(f"{self._starting}/{found.id}")

    def _mark(self, watched: _Watched) -> None:
        self._questions.ask_below(watched.container.root)
        watched.is_marked = True

    def uses(self) -> frozenset[Use]:
        """Return what was opened so far. Raises DockyardError where that is not all, or no instance was launched."""
        if self._failed:
            raise self._failed
        if not self._watched:
            raise DockyardError(
                "the Test launched no instance of its image, so what it uses is not known",
                hint="launch one with the library, or with `dockyard-python -m dockyard.testing`",
            )
        if not all(watched.is_marked for watched in self._watched) or not any(use.is_run for use in self._uses):
            raise DockyardError(
                "the instance's root could not be watched before it started",
                hint="run it as root, with docker (overlay2 or containerd store) or podman (overlay) on this host",
            )
        return frozenset(self._uses)

    def close(self) -> None:
        """Record no more."""
        self._over.set()
        self._thread.join()
        for watched in self._watched:
            if self._engine.dialect.unmounting:
                with suppress(EngineError):  # it may be gone
                    self._engine.call(*self._engine.dialect.unmounting, watched.container.id)

    def _answer(self) -> None:
        try:
            self._answer_all()
        finally:
            self._questions.close()  # nobody waits for an answer that does not come

    def _answer_all(self) -> None:
        poll = select.poll()
        poll.register(self._questions.fileno(), select.POLLIN)
        while not self._over.is_set():
            if poll.poll(_TURN * 1000):
                for question in self._questions.waiting():
                    try:
                        self._take(question)
                    except (DockyardError, OSError) as error:
                        reason = error if isinstance(error, DockyardError) else DockyardError(f"recording: {error}")
                        self._failed = self._failed or reason

    def _take(self, question: Question) -> None:
        with self._lock:
            watched = list(self._watched)
        if self._starting and question.path.startswith(f"{self._starting}/"):
            self._mark_what_starts(watched)
            return
        for one in watched:
            by = one.processes.owner(question.thread)
            if by:
                self._add(one, question, by)
                return

    def _mark_what_starts(self, watched: list[_Watched]) -> None:
        """Mark the roots that are mounted by now, also of those that have been started anew."""
        for one in watched:
            if os.path.ismount(one.container.root):
                self._mark(one)

    def _add(self, watched: _Watched, question: Question, by: str) -> None:
        asked = asked_by(question.thread)
        if question.is_run:
            watched.processes.runs(question.thread, asked.words)
            by = watched.processes.owner(question.thread) or by
        self._uses.add(Use(watched.within(question.path), asked.path, question.is_run, by))


@contextmanager
def recording(engine: Engine, image: str) -> Iterator[tuple[Recorder, dict[str, str]]]:
    """Yield a recorder, and the environment by which launches find it. Raises DockyardError."""
    recorder = Recorder(engine, image)
    try:
        with tempfile.TemporaryDirectory(prefix="dockyard-record-") as place, _serving(recorder, Path(place, "socket")):
            yield recorder, {RECORD: str(Path(place, "socket"))}
    finally:
        recorder.close()


@contextmanager
def _serving(recorder: Recorder, path: Path) -> Iterator[None]:
    over = threading.Event()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()
        listening.settimeout(_TURN)
        thread = threading.Thread(target=_serve, args=(recorder, listening, over), daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _serve(recorder: Recorder, listening: socket.socket, over: threading.Event) -> None:
    while not over.is_set():
        try:
            connection, _ = listening.accept()
        except TimeoutError:
            continue
        with connection, suppress(OSError):
            connection.settimeout(None)
            name = connection.recv(_LONGEST).decode("utf-8", "replace")
            connection.sendall(_outcome(recorder, name))


def _outcome(recorder: Recorder, name: str) -> bytes:
    try:
        recorder.watch(name)
    except (DockyardError, OSError) as error:
        return str(error).encode("utf-8", "replace")
    return READY


def tell(recorder: str, container: str) -> None:
    """Tell a recorder, by its socket, of a container that is about to start. Raises DockyardError as it does."""
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(recorder)
            connection.sendall(container.encode())
            answer = connection.recv(_LONGEST)
        except OSError as error:
            raise DockyardError(f"{recorder}: {error.strerror}") from None
    if answer != READY:
        raise DockyardError(answer.decode("utf-8", "replace") or "the recorder has ended")
