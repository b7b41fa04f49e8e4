"""A container under test: what a Test may ask of it and expect from it.

Every `expect_…` waits: it retries until the expectation is met or its seconds are over. The error then describes the
unmet expectation, with the last lines of the log.
"""

import http.client
import re
import socket
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from dockyard import evidence
from dockyard.engine import models
from dockyard.engine.engine import Engine
from dockyard.engine.models import IdMap, IdRange
from dockyard.errors import DockyardError, NoSuchNameError
from dockyard.watch import Tries, has_failed_check, seconds_of

PAUSE = 0.1  # seconds between two tries
LOG_LINES = 20
EXCHANGE = 10.0  # seconds after which reading from a peer that keeps sending ends


class Unexpected(AssertionError):  # noqa: N818 - read as a sentence where a test fails
    """What a test expected is not so."""


class Container:
    """A running container, as a Test sees it."""

    def __init__(self, engine: Engine, model: models.Container) -> None:
        self._engine = engine
        self._model = model

    @property
    def name(self) -> str:
        """The container's name."""
        return self._model.name

    @property
    def id(self) -> str:
        """The container's id."""
        return self._model.id

    @property
    def pid(self) -> int:
        """The id, on this host, of its first process."""
        return self._model.pid

    @property
    def uid(self) -> int:
        """The user id, as the container has it, that its first process runs as. Needs nothing inside."""
        process = Path(f"/proc/{self.pid}")
        status = (process / "status").read_text(encoding="utf-8", errors="replace").splitlines()
        outside = next(int(line.split()[2]) for line in status if line.startswith("Uid:"))  # the effective one
        ranges = (process / "uid_map").read_text(encoding="ascii").splitlines()
        return IdMap(tuple(IdRange(*map(int, line.split())) for line in ranges)).owner(outside, 0)[0]

    @property
    def image(self) -> str:
        """The id of its image."""
        return self._model.image_id

    @property
    def ip(self) -> str:
        """Its address in the first of its networks; empty if it has none."""
        return next(iter(self._model.addresses.values()), "")

    @cached_property
    def testinfra(self) -> Any:  # noqa: ANN401 - testinfra has no types
        """The container as a pytest-testinfra host."""
        import testinfra

        return testinfra.get_host(f"{self._engine.dialect.testinfra}://{self.name}")

    @property
    def layer(self) -> Path:
        """The directory of the host that is its copy-on-write layer. Raises NoSuchNameError if there is none."""
        from dockyard.layers.store import store_of

        layer = store_of(self._engine).upper_of(self._model)
        if not layer:
            raise NoSuchNameError(f"{self.name}: the engine does not report its layer's directory")
        return Path(layer)

    def host_port(self, port: int, protocol: str = "tcp") -> str:
        """Return where a port of the container is published, as `address:port`. Raises NoSuchNameError."""
        published = self._model.ports.get(f"{port}/{protocol}")
        if not published:
            known = ", ".join(self._model.ports) or "none"
            raise NoSuchNameError(f"{self.name}: port {port}/{protocol} is not published; these are: {known}")
        return published

    def volume(self, target: str) -> Path:
        """Return the directory of the host that the container sees at a path; in a test, below the test area."""
        if target not in self._model.mounts:
            known = ", ".join(self._model.mounts) or "none"
            raise NoSuchNameError(f"{self.name}: nothing is mounted at {target}; mounted are: {known}")
        return Path(self._model.mounts[target])

    def environment(self) -> dict[str, str]:
        """Return the container's facts for a Test in another language, such as CONTAINER_NAME, CONTAINER_PORT_8080."""
        facts = {
            "CONTAINER_NAME": self.name,
            "CONTAINER_ID": self.id,
            "CONTAINER_IMAGE": self.image,
            "CONTAINER_IP": self.ip,
            "CONTAINER_ENGINE": self._engine.program,
            "CONTAINER_MODE": self._model.mode,
        }
        for port, published in self._model.ports.items():
            number, _, protocol = port.partition("/")
            facts[f"CONTAINER_PORT_{number}" + ("" if protocol == "tcp" else f"_{protocol.upper()}")] = published
        for target, source in self._model.mounts.items():
            facts["CONTAINER_VOLUME_" + re.sub(r"\W+", "_", target).strip("_").upper()] = source
        return facts

    def exec(self, *argv: str, user: str = "") -> str:
        """Run a command inside and return its output. Raises EngineError, with what it wrote, if it fails."""
        return self._engine.call("exec", *(("--user", user) if user else ()), self.id, *argv)

    def logs(self) -> str:
        """Return all that it has written so far, stdout and stderr."""
        return self._engine.logs(self.id)

    def wait_ready(self, seconds: float = 30) -> None:
        """Wait until its health check passes; where it has none, until its published ports accept connections.

        Raises Unexpected as soon as the container is unhealthy by its own check, or has ended.
        """
        if self._model.check:
            self._until(self._health(self._model.check), seconds, "its health check to pass")
        for port in [port for port in self._model.ports if port.endswith("/tcp")]:
            number = int(port.partition("/")[0])
            self._until(lambda number=number: self._connects(number), seconds, f"port {port} to accept connections")  # type: ignore[misc]

    def explanation(self) -> list[str]:
        """Return how it is or how it ended, what its health check said, and the end of its log."""
        return evidence.lines(evidence.collect(self._engine, [self.id]))

    def expect_http(  # noqa: PLR0913 - what one may expect of a page
        self,
        port: int,
        path: str = "/",
        *,
        status: int = 200,
        contains: str = "",
        seconds: float = 10,
        method: str = "GET",
    ) -> str:
        """Expect a status and a text of a page, and return the page."""
        pages: list[str] = []

        def serves() -> bool:
            answered, page = self._request(port, method, path)
            pages[:] = [page]
            if answered != status:
                raise Unexpected(f"status {answered}, not {status}")
            if contains not in page:
                raise Unexpected(f"no `{contains}` in {_excerpt(page)}")
            return True

        self._until(serves, seconds, f"{method} {path} on port {port}")
        return pages[0]

    def expect_tcp(self, port: int, *, send: bytes = b"", expect: bytes = b"", seconds: float = 10) -> bytes:
        """Expect an answer that holds some bytes to what is sent on a new connection, and return it."""
        answers: list[bytes] = []

        def replies() -> bool:
            answers[:] = [self._exchange(port, send, expect)]
            if expect not in answers[0]:
                raise Unexpected(f"no {expect!r} in {answers[0][:200]!r}")
            return True

        self._until(replies, seconds, f"the answer to {send!r} on port {port}")
        return answers[0]

    def expect_log(self, text: str, *, seconds: float = 10) -> None:
        """Expect a text in its log."""
        self._until(lambda: text in self.logs(), seconds, f"`{text}` in its log")

    def expect_file(self, path: str, *, contains: str = "", seconds: float = 10) -> str:
        """Expect a file inside that holds a text, and return its content. Needs nothing inside: the engine reads it."""
        return self._expect_text(lambda: self._engine.read_file(self.id, path), contains, seconds, f"file {path}")

    def expect_host_file(self, path: Path, *, contains: str = "", seconds: float = 10) -> str:
        """Expect a file of the host that holds a text, and return its content."""
        return self._expect_text(
            lambda: path.read_text(errors="replace"), contains, seconds, f"file {path} of the host"
        )

    def expect_output(self, *argv: str, contains: str = "", seconds: float = 10) -> str:
        """Expect a command inside to succeed and to write a text, and return its output."""
        return self._expect_text(lambda: self.exec(*argv), contains, seconds, f"`{' '.join(argv)}`")

    def _expect_text(self, read: Callable[[], str], contains: str, seconds: float, what: str) -> str:
        texts: list[str] = []

        def holds() -> bool:
            texts[:] = [read()]
            if contains not in texts[0]:
                raise Unexpected(f"no `{contains}` in {_excerpt(texts[0])}")
            return True

        self._until(holds, seconds, what)
        return texts[0]

    def _until(self, check: Callable[[], bool], seconds: float, what: str) -> None:
        """Try until a check is true. Raises Unexpected when the seconds are over or the container has died."""
        __tracebackhide__ = True
        deadline = time.monotonic() + seconds
        while True:
            problem = _problem(check)
            now = next(iter(self._engine.containers([self.id])), None)
            if not now or not now.is_up:  # what answered may have been another's
                how = f"has ended with exit code {now.exit_code}" if now else "is gone"
                raise Unexpected(f"{self.name} {how} while the Test waited for {what}{self._last_log()}")
            if not problem:
                return
            if isinstance(problem, NoSuchNameError):
                raise problem
            if isinstance(problem, _Final) or time.monotonic() > deadline:
                how = "" if isinstance(problem, _Final) else f"waited {seconds:g} s for {what}: "
                raise Unexpected(f"{self.name}: {how}{problem}{self._last_log()}")
            time.sleep(PAUSE)

    def _health(self, check: models.Check) -> Callable[[], bool]:
        """Return what checks the health, and raises _Final when the verdict is known."""
        tries = Tries(check)
        started = seconds_of(self._model.started)

        def is_healthy() -> bool:
            if self._engine.is_healthy(self.id):
                return True
            now = next(iter(self._engine.containers([self.id])), self._model)
            if has_failed_check(self._engine, now, tries, time.time() - started):
                raise _Final(f"it is unhealthy{_indent('health check', now.health_output)}")
            return False

        return is_healthy

    def _last_log(self) -> str:
        return _indent("log", "\n".join(self._engine.last_words(self.id, LOG_LINES)))

    def _address(self, port: int) -> tuple[str, int]:
        """Return where to connect: the published port, else the container's own address."""
        if f"{port}/tcp" in self._model.ports:
            host, _, number = self._model.ports[f"{port}/tcp"].rpartition(":")
            return ("127.0.0.1" if host in {"0.0.0.0", "::", ""} else host), int(number)  # noqa: S104 - read, not bound
        if not self.ip:
            raise NoSuchNameError(f"{self.name}: port {port} is not published, and the container has no address")
        return self.ip, port

    def _connects(self, port: int) -> bool:
        with socket.create_connection(self._address(port), timeout=2):
            return True

    def _request(self, port: int, method: str, path: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(*self._address(port), timeout=5)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            return response.status, response.read().decode("utf-8", "replace")
        finally:
            connection.close()

    def _exchange(self, port: int, send: bytes, expect: bytes) -> bytes:
        """Return the answer up to the expected bytes, the end of the connection, or two seconds of silence."""
        answer = b""
        deadline = time.monotonic() + EXCHANGE
        with socket.create_connection(self._address(port), timeout=2) as connection:
            connection.sendall(send)
            while (expect not in answer or not answer) and time.monotonic() < deadline:
                try:
                    part = connection.recv(65536)
                except TimeoutError:
                    break
                if not part:
                    break
                answer += part
        return answer


class _Final(Exception):  # noqa: N818 - see Unexpected
    """There is no use in waiting any longer."""


def _problem(check: Callable[[], bool]) -> Exception | None:
    """Return why a check does not hold; None if it does."""
    try:
        return None if check() else Unexpected("in vain")
    except (_Final, Unexpected, DockyardError) as error:
        return error
    except (OSError, http.client.HTTPException) as error:
        return Unexpected(str(error) or type(error).__name__)


def _indent(what: str, text: str) -> str:
    return "".join(f"\n  {what}: {line}" for line in text.strip().splitlines())


def _excerpt(text: str) -> str:
    return repr(text if len(text) <= 200 else f"{text[:200]}…")  # noqa: PLR2004 - a line or two
