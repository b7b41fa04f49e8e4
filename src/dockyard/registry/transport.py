"""Requests and answers over HTTP: connections that are reused, and bounds for the time and the size of everything."""

import io
import socket
import ssl
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from time import monotonic
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from dockyard.errors import RegistryError
from dockyard.registry.proxies import Proxies, Proxy
from dockyard.registry.trust import CertificateFileError, Trust, build_context

CONNECT_SECONDS = 10
CONNECTIONS = 6  # to one server at a time
OFFLINE_HINT = "try again later; `--offline` asks no registry"
MAX_ERROR = 64 * 1024  # bytes of an answer that is not what was asked for


class Origin(NamedTuple):
    """A server: what a connection leads to."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        """Return host and port, as people write them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


_DEFAULT_PORTS = {"http": 80, "https": 443}


class Request(NamedTuple):
    """What is asked of a server; `limit` is the maximum size of the answer, in bytes."""

    method: str
    origin: Origin
    target: str
    headers: Mapping[str, str]
    limit: int
    trust: Trust
    body: bytes = b""


class Answer(NamedTuple):
    """What a server answered; the headers' names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class BrokenError(Exception):
    """A connection ended before the answer did: asking again may help."""


def parse_origin(url: str) -> tuple[Origin, str]:
    """Return the server of a URL, and the rest of it. Raises ValueError for what is not such a URL."""
    parts = urlsplit(url)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or "@" in parts.netloc:
        raise ValueError("not a URL of a server")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not f"{parts.hostname}{target}".isascii() or not f"{parts.hostname}{target}".isprintable() or " " in target:
        raise ValueError("not a URL of a server")
    return Origin(parts.scheme, parts.hostname, parts.port or _DEFAULT_PORTS[parts.scheme]), target


class Transport:
    """Connections to servers; safe to use from several threads."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies
        self._lock = threading.Lock()
        self._idle: dict[tuple[Origin, Trust], list[_Connection]] = defaultdict(list)
        self._slots: dict[Origin, threading.Semaphore] = defaultdict(lambda: threading.Semaphore(CONNECTIONS))
        self._contexts: dict[Trust, ssl.SSLContext] = {}
        self.sent: dict[str, int] = defaultdict(int)
        """The number of requests, by server."""

    def close(self) -> None:
        """End all connections that are idle."""
        with self._lock:
            idle, self._idle = self._idle, defaultdict(list)
        for connection in (connection for group in idle.values() for connection in group):
            connection.close()

    def send(self, request: Request, deadline: float) -> Answer:
        """Return the answer to a request. Raises RegistryError, and BrokenError if another try may help."""
        with self._lock:
            slot = self._slots[request.origin]
            self.sent[str(request.origin)] += 1
        if not slot.acquire(timeout=max(deadline - monotonic(), 0)):
            raise unreachable_error(request.origin, "does not answer in time")
        try:
            return self._send(request, deadline)
        except TimeoutError:
            raise unreachable_error(request.origin, "does not answer in time") from None
        except (OSError, HTTPException, ValueError) as error:
            raise self._explain(request, error) from None
        finally:
            slot.release()

    def _send(self, request: Request, deadline: float) -> Answer:
        while connection := self._take_idle(request):
            with suppress(ConnectionError, HTTPException, ssl.SSLError):  # the server has ended it in the meantime
                return self._exchange(connection, request, deadline)
        return self._exchange(self._open(request), request, deadline)

    def _take_idle(self, request: Request) -> "_Connection | None":
        with self._lock:
            idle = self._idle[request.origin, request.trust]
            return idle.pop() if idle else None

    def _exchange(self, connection: "_Connection", request: Request, deadline: float) -> Answer:
        is_reusable = False
        try:
            answer, is_reusable = connection.exchange(request, deadline)
            return answer
        finally:
            if is_reusable:
                with self._lock:
                    self._idle[request.origin, request.trust].append(connection)
            else:
                connection.close()

    def _open(self, request: Request) -> "_Connection":
        origin = request.origin
        proxy = self._proxies.proxy_for(*origin)
        return _Connection(origin, proxy, self._context(request.trust) if origin.scheme == "https" else None)

    def _context(self, trust: Trust) -> ssl.SSLContext:
        with self._lock:
            if trust not in self._contexts:
                self._contexts[trust] = build_context(trust)
            return self._contexts[trust]

    def _explain(self, request: Request, error: Exception) -> RegistryError | BrokenError:
        """Return the error that says what is wrong with a server."""
        if isinstance(error, ConnectionError) and not isinstance(error, ConnectionRefusedError):
            return BrokenError("ends connections before it answers")
        if isinstance(error, HTTPException):
            return BrokenError("answers with what is not HTTP, or with a part of it")
        if isinstance(error, CertificateFileError):
            message, host = f"{request.origin} cannot be asked: {error}", str(request.origin)
            return RegistryError(message, "correct or remove that file", host=host, kind="wrong")
        problem, hint = _problem_of(error, request.trust)
        if not isinstance(error, ssl.SSLError) and self._has_proxy(request.origin):
            problem = f"cannot be reached through the proxy: {first_line(str(error))}"
        return unreachable_error(request.origin, problem, hint)

    def _has_proxy(self, origin: Origin) -> bool:
        with suppress(ValueError):
            return self._proxies.proxy_for(*origin) is not None
        return True


