"""HTTP servers on loopback that answer as a test says, and certificates for them."""

import http.server
import json
import socket
import socketserver
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.unit.registry.content import INDEX, MANIFEST, Multi, Single, digest


class Seen(NamedTuple):
    """A request that a server got."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class Reply(NamedTuple):
    """What a server answers; `raw` is written instead of an answer, piece by piece."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = {}
    raw: Iterator[bytes] | None = None


Answer = Callable[[Seen], Reply]


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    """A server with a thread for each connection; `requests` is what it got."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, answer: Answer, context: ssl.SSLContext | None, address: str) -> None:
        super().__init__((address, 0), _Handler)
        self.answer = answer
        self.context = context
        self.requests: list[Seen] = []
        self.connections = 0

    @property
    def host(self) -> str:
        return f"{self.server_address[0]}:{self.server_address[1]}"

    def get_request(self) -> tuple[socket.socket, str]:
        """Count connections."""
        self.connections += 1
        return super().get_request()

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that hang up are part of the tests."""

    def finish_request(self, request: socket.socket, client_address: str) -> None:
        """Speak TLS in the thread of the connection."""
        if not self.context:
            super().finish_request(request, client_address)
            return
        with self.context.wrap_socket(request, server_side=True) as encrypted:
            super().finish_request(encrypted, client_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Server

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        seen = Seen(self.command, self.path, {name.lower(): text for name, text in self.headers.items()}, body)
        self.server.requests.append(seen)
        reply = self.server.answer(seen)
        if reply.raw is not None:
            self.close_connection = True
            for piece in reply.raw:
                self.wfile.write(piece)
                self.wfile.flush()
            return
        self.send_response(reply.status)
        for name, text in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
            self.send_header(name, text)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(reply.body)

    do_GET = do_HEAD = do_POST = _answer  # noqa: N815 - as the base class has it

    def log_message(self, *_arguments: object) -> None:
        """Write nothing."""


@contextmanager
def serve(answer: Answer, context: ssl.SSLContext | None = None, address: str = "127.0.0.1") -> Iterator[Server]:
    with Server(answer, context, address) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


class Shelf:
    """What a registry holds: an Answer."""

    def __init__(self) -> None:
        self.manifests: dict[tuple[str, str], tuple[str, bytes]] = {}
        self.blobs: dict[str, bytes] = {}
        self.tags: dict[str, list[str]] = {}

    def add(self, repository: str, tag: str, image: Single | Multi) -> str:
        """Put an image there; return its digest."""
        kind, body = (INDEX, image.index) if isinstance(image, Multi) else (MANIFEST, image.manifest)
        for part in image.parts.values() if isinstance(image, Multi) else [image]:
            self.manifests[repository, digest(part.manifest)] = MANIFEST, part.manifest
            self.blobs[digest(part.config)] = part.config
        self.manifests[repository, tag] = self.manifests[repository, digest(body)] = kind, body
        self.tags.setdefault(repository, []).append(tag)
        return digest(body)

    def __call__(self, seen: Seen) -> Reply:
        path = seen.path.partition("?")[0].removeprefix("/v2/")
        repository, _, last = path.rpartition("/")
        repository, _, kind = repository.rpartition("/")
        if kind == "manifests" and (repository, last) in self.manifests:
            media, body = self.manifests[repository, last]
            return Reply(200, body, {"Content-Type": media, "Docker-Content-Digest": digest(body)})
        if kind == "blobs" and last in self.blobs:
            return Reply(200, self.blobs[last])
        if kind == "tags" and repository in self.tags:
            return Reply(200, json.dumps({"name": repository, "tags": self.tags[repository]}).encode())
        return Reply(404, b'{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}')


class Authority(NamedTuple):
    """A private authority, and a server's certificate by it for 127.0.0.1 and localhost."""

    certificate: Path
    server_certificate: Path
    server_key: Path
    client_certificate: Path
    client_key: Path

    def context(self, *, asks_for_client: bool = False) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server_certificate, self.server_key)
        if asks_for_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(self.certificate)
        return context


def create_authority(place: Path) -> Authority:
    """Write keys and certificates. Takes a moment: they are for all tests."""

    def run(*words: str | Path) -> None:
        subprocess.run(("/usr/bin/openssl", *map(str, words)), check=True, capture_output=True, cwd=place)

    new_key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    run("req", "-x509", *new_key, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=Authority", "-days", "2")
    for name in ("server", "client"):
        run("req", *new_key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (place / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        sign = ("x509", "-req", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
        run(*sign, "-in", f"{name}.csr", "-out", f"{name}.crt", "-extfile", "names")
    names = ("ca.crt", "server.crt", "server.key", "client.crt", "client.key")
    return Authority(*(place / name for name in names))
