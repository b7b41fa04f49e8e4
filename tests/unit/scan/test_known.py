"""What well-known programs write is expected, unless the host turns that off; a program among it never is."""

import datetime as dt
from pathlib import Path

import pytest

from dockyard.scan.content import Content
from dockyard.scan.known import RULES
from dockyard.scan.layer import DELETED, NEW, REPLACED, Change
from dockyard.scan.lint import lint
from dockyard.scan.rule_file import known_rules
from dockyard.scan.rules import unexpected
from dockyard.settings.key import Scope
from dockyard.settings.load import HostLayers, read_file

TODAY = dt.date(2026, 11, 24)
TEXT = Content(lambda _: b"text", lambda _: True)
PROGRAM = Content(lambda _: b"\x7fELF", lambda _: True)


def file(path: str, what: str = NEW, mode: int = 0o644) -> Change:
    """Return the change of a file."""
    return Change(path, what, "file", size=5, mode=mode)


NGINX = [
    Change("/var/lib/nginx/body", NEW, "directory", mode=0o700, owner=(33, 0)),
    Change("/var/lib/nginx/proxy", NEW, "directory", mode=0o700, owner=(33, 0)),
    Change("/var/cache/nginx/client_temp", NEW, "directory", mode=0o700),
    file("/var/lib/nginx/body/0000000001"),
    file("/var/cache/nginx/proxy_temp/1/00/0000000001", REPLACED),
    file("/var/spool/postfix/maildrop/A", DELETED),
    Change("/var/spool/postfix/private/smtp", NEW, "socket"),
    file("/var/lib/php/sessions/sess_1"),
]
TELLING = [
    file("/var/lib/nginx/body/miner", mode=0o755),
    file("/var/lib/nginx/body/root", mode=0o4644),
    file("/var/lib/nginx/elsewhere"),
    file("/var/cache/nginx/x"),
    file("/etc/nginx/nginx.conf", REPLACED),
    Change("/var/lib/nginx/body/disk", NEW, "device"),
]


def test_what_a_start_of_nginx_creates_is_expected() -> None:
    assert unexpected("web", [*NGINX, *TELLING], RULES, TODAY, TEXT) == TELLING


def test_a_program_is_known_by_what_it_begins_with() -> None:
    change = file("/var/lib/nginx/body/0000000001")
    assert unexpected("web", [change], RULES, TODAY, PROGRAM) == [change]


@pytest.mark.parametrize(
    ("text", "count"), [("", len(RULES)), ("known_changes: true", len(RULES)), ("known_changes: false", 0)]
)
def test_one_key_of_the_host_turns_them_off(text: str, count: int) -> None:
    assert len(known_rules(HostLayers({}, read_file(text, "host.yaml", Scope.HOST)))) == count


def test_they_pass_what_rules_of_people_have_to_pass() -> None:
    """None is too wide, and none covers what another one covers already."""
    assert lint(RULES, None, TODAY) == []
    assert not any(rule.executable for rule in RULES)


def test_an_upgrade_of_nginx_saves_no_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules count when changes are saved before a container is removed."""
    from dockyard.scan import capture

    monkeypatch.setenv("DOCKYARD_COWSCAN", str(tmp_path / "none.yaml"))
    monkeypatch.setenv("DOCKYARD_HOST", str(tmp_path / "host.yaml"))
    (tmp_path / "host.yaml").write_text("")
    assert set(RULES) <= set(capture._rules())  # noqa: SLF001
    (tmp_path / "host.yaml").write_text("known_changes: false\n")
    assert capture._rules() == []  # noqa: SLF001