def _problem_of(error: Exception, trust: Trust) -> tuple[str, str]:
    """Return what is wrong with a server, and what to do about it."""
    hint = OFFLINE_HINT
    match error:
        case ssl.SSLCertVerificationError():
            problem = f"has a certificate that is not valid: {error.verify_message}"
            where = next((f"{path}/ca.crt" for path in trust.directories), "certs.d")
            hint = f"if the registry is yours, put the certificate of its authority into {where}"
        case ssl.SSLError():
            problem = f"does not speak TLS: {error.reason or 'the connection ended'}"
        case socket.gaierror():
            problem = "is a name that does not resolve"
        case ConnectionRefusedError():
            problem = "refuses connections"
        case OSError():
            problem = f"cannot be reached: {error.strerror or error}"
        case _:
            problem = f"cannot be asked: {error}"
    return problem, hint


class _Connection:
    """A connection to a server, over TLS and through a proxy if need be."""

    def __init__(self, origin: Origin, proxy: Proxy | None, context: ssl.SSLContext | None) -> None:
        self._deadline = 0.0
        self._is_proxied = proxy is not None and not context
        self._origin = origin
        self._headers = _proxy_headers(proxy) if proxy else {}
        host, port = (proxy.host, proxy.port) if proxy else (origin.host, origin.port)
        if context:
            self._http: HTTPConnection = HTTPSConnection(host, port, context=context)
            if proxy:
                self._http.set_tunnel(origin.host, origin.port, headers=self._headers)
        else:
            self._http = HTTPConnection(host, port)
        self._http.response_class = self._response  # type: ignore[assignment]

    def _response(self, sock: socket.socket, *arguments: Any, **options: Any) -> HTTPResponse:  # noqa: ANN401
        return HTTPResponse(_TimedSocket(sock, lambda: self._deadline), *arguments, **options)  # type: ignore[arg-type]

    def exchange(self, request: Request, deadline: float) -> tuple[Answer, bool]:
        """Return the answer, and whether the connection can be used again. Raises OSError, HTTPException."""
        self._deadline = deadline
        self._http.timeout = min(CONNECT_SECONDS, _seconds_until(deadline))
        if self._http.sock:  # it has what was left of an earlier deadline
            self._http.sock.settimeout(self._http.timeout)
        target, headers = request.target, request.headers
        if self._is_proxied:
            target, headers = f"http://{self._origin}{target}", {**headers, **self._headers}
        self._http.request(request.method, target, request.body or None, dict(headers))
        with self._http.getresponse() as response:
            body, is_whole = _read_body(response, request)
            return Answer(response.status, _headers_of(response), body), is_whole and not response.will_close

    def close(self) -> None:
        self._http.close()


def _headers_of(response: HTTPResponse) -> Mapping[str, str]:
    """Return the headers by name in lower case; of one that is there twice, both values."""
    found: dict[str, str] = {}
    for name, value in response.getheaders():
        key = name.lower()
        found[key] = f"{found[key]}, {value}" if key in found else value
    return MappingProxyType(found)


def _read_body(response: HTTPResponse, request: Request) -> tuple[bytes, bool]:
    """Return the body and whether it is whole; one that only explains a failure may be cut off."""
    is_wanted = response.status < 300  # noqa: PLR2004 - what HTTP calls success
    limit = request.limit if is_wanted else MAX_ERROR
    body = response.read(limit + 1)
    if request.method == "HEAD":
        return b"", True
    if len(body) > limit:
        if is_wanted:
            raise RegistryError(
                f"{request.origin} answers with more than {limit // 1024} KiB", host=str(request.origin), kind="wrong"
            )
        return body[:limit], False
    if response.length:  # more was promised
        raise HTTPException("cut off")
    return body, True


class _TimedSocket:
    """Stands for a socket that is read: no read lasts beyond the deadline, however slowly the bytes arrive."""

    def __init__(self, sock: socket.socket, deadline: Callable[[], float]) -> None:
        self._socket = sock
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._socket, self._deadline))


class _TimedReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, deadline: Callable[[], float]) -> None:
        super().__init__()
        self._socket = sock
        self._deadline = deadline
        self._raw = sock.makefile("rb", buffering=0)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401 - as the base class has it
        self._socket.settimeout(_seconds_until(self._deadline()))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _seconds_until(deadline: float) -> float:
    """Return the time that is left. Raises TimeoutError if there is none."""
    left = deadline - monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _proxy_headers(proxy: Proxy) -> dict[str, str]:
    return {"Proxy-Authorization": basic_authorization(proxy.user, proxy.password)} if proxy.user else {}


def basic_authorization(user: str, password: str) -> str:
    """Return the header that logs a user in."""
    from base64 import b64encode

    return f"Basic {b64encode(f'{user}:{password}'.encode()).decode()}"


def first_line(text: str) -> str:
    """Return as much of what a server says as fits into a message."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return line if len(line) <= MAX_SHOWN else f"{line[:MAX_SHOWN]}…"


MAX_SHOWN = 200  # characters


def unreachable_error(origin: Origin, problem: str, hint: str = OFFLINE_HINT) -> RegistryError:
    """Return the error for a server that gives no answer; `problem` continues a sentence that begins with its name."""
    return RegistryError(f"{origin} {problem}", hint, host=str(origin), kind="unreachable")
