"""Problems are notified: once when they begin, with their explanation, and once when they end."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from tests.engines.world import World, write

CRASH = ["sh", "-c", "trap 'echo cannot reach the database; exit 3' TERM; echo ready; sleep 7200 & wait"]


class Inbox:
    """The receiver of notifications and heartbeats."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.beats = 0
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                inbox.beats += 1
                self._answer()

            def do_POST(self) -> None:
                inbox.messages.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self._answer()

            def _answer(self) -> None:
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def environment(self) -> dict[str, str]:
        """The settings with its addresses."""
        place = f"127.0.0.1:{self.server.server_port}"
        addresses = {"DOCKYARD_NOTIFY": f"[json://{place}]", "DOCKYARD_HEARTBEAT": f"http://{place}/beat"}
        return {**addresses, "DOCKYARD_MAX_DISK_USE": "100"}


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """An address that accepts messages."""
    there = Inbox()
    yield there
    there.server.shutdown()
    there.server.server_close()


def test_service_that_goes_down_is_notified_once(own_fleet: World, inbox: Inbox) -> None:
    """With host, reason and severity; not again while it lasts; and once more when it is up again."""
    name = own_fleet.idle(autostart=1, cmd=CRASH).name

    def check(expect: int) -> str:
        return own_fleet.d("check-all-up", "--notify", env=inbox.environment, expect=expect).stdout

    own_fleet.d("up", name)
    assert (check(0), inbox.messages, inbox.beats) == ("all ok\n", [], 1)
    own_fleet.call("stop", name)
    assert check(1) == f"{name}: is not up (exited, exit code 3): cannot reach the database\n"
    (sent,) = inbox.messages
    assert f"{name} is not up (exited, exit code 3)" in sent["title"]
    assert sent["title"].startswith("dockyard on ")
    assert "cannot reach the database" in sent["message"]
    assert "production runs: nothing" in sent["message"]
    assert sent["type"] == "failure"
    check(1)
    assert (len(inbox.messages), inbox.beats) == (1, 3)
    own_fleet.d("up", name)
    assert check(0) == "all ok\n"
    assert [message["type"] for message in inbox.messages] == ["failure", "success"]
    assert "resolved after" in inbox.messages[1]["title"]
    check(0)
    assert len(inbox.messages) == 2


def test_update_that_fails_is_notified_once(own_fleet: World, inbox: Inbox) -> None:
    """By `upgrade-all`, with what its Test wrote; the next night and the check that follows add nothing."""
    name = own_fleet.plain(Test="#!/bin/sh\necho 'KeyError: note'\nexit 1\n").name
    for _ in range(2):
        own_fleet.d("upgrade-all", "--quiet", "--notify", env=inbox.environment, expect=1)
    (sent,) = inbox.messages
    assert f"{name}: its last update failed" in sent["title"]
    assert "KeyError: note" in sent["message"]
    assert sent["type"] == "failure"
    listed = own_fleet.d("check-all-up", "--notify", "--json", env=inbox.environment, expect=1)
    assert [(row["service"], row["kind"]) for row in json.loads(listed.stdout)] == [(name, "update")]
    assert len(inbox.messages) == 1
    write(own_fleet.source / name / "Test", "#!/bin/sh\n", mode=0o755)
    own_fleet.d("upgrade-all", "--quiet", "--notify", env=inbox.environment)
    assert [message["type"] for message in inbox.messages] == ["failure", "success"]
    assert own_fleet.d("check-all-up", env=inbox.environment).stdout == "all ok\n"
