"""Debian's docker-registry on loopback, and a token service for it."""

import base64
import json
import re
import shutil
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.unit.registry.content import INDEX, MANIFEST, Multi, Single, digest
from tests.unit.registry.servers import Authority, Reply, Seen

USER, PASSWORD = "ann", "opens sesame 17"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
HTPASSWD = f"{USER}:$2y$05$abcdefghijklmnopqrstuuZWNZKFShdxiCigcZ3/MnSTJI/PqZveW\n"
"""Its password, by bcrypt: the only form that the registry takes."""


class RealRegistry(NamedTuple):
    """A registry that runs, and how to put images into it."""

    host: str
    authority: Authority | None
    headers: Mapping[str, str]

    def push(self, repository: str, tag: str, image: Single | Multi) -> str:
        """Upload an image; return its digest."""
        kind, body = (INDEX, image.index) if isinstance(image, Multi) else (MANIFEST, image.manifest)
        parts = image.parts.values() if isinstance(image, Multi) else [image]
        connection = self._connect()
        for part in parts:
            for blob in (part.config, part.layer):
                place = self._send(connection, "POST", f"/v2/{repository}/blobs/uploads/").headers["Location"]
                target = place.partition(self.host)[2] or place
                self._send(connection, "PUT", f"{target}&digest={digest(blob)}", blob)
            self._send(
                connection, "PUT", f"/v2/{repository}/manifests/{digest(part.manifest)}", part.manifest, MANIFEST
            )
        self._send(connection, "PUT", f"/v2/{repository}/manifests/{tag}", body, kind)
        connection.close()
        return digest(body)

    def _connect(self) -> HTTPConnection:
        if not self.authority:
            return HTTPConnection(self.host, timeout=10)
        context = ssl.create_default_context(cafile=self.authority.certificate)
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # an authority as simple as those that people make
        return HTTPSConnection(self.host, timeout=10, context=context)

    def _send(
        self, connection: HTTPConnection, method: str, target: str, body: bytes = b"", kind: str = ""
    ) -> HTTPResponse:
        headers = {**self.headers, **({"Content-Type": kind} if kind else {})}
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        said = response.read()
        assert response.status in (201, 202), said
        return response


@contextmanager
def run_registry(
    place: Path,
    *,
    authority: Authority | None = None,
    auth: Mapping[str, object] = {},
    headers: Mapping[str, str] = {},
) -> Iterator[RealRegistry]:
    program = shutil.which("docker-registry")
    if not program:
        pytest.skip("docker-registry is not installed (Debian's package of that name)")
    http: dict[str, object] = {"addr": "127.0.0.1:0", "secret": "of no use"}
    if authority:
        http["tls"] = {"certificate": str(authority.server_certificate), "key": str(authority.server_key)}
    configuration = {
        "version": "0.1",
        "log": {"level": "info", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(place / "storage")}},
        "http": http,
        **({"auth": auth} if auth else {}),
    }
    place.mkdir(parents=True, exist_ok=True)
    file = place / "registry.yml"
    file.write_text(json.dumps(configuration))
    with subprocess.Popen((program, "serve", str(file)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as child:
        try:
            yield RealRegistry(_read_address(child), authority, headers)
        finally:
            child.kill()


def _read_address(child: subprocess.Popen[bytes]) -> str:
    """Return where a registry listens, as it says itself; what else it says is read to its end."""
    assert child.stderr
    said = b""
    for line in child.stderr:
        said += line
        if match := re.search(rb"listening on (127\.0\.0\.1:\d+)", line):
            threading.Thread(target=child.stderr.read, daemon=True).start()
            return match[1].decode()
    raise AssertionError(said.decode())


class TokenService:
    """Gives out tokens to those who know the password: an Answer."""

    def __init__(self, authority: Authority, seconds: float = 300) -> None:
        self._authority = authority
        self.seconds = seconds
        self.allows_anonymous = False
        self.given = 0

    def __call__(self, seen: Seen) -> Reply:
        if seen.headers.get("authorization") != BASIC and not self.allows_anonymous:
            return Reply(401, b'{"details": "incorrect username or password"}')
        query = parse_qs(urlsplit(seen.path).query)
        self.given += 1
        token = self.token(query["service"][0], query.get("scope", []))
        return Reply(200, json.dumps({"token": token, "expires_in": self.seconds}).encode())

    def token(self, service: str, scopes: list[str], actions: tuple[str, ...] = ("pull",)) -> str:
        """Return a signed token for some scopes, such as `repository:web:pull`."""
        names = [scope.split(":")[1] for scope in scopes]
        now = int(time.time())
        claims = {
            "iss": "tests",
            "sub": USER,
            "aud": service,
            "nbf": now - 10,
            "iat": now - 10,
            "exp": now + 300,
            "jti": str(self.given),
            "access": [{"type": "repository", "name": name, "actions": list(actions)} for name in names],
        }
        certificate = self._authority.server_certificate.read_text()
        chain = "".join(certificate.split("-----")[2].split())
        head = {"typ": "JWT", "alg": "ES256", "x5c": [chain]}
        signed = b".".join(_base64url(json.dumps(part).encode()) for part in (head, claims))
        return (signed + b"." + _base64url(self._sign(signed))).decode()

    def _sign(self, text: bytes) -> bytes:
        """Return the two numbers of a signature, which openssl writes as ASN.1."""
        argv = ("/usr/bin/openssl", "dgst", "-sha256", "-sign", str(self._authority.server_key))
        signature = subprocess.run(argv, input=text, capture_output=True, check=True).stdout
        first = signature[4 : 4 + signature[3]]
        second = signature[6 + len(first) :]
        return b"".join(number.lstrip(b"\0").rjust(32, b"\0") for number in (first, second))


def _base64url(data: bytes) -> bytes:
    return base64.urlsafe_b64encode(data).rstrip(b"=")
