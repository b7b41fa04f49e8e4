"""Secrets of a launch are in nothing that dockyard prints, stores or sends, however a program prints them."""

import base64
import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote

import pytest

from tests.engines.world import BASE, FROM_BASE, IDLE, STATE, World, write

MANY = 50
SECRETS = {f"s{number}": f"p@ss{number:02}/w'rd \"&+ü={number * 7919}" for number in range(MANY)}
ENCODINGS: tuple[Callable[[str], str], ...] = (
    str,
    lambda text: quote(text, safe=""),
    lambda text: base64.b64encode(text.encode()).decode(),
    lambda text: base64.urlsafe_b64encode(b"u:" + text.encode()).decode(),
    json.dumps,
    lambda text: text.encode().hex(),
)
FORMS = {encode(secret).strip('"') for secret in SECRETS.values() for encode in ENCODINGS}
PRINTED = "\n".join(
    f"cannot connect to postgresql://notes:{encode(secret)}@db:5432/notes"
    for secret in SECRETS.values()
    for encode in ENCODINGS
)
ENV = [*({f"SECRET_{name}": f"*{name}"} for name in SECRETS)]
PRINT = "cat /printed; echo the end"


def with_secrets(engine: World, end: str, **more: object) -> Path:
    """Return a service that prints its secrets in each encoding, and then runs a command."""
    for name, secret in SECRETS.items():
        write(engine.root / "secrets" / name, secret)
    printed = write(engine.root / "printed", f"{PRINTED}\n")
    settings = {"cmd": ["sh", "-c", f"{PRINT}; {end}"], "env": ENV, "mount_ro": [f"{printed}:/printed"], **more}
    if "image" in more:
        return engine.service(settings)
    return engine.service(settings, dockerfile=FROM_BASE, files={"version": "1"})


@contextmanager
def notified(engine: World) -> Iterator[list[str]]:
    """Yield the messages that are sent to the address of `notify`."""
    sent: list[str] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            sent.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            """Log nothing."""

    with HTTPServer(("127.0.0.1", 0), Receiver) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        command = f"secret_command: cat {engine.root}/secrets/{{name}}\n"
        write(engine.host_file, f"{command}notify: ['json://127.0.0.1:{server.server_port}']\n")
        try:
            yield sent
        finally:
            server.shutdown()
            thread.join()
            write(engine.host_file, "")


def found_in(text: str) -> list[str]:
    """Return the forms of secrets that a text contains."""
    return [form for form in FORMS if form in text]


def stored(service: str) -> str:
    """Return everything that dockyard has stored about a service."""
    texts = [path.read_text(errors="replace") for path in (STATE / "services" / service).rglob("*") if path.is_file()]
    with closing(sqlite3.connect(STATE / "history.db")) as database:
        rows = database.execute("SELECT * FROM events WHERE service = ?", (service,)).fetchall()
    return "\n".join([*texts, repr(rows), *(str(row) for row in rows)])


@pytest.mark.long("podman")
def test_a_crash_shows_no_secret(engine: World) -> None:
    """50 secrets in 6 encodings: not on the terminal, in the state directory, the journal or a notification."""
    with notified(engine) as sent:
        service = with_secrets(engine, "exit 3", autostart=1)
        shown = [
            engine.d("upgrade", service.name, expect=1).text,
            engine.d("why", service.name).text,
            engine.d("why", "--json", service.name).text,
            engine.d("history", service.name).text,
            engine.d("upgrade-all", "-q", "--force", "--notify", expect=1).text,
            engine.d_run(service, "-D", "--fg", expect=3).text,
        ]
    assert sent
    assert all("the end" in text for text in (shown[0], shown[1], shown[2], stored(service.name)))
    for text in (*shown, *sent, stored(service.name)):
        assert not found_in(text)
    log = next((STATE / "services" / service.name).rglob("log-new.txt")).read_text()
    assert log.count("***") >= MANY * len(ENCODINGS)


def test_logs_are_masked_unless_raw(engine: World) -> None:
    """`d logs` shows no secret, `d logs --raw` shows all of them."""
    with notified(engine):
        service = with_secrets(engine, " ".join(["trap 'exit 0' TERM;", IDLE[2].partition(";")[2]]), image=BASE)
        engine.d("up", service.name)
    shown = engine.d("logs", service.name).stdout
    assert not found_in(shown)
    assert shown.splitlines()[-1] == "the end"
    assert engine.d("logs", "--raw", service.name).stdout == f"{PRINTED}\nthe end\n"
    assert not found_in(engine.d("run-in-all", "env", "-0").text)


@pytest.mark.long("podman")
def test_a_test_shows_no_secret(engine: World) -> None:
    """Neither the log of its instance nor the output of the Test contains a secret, in Python or in shell."""
    python = (
        "#!/usr/bin/env dockyard-python\nfrom dockyard.testing import Container, main\n"
        "def test_it(container: Container) -> None:\n"
        "    print(container.logs())\n"
        "    assert container.exec('env') == ''\n"
        "main()\n"
    )
    with notified(engine):
        service = with_secrets(engine, "sleep 600")
        engine.d_build(service)
        write(service / "Test", python, mode=0o755)
        shown = [engine.run("./Test", "-r", cwd=service, expect=1).text, engine.d("test", service.name, expect=1).text]
        assert "assert" in shown[0]
    for text in (*shown, engine.d("why", "--json", service.name).text, stored(service.name)):
        assert "***" in text
        assert not found_in(text)
