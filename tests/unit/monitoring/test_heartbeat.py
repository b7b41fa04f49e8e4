"""The heartbeat: one call that is answered, some tries, and no word of the address but its host."""

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from dockyard.monitoring import heartbeat


class Receiver(HTTPServer):
    """Answers with the codes that it is given, the last one again and again."""

    codes: list[int]
    paths: list[str]


class Handler(BaseHTTPRequestHandler):
    """Answers a call."""

    def do_GET(self) -> None:
        """Answer with the next code."""
        assert isinstance(self.server, Receiver)
        self.server.paths.append(self.path)
        codes = self.server.codes
        self.send_response(codes.pop(0) if len(codes) > 1 else codes[0])
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """A server that expects calls."""
    with Receiver(("127.0.0.1", 0), Handler) as server:
        server.codes, server.paths = [200], []
        Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def _call(receiver: Receiver) -> bool:
    return heartbeat.call(f"http://127.0.0.1:{receiver.server_port}/ping/secret", lambda _: None)


def test_one_call(receiver: Receiver, told: list[str]) -> None:
    """It is answered, and that is all."""
    assert _call(receiver)
    assert (receiver.paths, told) == (["/ping/secret"], [])


def test_call_is_tried_again(receiver: Receiver, told: list[str]) -> None:
    """A failure that passes is none."""
    receiver.codes = [503, 200]
    assert _call(receiver)
    assert (len(receiver.paths), told) == (2, [])


def test_address_is_a_secret(receiver: Receiver, told: list[str]) -> None:
    """What cannot be reached is reported by its host and the reason alone."""
    receiver.codes = [404]
    assert not _call(receiver)
    assert (len(receiver.paths), told) == (
        heartbeat.TRIES,
        ["warning: heartbeat: 127.0.0.1 could not be reached: it answered 404"],
    )


def test_nobody_answers(told: list[str]) -> None:
    """A port on which nothing listens is the same."""
    assert not heartbeat.call("http://127.0.0.1:1/secret", lambda _: None)
    assert "Connection refused" in told[0]
    assert "secret" not in told[0]
